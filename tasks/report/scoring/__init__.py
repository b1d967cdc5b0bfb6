"""Scores, confidence intervals and comparisons."""
