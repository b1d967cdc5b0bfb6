"""What workers do (files) and what they know (folders), in the order of the way."""
