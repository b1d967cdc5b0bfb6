"""Networks and their training; the only folder that knows Keras."""
