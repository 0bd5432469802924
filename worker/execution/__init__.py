"""[Celery child] Runs tasks: from the claim to the stored picture."""
