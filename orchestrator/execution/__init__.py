"""Carrying runs out: the dispatcher, the embedded stack, worker processes."""
