"""Monitoring of runs: scores, workers, health, metrics and integrity."""
