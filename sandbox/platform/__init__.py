"""The platform around the worker, played as its contract describes it."""
