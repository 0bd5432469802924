"""[main process] Takes over from dead executors and settles what has lost its task."""
