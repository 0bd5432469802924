"""One HTTP exchange with the provider: the request goes out, a verdict comes back.

Every attempt has a connection of its own, because each task has an event loop of its own (Pattern 4).
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol

import httpx

from models.failures import DeadlineExceeded, ProviderAnswerUnusable, ProviderFailure, ProviderUnavailable
from models.generation import GeneratedImage
from models.image_models import ImageModelProfile
from services.byte_budget import ByteBudget, Holding
from services.providers.image_provider import ImageProvider, ModelGone, ProviderRequest, Retryable
from services.tls import public_client_context
from services.turns.gate import Turn, TurnGate

CONNECT_TIMEOUT_SECONDS: Final = 10.0
WRITE_TIMEOUT_SECONDS: Final = 30.0
"""For one write of at most one picture (well under a megabyte)."""

MAX_ERROR_BYTES: Final = 64 * 1024
"""What is read of an error's body; real ones have a few hundred bytes."""

_HEADERS_STARTED_EVENT: Final = "http11.send_request_headers.started"
"""The connection stands, nothing was sent yet (httpx documentation, Extensions, "trace")."""

_HEADERS_SENT_EVENT: Final = "http11.send_request_headers.complete"
"""The kernel has the first bytes."""

_NOTED_HEADERS: Final = (
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
)
"""Of an error, for the log; FR-3 decides whether there is a retry, the provider only how long it waits."""


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """How long an exchange may take, and how large its answer may be; other values in tests only."""

    attempt_timeout_seconds: float = 180.0
    """One attempt from its turn to the head of its answer. A picture takes 20 to 60 s, at high load more; three minutes
    leave a second attempt some of the task's five (NFR-5.2)."""

    answer_timeout_seconds: float = 30.0
    """From the head of the answer to its end, waiting for memory not counted: a megabyte or two that lie ready."""

    max_answer_bytes: int = 8 * 1024 * 1024
    """A result of 1.5 megapixels is 0.3 to 1 MB, a third more in base64. Pure noise at JPEG quality 95 comes to
    2.4 MiB."""

    answer_memory_bytes: int = 32 * 1024 * 1024
    """For all answers of a process, from the first byte to the decoded picture: room for four of the largest; 150 at
    the same moment would not fit into 896 MiB. Paid by the byte that arrived (ADR 0015), so an answer that drips holds
    up nobody. Decoding takes three times an answer at most (as bytes, as text, as the picture's base64), so all of them
    together never take more than 96 MiB."""

    turn_fresh_seconds: float = 20.0
    """A turn can be used late, for its stamp is moved then (``RateGate.sent``), as long as it still counts in the
    window. Connecting takes half of this at most; a process that stood still for longer takes another turn."""


EXCHANGE_LIMITS: Final = ExchangeLimits()
"""Those of production."""


class Deadline(Protocol):
    """The task's own time limit (NFR-5.2), which stands still while the task waits for its turn."""

    @property
    def limit_seconds(self) -> float:
        """The whole limit."""

    def remaining_seconds(self) -> float:
        """What is left of it; zero or less when it is used up."""

    def paused(self) -> AbstractContextManager[None]:
        """Stops the clock for the ``with`` block."""


Verdict = GeneratedImage | ModelGone | Retryable | ProviderFailure | DeadlineExceeded
"""What came of one attempt; failures are returned, not raised."""


@dataclass(slots=True)
class Attempt:
    """One request on its way."""

    profile: ImageModelProfile
    request: ProviderRequest
    clock: Deadline
    turn: Turn
    timeout: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))
    ends_with_task: bool = False
    noted_headers: dict[str, str] = field(default_factory=dict)

    def start_timeout(self, seconds: float) -> None:
        """(Re)starts the attempt's time, bounded by what is left of the task's."""
        remaining_seconds = self.clock.remaining_seconds()
        self.ends_with_task = remaining_seconds <= seconds
        self.timeout.reschedule(asyncio.get_running_loop().time() + min(seconds, remaining_seconds))

    def stop_timeout(self) -> None:
        """From here on the attempt may take as long as it takes."""
        self.timeout.reschedule(None)

    @contextmanager
    def waiting(self, seconds_afterwards: float) -> Iterator[None]:
        """Time spent inside counts neither against the attempt, whose time starts again after it, nor the task."""
        self.stop_timeout()
        with self.clock.paused():
            yield
        self.start_timeout(seconds_afterwards)

    def timed_out(self) -> Retryable | DeadlineExceeded:
        """What running out of time meant."""
        if self.ends_with_task and self.timeout.expired():
            return DeadlineExceeded(self.clock.limit_seconds)
        return Retryable(ProviderUnavailable("no complete answer in time"))


