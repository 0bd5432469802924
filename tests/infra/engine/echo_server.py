"""Stands in for Grafana, and for a stranger; in a container with nothing but Python, so it imports nothing of ours.

Tells as JSON what reached it and under which name it runs, after as many seconds as the query asks for. A websocket
gets back what it sends.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ECHO_BYTES = 4096


class Echo(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    name = ""

    def answer(self) -> None:
        """Tell, wait, or echo."""
        if self.headers.get("Upgrade") == "websocket":
            self._echo()
            return
        seconds = parse_qs(urlsplit(self.path).query).get("seconds", ["0"])[0]
        time.sleep(float(seconds))
        headers = {name.lower(): text for name, text in self.headers.items()}
        told = json.dumps({"name": self.name, "path": self.path, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = answer  # noqa: N815 - the library's names

    def _echo(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        while received := self.connection.recv(ECHO_BYTES):
            self.connection.sendall(received)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


if __name__ == "__main__":
    Echo.name = sys.argv[1]
    ThreadingHTTPServer(("", int(sys.argv[2])), Echo).serve_forever()
