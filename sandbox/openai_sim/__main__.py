"""``python -m sandbox.openai_sim``: the simulator as a process of its own.

Prints one JSON line when it accepts connections, and ends with its parent, on SIGTERM or on Ctrl-C.
"""

import argparse
import contextlib
import json
import os
import threading
from collections.abc import Sequence

from sandbox.openai_sim.latency import Latency
from sandbox.openai_sim.server import LOOPBACK, SimulatorServer, stop_when_orphaned
from sandbox.openai_sim.state import SimulatorOptions


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a simulator until it is told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.openai_sim", description="Simulates the OpenAI images API."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--latency", type=_latency, default=Latency(), help="seconds, as 30 or 20-60 (default 0)")
    parser.add_argument("--requests-per-minute", type=int, default=None, help="above it: 429 (default: no limit)")
    parser.add_argument("--seed", type=int, default=0, help="of latencies and fault probabilities (default 0)")
    parser.add_argument("--fixed-result", action="store_true", help="one prepared picture: costs next to nothing")
    chosen = parser.parse_args(arguments)
    server = SimulatorServer(
        SimulatorOptions(
            latency=chosen.latency,
            requests_per_minute=chosen.requests_per_minute,
            fixed_result=chosen.fixed_result,
            seed=chosen.seed,
        ),
        port=chosen.port,
    )
    stop_when_orphaned(server)
    threading.Thread(target=_announce, args=(server,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the usual way to end it, not an error
        server.run_until_stopped()


def _announce(server: SimulatorServer) -> None:
    server.ready.wait()
    url = f"http://{LOOPBACK}:{server.port}"
    line = {"port": server.port, "base_url": f"{url}/v1", "control_url": f"{url}/_sim", "pid": os.getpid()}
    print(json.dumps(line), flush=True)


def _latency(text: str) -> Latency:
    try:
        return Latency.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
