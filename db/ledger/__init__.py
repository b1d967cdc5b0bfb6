"""Writes to the ledger: transitions, claims, feeding, planning, control, workers, the leader lock."""
