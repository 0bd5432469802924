"""The real servers of the sandbox, each started and ended by us."""
