"""Starts the worker's ``main()`` once for each set of settings, in processes forked after the imports were done.

Importing takes a second of a core, and a table of a dozen settings that cannot work needs it only once. Reads a JSON
object of settings by name from standard input, and writes one of ``[exit status, output]`` by name.
"""

import json
import os
import sys
import tempfile

import main


def start(settings: dict[str, str]) -> tuple[int, str]:
    """Run ``main()`` with these settings alone; its exit status and both its outputs."""
    with tempfile.TemporaryFile("w+") as output:
        pid = os.fork()
        if pid == 0:
            os.dup2(output.fileno(), sys.stdout.fileno())
            os.dup2(output.fileno(), sys.stderr.fileno())
            os.environ.clear()
            os.environ.update(settings)
            sys.exit(main.main())
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read()


if __name__ == "__main__":
    endings = {name: start(settings) for name, settings in json.load(sys.stdin).items()}
    json.dump(endings, sys.stdout)
