"""MediaPipe's networks, and what they saw."""
