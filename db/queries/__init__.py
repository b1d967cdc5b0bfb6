"""Reads of the ledger: runs, inputs of jobs, counts, metrics, integrity."""
