"""Code that all tasks share: the task base, claims and heartbeats, crash recording, liveness, sources of recordings."""
