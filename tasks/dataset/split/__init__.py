"""Splits: assigns recordings to subsets and folds, by group."""
