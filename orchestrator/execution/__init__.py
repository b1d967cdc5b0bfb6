"""Execution of runs: the dispatcher, the embedded broker, and worker processes."""
