"""What every task stands on: the Task base, claims and heartbeats, crash recording, liveness, sources of recordings."""
