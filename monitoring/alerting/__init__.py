"""Alert rules as data, and the files Grafana is provisioned with (story 5.2)."""
