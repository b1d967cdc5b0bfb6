"""The Celery tasks (files), and the pure functions that they call (folders)."""
