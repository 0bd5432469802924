"""Callers on the internet: one request, or a steady stream of them, to the host's public name."""

import asyncio
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.infra.engine.host import Host
from tests.infra.engine.internet import DOMAIN
from tests.infra.engine.namespaces import HOST_ADDRESS

CLIENT_SECONDS: Final = 5.0
"""The platform's client gives up after this long (docs/size-recommendation.md)."""

HEALTH_PER_SECOND: Final = 20.0
ESTIMATES_PER_SECOND: Final = 5.0
"""Below nginx's limit of ten a second for one client."""

SHOWN_FAILURES: Final = 5
REQUEST_ID: Final = re.compile(r"req_[0-9a-f]{32}")


class Caller:
    """Asks the host by its name; trusts nobody but whoever issued its certificate."""

    def __init__(self, authority: Path) -> None:
        self._authority = authority

    def context(self) -> ssl.SSLContext:
        """For a client that checks the chain and the name."""
        return ssl.create_default_context(cafile=self._authority)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request over a new connection."""
        with httpx.Client(verify=self.context(), trust_env=False, timeout=CLIENT_SECONDS) as client:
            return client.send(request(client, method, path, **options))

    def serial(self) -> int:
        """The serial number of the certificate that is served now."""
        with (
            httpx.Client(verify=self.context(), trust_env=False, timeout=CLIENT_SECONDS) as client,
            client.stream("GET", f"https://{HOST_ADDRESS}/health", **named()) as answer,
        ):
            tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
            return int(tls.getpeercert()["serialNumber"], 16)


def named() -> dict[str, Any]:
    """The host's name in the handshake and in the request; its address is in the URL, as there is no resolver here."""
    return {"headers": {"Host": DOMAIN}, "extensions": {"sni_hostname": DOMAIN}}


def request(client: httpx.Client | httpx.AsyncClient, method: str, path: str, **options: Any) -> httpx.Request:
    """A request to the host; ``scheme`` may be ``http``, ``headers`` come on top."""
    scheme = options.pop("scheme", "https")
    headers = {"Host": DOMAIN, **options.pop("headers", {})}
    return client.build_request(
        method,
        f"{scheme}://{HOST_ADDRESS}{path}",
        headers=headers,
        extensions={"sni_hostname": DOMAIN, "timeout": httpx.Timeout(CLIENT_SECONDS).as_dict()},
        **options,
    )


@dataclass(slots=True)
class Answers:
    """What a stream of requests got. ``degraded`` are answers of /health with another status than ``ok``."""

    asked: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0

    def __str__(self) -> str:
        asked = ", ".join(f"{count} {path}" for path, count in sorted(self.asked.items()))
        return (
            f"{asked}: {len(self.failures)} failed, {len(self.degraded)} degraded, slowest {self.slowest_seconds:.2f} s"
        )


def expect_all_well(host: Host, answers: Answers) -> None:
    """Raises ``AssertionError``, with what nginx logged about them, when requests failed or an answer was degraded."""
    bad = [*answers.failures, *answers.degraded]
    if not bad:
        return
    ids = {found for text in bad for found in REQUEST_ID.findall(text)}
    logged = [line for line in host.log("nginx").splitlines() if any(name in line for name in ids)]
    raise AssertionError("\n".join([str(answers), *bad[:SHOWN_FAILURES], *logged[:SHOWN_FAILURES]]))


class SteadyCalls:
    """Asks /health and /estimate-body at a steady pace while the block around it runs; ``answers`` afterwards."""

    def __init__(
        self,
        caller: Caller,
        estimate: Mapping[str, object] | None,
        *,
        health_per_second: float = HEALTH_PER_SECOND,
        estimates_per_second: float = ESTIMATES_PER_SECOND,
    ) -> None:
        self.answers = Answers()
        self._caller = caller
        self._estimate = estimate
        self._paces = {"/health": health_per_second, "/estimate-body": estimates_per_second if estimate else 0.0}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="callers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _run(self) -> None:
        async with httpx.AsyncClient(verify=self._caller.context(), trust_env=False) as client:
            streams = [self._stream(client, path, 1 / pace) for path, pace in self._paces.items() if pace]
            await asyncio.gather(*streams)

    async def _stream(self, client: httpx.AsyncClient, path: str, interval_seconds: float) -> None:
        under_way: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while not self._stopping.is_set():
            task = asyncio.create_task(self._ask(client, path))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += interval_seconds
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*under_way)

    async def _ask(self, client: httpx.AsyncClient, path: str) -> None:
        body = {"json": dict(self._estimate)} if path == "/estimate-body" and self._estimate else {}
        began_at = time.monotonic()
        self.answers.asked[path] += 1
        try:
            answer = await client.send(request(client, "POST" if body else "GET", path, **body))
        except httpx.HTTPError as error:
            self._note(self.answers.failures, path, repr(error))
            return
        self.answers.slowest_seconds = max(self.answers.slowest_seconds, time.monotonic() - began_at)
        if not answer.is_success:
            self._note(self.answers.failures, path, f"{answer.status_code} {answer.text}")
        elif path == "/health" and answer.json()["status"] != "ok":
            self._note(self.answers.degraded, path, answer.text)

    @staticmethod
    def _note(where: list[str], path: str, what: str) -> None:
        where.append(f"{time.strftime('%H:%M:%S')} {path}: {what}")
