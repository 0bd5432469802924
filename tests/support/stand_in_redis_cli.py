"""Stand-in for redis-cli, which no package brings: one command to a real server, over its Unix socket (RESP 2).

``python stand_in_redis_cli.py -s SOCKET COMMAND...`` prints the answer as redis-cli does for a script. Like it, it ends
with 1 only where no server answers.
"""

import socket
import sys


def answer(path: str, command: str) -> bytes:
    """What the server says; nothing if it ends instead."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(command.encode() + b"\r\n")
        with connection.makefile("rb") as stream:
            head = stream.readline()
            return stream.read(int(head[1:])) if head.startswith(b"$") else head[1:].strip()


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    option, path, *command = arguments
    if option != "-s" or not command:
        sys.stderr.write("only: -s SOCKET COMMAND...\n")
        return 64
    try:
        sys.stdout.buffer.write(answer(path, " ".join(command)) + b"\n")
    except OSError as error:
        sys.stderr.write(f"Could not connect to Redis at {path}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
