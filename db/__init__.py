"""Persistent state: the ledger and the store."""