class ProviderWire:
    """Sends requests; one object per process, shared by all threads.

    Args:
        provider: reads the answers.
        turns: asked again when a turn went stale before it was used.
        cancelled: true once the process shuts down.
        limits: other values in tests only.
    """

    def __init__(
        self,
        provider: ImageProvider,
        *,
        turns: TurnGate,
        cancelled: Callable[[], bool],
        limits: ExchangeLimits = EXCHANGE_LIMITS,
    ) -> None:
        self._provider = provider
        self._turns = turns
        self._cancelled = cancelled
        self._limits = limits
        self._timeouts = httpx.Timeout(
            connect=CONNECT_TIMEOUT_SECONDS,
            write=WRITE_TIMEOUT_SECONDS,
            read=limits.attempt_timeout_seconds,
            pool=None,
        )
        self._memory = ByteBudget(limits.answer_memory_bytes, largest_bytes=limits.max_answer_bytes)
        self._tls = public_client_context()

    async def exchange(self, attempt: Attempt) -> Verdict:
        """Sends the request and turns whatever comes of it into a verdict."""
        try:
            async with attempt.timeout:
                attempt.start_timeout(self._limits.attempt_timeout_seconds)
                return await self._send(attempt)
        except TimeoutError:
            return attempt.timed_out()
        except (httpx.RequestError, OSError) as error:
            return translate_transport_error(error)

    async def _send(self, attempt: Attempt) -> Verdict:
        async def around_first_bytes(event: str, _details: object) -> None:
            if event == _HEADERS_STARTED_EVENT:
                await self._wait_for_moment(attempt)
            elif event == _HEADERS_SENT_EVENT:
                self._turns.sent(attempt.turn)

        request = attempt.request
        # The picture is compressed already; a bound on bytes stays a bound.
        headers = {**request.headers, "accept-encoding": "identity"}
        async with (
            httpx.AsyncClient(
                verify=self._tls, trust_env=False, follow_redirects=False, timeout=self._timeouts
            ) as client,
            client.stream(
                "POST", request.url, headers=headers, content=request.body, extensions={"trace": around_first_bytes}
            ) as response,
        ):
            if response.status_code == HTTPStatus.OK:
                return await self._read_picture(response, attempt)
            attempt.noted_headers = {
                name: response.headers[name] for name in _NOTED_HEADERS if name in response.headers
            }
            return self._provider.classify(response.status_code, response.headers, await _read_error(response))

    async def _wait_for_moment(self, attempt: Attempt) -> None:
        if time.monotonic() - attempt.turn.slot.opens_at > self._limits.turn_fresh_seconds:
            with attempt.waiting(self._limits.attempt_timeout_seconds):
                attempt.turn = self._turns.renew(attempt.turn, self._cancelled)
        if (early_seconds := attempt.turn.slot.opens_at - time.monotonic()) > 0:
            await asyncio.sleep(early_seconds)

    async def _read_picture(self, response: httpx.Response, attempt: Attempt) -> Verdict:
        """Reads and decodes a 200 answer, which pays for its memory on its own account."""
        timeout_seconds = self._limits.answer_timeout_seconds
        attempt.start_timeout(timeout_seconds)
        while_waiting = partial(attempt.waiting, timeout_seconds)
        with self._memory.holding(id(attempt), while_waiting=while_waiting) as memory:
            try:
                body = await _read_bounded(response, memory, self._limits.max_answer_bytes)
                attempt.stop_timeout()  # what has arrived is paid for; it is not asked for again
                return self._provider.read_answer(body, response.headers, attempt.profile)
            except ProviderAnswerUnusable as failure:
                return failure


def translate_transport_error(error: httpx.RequestError | OSError) -> Retryable | ProviderAnswerUnusable:
    """No answer at all (FR-3.3), or one that breaks HTTP's rules for content."""
    name = type(error).__name__  # the text may hold addresses
    if isinstance(error, httpx.TransportError | OSError):
        return Retryable(ProviderUnavailable(f"no answer: {name}"))
    return ProviderAnswerUnusable(f"unreadable answer: {name}", status=HTTPStatus.OK)


async def _read_bounded(response: httpx.Response, memory: Holding, max_bytes: int) -> bytearray:
    at_most_bytes = largest_size_bytes(response.headers, max_bytes)
    body = bytearray()
    async for chunk in response.aiter_bytes():
        size_bytes = len(body) + len(chunk)
        if size_bytes > max_bytes:
            raise ProviderAnswerUnusable(f"more than {max_bytes} bytes", status=HTTPStatus.OK)
        await memory.hold(size_bytes, at_most_bytes)
        body += chunk
    return body


def largest_size_bytes(headers: httpx.Headers, max_bytes: int) -> int:
    """What an answer can come to before it is refused as larger than ``max_bytes``: its announced length, where that is
    what will arrive."""
    announced = headers.get("content-length", "")
    if not announced.isdecimal() or "transfer-encoding" in headers or "content-encoding" in headers:
        return max_bytes
    return min(int(announced), max_bytes)


async def _read_error(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ERROR_BYTES:
            break
    return bytes(body[:MAX_ERROR_BYTES])
