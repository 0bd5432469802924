"""MediaPipe's own graph as the benchmark sees it: a process in the environment that ``make reference`` makes."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from proofs.bench_size.turns import Turn

REFERENCE_PYTHON: Final = Path(".venv-reference/bin/python")
LEFT_OUT: Final = (
    "bare pose model (MediaPipe's own graph): left out, as its environment is not there; `make reference` makes it, "
    "with Python 3.11 or 3.12 on x86-64"
)
STOP_TIMEOUT_SECONDS: Final = 10.0


class BareReference:
    """The bare pose model, ``threads`` pictures at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def turn(self, photographs: Sequence[Path]) -> Turn:
        """Look at the photographs; decoding is not in the time.

        Raises:
            SystemExit: the process ended; it has said why.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("opened with pipes")
        stdin.write(json.dumps([str(path) for path in photographs]) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise SystemExit("MediaPipe's own graph ended in the middle of the comparison")
        return Turn(**json.loads(answer))


@contextmanager
def bare_reference(threads: int, niceness: int) -> Iterator[BareReference | None]:
    """The bare pose model; ``None`` where its environment is not made."""
    if not REFERENCE_PYTHON.exists():
        yield None
        return
    command = [str(REFERENCE_PYTHON), "-m", "proofs.bench_size.bare_process", str(threads), str(niceness)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield BareReference(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(STOP_TIMEOUT_SECONDS)
