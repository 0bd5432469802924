"""Starts the worker's ``main()`` with many sets of settings, in processes forked after the imports were done.

Importing takes a second of a core, and a table of a dozen settings that cannot work needs it only once. Each line of
standard input is a JSON object of settings by name; the answer is a line with ``[exit status, output]`` by name.
"""

import json
import os
import sys
import tempfile
from contextlib import ExitStack
from typing import IO

import main


def start(settings: dict[str, str], output: IO[str]) -> int:
    """Fork a process that runs ``main()`` with these settings alone; its process id."""
    pid = os.fork()
    if pid == 0:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
        os.environ.clear()
        os.environ.update(settings)
        status = main.main()
        sys.stderr.flush()
        os._exit(status)  # tidying up a copied interpreter costs another half second
    return pid


def ending(pid: int, output: IO[str]) -> tuple[int, str]:
    """Wait for the end of a started one: its exit status and what it wrote."""
    _, status = os.waitpid(pid, 0)
    output.seek(0)
    return os.waitstatus_to_exitcode(status), output.read()


def run(cases: dict[str, dict[str, str]]) -> dict[str, tuple[int, str]]:
    """Start all at once and wait for them."""
    with ExitStack() as files:
        outputs = {name: files.enter_context(tempfile.TemporaryFile("w+")) for name in cases}
        pids = {name: start(settings, outputs[name]) for name, settings in cases.items()}
        return {name: ending(pid, outputs[name]) for name, pid in pids.items()}


if __name__ == "__main__":
    for line in sys.stdin:
        answer = json.dumps(run(json.loads(line)))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
