"""Redis: the task queue, connections to it, and what its refusals mean."""
