"""The processes that measure photographs, and the main process's side of them (ADR 0106)."""
