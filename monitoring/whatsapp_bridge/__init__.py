"""The alert bridge: takes Grafana's webhook and has the alert delivered by Meta's WhatsApp Business Cloud API.

A program of its own with an image of its own (ADR 0123). An alert is in the queue on disk before Grafana is told that
it was taken, and leaves it when Meta has accepted it (ADR 0124). ``docs/whatsapp.md`` is for the operator.
"""
