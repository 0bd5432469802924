"""``make demo``: real tasks through the real worker, on a small world of its own that is gone afterwards."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import httpx
import psycopg
import redis

from sandbox.console.bring_up import TITLES, brought_up
from sandbox.console.progress import Console, Style
from sandbox.demo.checks import Finding
from sandbox.demo.steps import STEPS, DemoFailed, Stage, Step
from sandbox.lasting.commands import shortest
from sandbox.lasting.home import worker_settings
from sandbox.platform.uploads import PlatformStorage
from sandbox.servers.processes import StartupFailed
from sandbox.servers.worker import LocalWorker
from sandbox.world import World

EXIT_AS_EXPECTED: Final = 0
EXIT_NOT_AS_EXPECTED: Final = 1

DEFAULT_RESULTS: Final = Path(__file__).resolve().parents[2] / "demo-results"

DEFAULT_LATENCY: Final = "3-6"
"""Seconds of the simulator: long enough to watch the states, short enough for two minutes in all."""

SIMULATED_LIMIT_SECONDS: Final = 60.0
"""For a session over the simulator: ten times its latency."""

REAL_LIMIT_SECONDS: Final = 600.0
"""For a session over the real API: 300 s of its own time, and once more after a rate limit."""

REAL_BASE_URL: Final = "https://api.openai.com/v1"

PASSED_ON_TO_REAL: Final = (
    "OPENAI_IMAGE_MODELS",
    "OPENAI_IMAGE_QUALITY",
    "OPENAI_IMAGE_COMPLEXITY",
    "OPENAI_REQUESTS_PER_MINUTE",
    "OPENAI_INPUT_IMAGES_PER_MINUTE",
)
"""A real account may have its own models and limits."""

SETBACKS: Final = (OSError, httpx.HTTPError, psycopg.Error, redis.RedisError)
"""What can go wrong on a person's machine, as opposed to a bug of the demo."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``provider`` holds the settings of a real provider by environment name; ``None`` means the simulator."""

    results: Path = DEFAULT_RESULTS
    latency: str = DEFAULT_LATENCY
    provider: Mapping[str, str] | None = None


def real_provider(environment: Mapping[str, str]) -> dict[str, str]:
    """The worker's provider settings for ``--real``. Raises ``DemoFailed`` without a key."""
    key = environment.get("OPENAI_API_KEY", "").strip()
    if not key:
        raise DemoFailed("--real needs OPENAI_API_KEY in the environment; without --real nothing is needed.")
    base_url = environment.get("OPENAI_BASE_URL", "").strip() or REAL_BASE_URL
    chosen = {name: environment[name] for name in PASSED_ON_TO_REAL if environment.get(name)}
    return {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": base_url, **chosen}


def demo(console: Console, options: DemoOptions, steps: Sequence[Step] = STEPS) -> int:
    """Play all steps and sum up; the exit status says whether everything was as expected."""
    started = time.monotonic()
    _introduce(console, options)
    home = Path(tempfile.mkdtemp(prefix="wearon-demo-"))
    show = _Show(World.in_directory(home, latency=options.latency, fsync=False), home, console, options)
    try:
        setback = _setback_of(show, steps)
        trouble = verdict(show.findings, setback)
        logs = None if trouble is None else _keep_logs(home, options.results)
    finally:
        show.world.postgres.wipe()
        shutil.rmtree(home, ignore_errors=True)
    if show.findings:
        console.heading("Summary")
    for finding in show.findings:
        _tell(console, finding)
    if trouble is not None and logs is not None:
        console.line(trouble, Style.BAD)
        console.line(f"The logs of all parts are in {shortest(logs)}.")
        return EXIT_NOT_AS_EXPECTED
    console.line(f"Everything was as expected, in {time.monotonic() - started:.0f} s.", Style.GOOD)
    console.line(f"The pictures are in {shortest(options.results)}. Nothing is left running.")
    return EXIT_AS_EXPECTED


def verdict(findings: Sequence[Finding], setback: str | None) -> str | None:
    """What is wrong with the whole performance, in words; ``None`` if it was as expected. Pure."""
    if setback is not None:
        return setback
    if any(finding.faults for finding in findings):
        return "Not everything was as expected; see above."
    return None


class _Show:
    """One performance: the world is up while ``play`` runs, with a worker for the provider that each step wants."""

    def __init__(self, world: World, home: Path, console: Console, options: DemoOptions) -> None:
        self.world = world
        self.findings: list[Finding] = []
        self._home = home
        self._console = console
        self._options = options

    def play(self, steps: Sequence[Step]) -> None:
        """Raises ``DemoFailed``, ``StartupFailed`` or one of ``SETBACKS``."""
        world = self.world
        with (
            brought_up(world.servers, self._console),
            world.producer() as platform,
            PlatformStorage(world.supabase.url, world.supabase.service_role_key) as storage,
        ):
            user_id, store = platform.new_user(), platform.new_store()
            for is_simulated, acts in groupby(steps, self._is_simulated):
                with self._worker(is_simulated=is_simulated) as worker:
                    stage = Stage(
                        console=self._console,
                        worker=worker,
                        platform=platform,
                        storage=storage,
                        results=self._options.results,
                        limit_seconds=SIMULATED_LIMIT_SECONDS if is_simulated else REAL_LIMIT_SECONDS,
                        user_id=user_id,
                        store=store,
                    )
                    for step in acts:
                        self._console.heading(step.title)
                        self.findings.extend(step.play(stage))
            self._console.line()

    def _is_simulated(self, step: Step) -> bool:
        return self._options.provider is None or step.is_always_simulated

    @contextmanager
    def _worker(self, *, is_simulated: bool) -> Iterator[LocalWorker]:
        provider = {} if is_simulated or self._options.provider is None else self._options.provider
        worker = LocalWorker(self._home / "worker", worker_settings(self.world, **provider))
        try:
            with self._console.step(TITLES[worker.name]):
                worker.start()
            yield worker
        finally:
            worker.stop()


def _setback_of(show: _Show, steps: Sequence[Step]) -> str | None:
    """Play; what kept the demo from its end, in words, or ``None``."""
    try:
        show.play(steps)
    except DemoFailed as error:
        return f"The demo could not go on: {error}"
    except StartupFailed as failure:
        # Not the whole text: it names a log file that is about to move.
        return f"{TITLES.get(failure.name, failure.name)} did not start: {failure.reason}\n{failure.log_tail}".rstrip()
    except SETBACKS as error:
        return f"The demo could not go on. {type(error).__name__}: {error}"
    return None


def _introduce(console: Console, options: DemoOptions) -> None:
    console.line("wearon-worker demo: the real worker on a real Redis, a real Postgres and a local Supabase API.")
    if options.provider is None:
        console.line("The OpenAI images API is simulated: it answers with the inputs pasted together.")
    else:
        console.line(f"The pictures come from {options.provider['OPENAI_BASE_URL']} and cost money (some cents each).")
        console.line("The refused one stays simulated: nothing that breaks the rules is sent to your account.")
    console.line()


def _tell(console: Console, finding: Finding) -> None:
    for line in finding.lines:
        console.line(f"  {line}")
    for fault in finding.faults:
        console.line(f"    NOT AS EXPECTED: {fault}", Style.BAD)


def _keep_logs(home: Path, results: Path) -> Path:
    """Copy every part's log out of the world before it goes."""
    kept = results / "logs"
    kept.mkdir(parents=True, exist_ok=True)
    for log in home.glob("*/*.log"):
        shutil.copyfile(log, kept / log.name)
    return kept
