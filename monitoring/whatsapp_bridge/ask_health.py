"""``health``: what the bridge on this machine says of itself. It loads no HTTP client, since it runs all day long."""

import argparse
import urllib.error
import urllib.request
from typing import Final

ANSWER_SECONDS: Final = 4.0
"""For an answer on the same machine; below the health check's own timeout."""

EXIT_NOT_WELL: Final = 1


def run(options: argparse.Namespace) -> int:
    """Print one line; returns 0 when it is well."""
    port: int = options.port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=ANSWER_SECONDS) as answer:
            said, well = answer.read().decode(), True
    except urllib.error.HTTPError as error:
        said, well = error.read().decode(), False
    except OSError as error:
        said, well = f"no bridge answers at 127.0.0.1:{port} ({getattr(error, 'reason', error)})", False
    print(said)
    return 0 if well else EXIT_NOT_WELL
