"""Splits: which recording goes to which subset and fold, by group."""
