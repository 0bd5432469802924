"""The one HTTP face: POST /estimate-body, GET /health, GET /metrics."""
