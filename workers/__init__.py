"""How processes live: the Celery app, the roles, fork and signals."""
