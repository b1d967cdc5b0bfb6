"""Training: loops, schedules, checkpoints, and the stream of examples."""
