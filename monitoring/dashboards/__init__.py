"""Grafana's dashboards, built in Python and written as the JSON files that Grafana reads (ADR 0129)."""
