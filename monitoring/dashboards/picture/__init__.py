"""Pictures of the dashboards from a Prometheus' data: an approximation of Grafana, drawn by us for the documents.

What is asked, which series belong to which panel, units, limits and texts are the dashboards' own; fonts, colours and
arrangement only look like Grafana's.
"""
