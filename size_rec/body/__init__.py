"""From outline to girths, size and body type."""
