"""Runs in a container that has the volume with Alloy's way to the engine, and asks by it what it is told to.

Arguments: method and path, again and again; prints each status on a line.
"""

import http.client
import socket
import sys

SOCKET = "/run/docker-api/docker.sock"
ANSWER_SECONDS = 10.0


class OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(SOCKET)


if __name__ == "__main__":
    for method, path in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        connection = OverSocket("docker")
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", "docker")
        connection.endheaders()
        sys.stdout.write(f"{connection.getresponse().status}\n")
        connection.close()
