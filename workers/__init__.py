"""Worker processes: the Celery app, roles, fork and signals, limits."""
