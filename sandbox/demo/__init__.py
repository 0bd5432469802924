"""`make demo`: real tasks through the real worker, told step by step."""
