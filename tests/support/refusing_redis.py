"""A server that lets a client connect and refuses every command with the same error."""

import socketserver
import threading

from sandbox.servers.processes import LOOPBACK


class RefusingRedis(socketserver.ThreadingTCPServer):
    """Serves while its ``with`` block runs; ``connections`` counts how many came."""

    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        """Reads commands as RESP2 writes them."""

        def handle(self) -> None:
            server = self.server
            assert isinstance(server, RefusingRedis)
            server.connections += 1
            while head := self.rfile.readline():
                words = []
                for _ in range(int(head[1:])):
                    size_bytes = int(self.rfile.readline()[1:])
                    words.append(self.rfile.read(size_bytes + len("\r\n")).rstrip())
                # A client introduces itself by CLIENT, which every server takes.
                self.wfile.write(b"+OK\r\n" if words[0] == b"CLIENT" else f"-{server.answer}\r\n".encode())

    def __init__(self, answer: str) -> None:
        super().__init__((LOOPBACK, 0), self.Handler)
        self.answer = answer
        self.connections = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"redis://{LOOPBACK}:{self.server_address[1]}/0"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
