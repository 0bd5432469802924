"""``python -m proofs.chaos``: the command line."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NoReturn

from proofs.chaos.run import HardStop, run
from sandbox.servers.processes import StartupFailed

MIN_TASKS: Final = 200
MIN_KILLS: Final = 15
"""What a run must do at least to mean anything."""

HARD_STOP_SECONDS: Final = 600
"""Twice what a run takes on a machine that is busy with other things."""

MAX_SEED: Final = 10**6


def main() -> int:
    """Do one run; 0 when everything that must be zero is zero."""
    options = _options()
    seed = random.randrange(MAX_SEED) if options.seed is None else options.seed
    started_at = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started_at:6.1f} s  {text}", flush=True)

    directory = Path(tempfile.mkdtemp(prefix="wearon-chaos-"))
    say(f"seed {seed}, {options.tasks} tasks, {options.kills} kills, data in {directory}")
    signal.signal(signal.SIGALRM, _stop_hard)
    signal.signal(signal.SIGTERM, _stop_hard)
    signal.alarm(HARD_STOP_SECONDS)
    try:
        outcome = run(directory, seed=seed, tasks=options.tasks, kills=options.kills, keep=options.keep, say=say)
    except (HardStop, StartupFailed, KeyboardInterrupt) as error:
        say(f"no verdict: {error!r}; data and logs are kept in {directory}")
        return 1
    finally:
        signal.alarm(0)
    if outcome.is_right and not options.keep:
        shutil.rmtree(directory)
    else:
        for violation in outcome.audit.violations:
            say(f"{violation.rule}: {violation.subject}: {violation.what}")
        say(f"report and logs: {directory}")
    print(outcome.line, flush=True)
    return 0 if outcome.is_right else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m proofs.chaos",
        description="Kills everything at random while two workers work, then audits the ledger (docs/chaos.md).",
    )
    parser.add_argument("--seed", type=int, help="repeat what another run did (default: a new one, printed)")
    parser.add_argument("--tasks", type=int, default=MIN_TASKS, help="tasks to push (%(default)s, and not fewer)")
    parser.add_argument("--kills", type=int, default=MIN_KILLS, help="kills of a worker (%(default)s, and not fewer)")
    parser.add_argument("--keep", action="store_true", help="keep data and logs of a good run as well")
    options = parser.parse_args()
    if options.tasks < MIN_TASKS or options.kills < MIN_KILLS:
        parser.error(f"at least {MIN_TASKS} tasks and {MIN_KILLS} kills")
    return options


def _stop_hard(*_: object) -> NoReturn:
    raise HardStop("it took too long, or was told to stop")


if __name__ == "__main__":
    sys.exit(main())
