"""From a path and options to a run in the ledger."""
