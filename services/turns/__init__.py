"""When may the provider be called: the gate, its window and the breaker, shared by all workers."""
