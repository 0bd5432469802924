"""In the bridge's place in an image: answers /health and an empty /metrics, and its own health check."""

import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT = 8085


class Answers(BaseHTTPRequestHandler):
    """200 to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"\n")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


if "health" in sys.argv:
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2)
else:
    HTTPServer(("", PORT), Answers).serve_forever()
