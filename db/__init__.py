"""All that outlives a process: the ledger and the store."""
