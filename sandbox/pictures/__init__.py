"""Pictures to try on, and a host that serves them well or badly."""
