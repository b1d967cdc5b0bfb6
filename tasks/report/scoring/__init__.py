"""Scores: from probabilities to metrics, intervals and comparisons."""
