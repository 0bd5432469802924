"""The production stack on a real engine: ``make test-infra`` (docs/adr/0121-a-host-in-a-namespace.md)."""
