"""The photograph before the networks see it."""
