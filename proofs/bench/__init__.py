"""``make bench``: measures the worker on the embedded parts, each figure beside a reference from the same run."""
