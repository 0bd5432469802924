"""``make bench-size``."""
