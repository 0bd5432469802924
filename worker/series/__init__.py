"""The series of GET /metrics, by what they are about. All of a closed set are there from the first scrape."""
