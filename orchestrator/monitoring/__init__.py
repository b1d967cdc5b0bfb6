"""Looking at runs: progress, scores, workers, health, integrity."""
