"""[main process] Takes tasks from the queue and gives them to Celery."""
