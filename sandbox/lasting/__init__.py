"""`make sandbox`: a world that keeps running and keeps its data."""
