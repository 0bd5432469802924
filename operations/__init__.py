"""The operator's desk: looks at everything, and does the few things that are an operator's (docs/operating.md)."""
