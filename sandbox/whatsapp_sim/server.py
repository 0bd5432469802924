"""The stand-in's server and its switches (``sandbox/whatsapp_sim/__init__.py`` shows how to use it)."""

import json
import secrets
import socket
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self, cast

from sandbox.whatsapp_sim.rules import (
    TEMPLATE_TEXT,
    Account,
    Refusal,
    filled_in,
    parameters_of,
    refuse_body,
    refuse_call,
)

PAIR_INTERVAL_SECONDS: Final = 6.0
PAIR_BURST: Final = 45
"""Messages to one recipient at once, lent from the time that follows."""

THROUGHPUT_PER_SECOND: Final = 80

WINDOW_SECONDS: Final = 24 * 3600

LARGEST_BODY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that was accepted."""

    at_seconds: float
    """``time.time()``."""
    to: str
    text: str
    """As the recipient reads it."""
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    at_seconds: float
    to: str
    status: int
    code: int | None


class WhatsAppSim:
    """Meta's Cloud API on loopback, strict; see the package for its switches."""

    def __init__(
        self,
        *,
        token: str = "EAA-a-token-of-the-stand-in",  # noqa: S107 - of a stand-in
        phone_number_id: str = "106540352242922",
        template: str = "worker_alert",
        language: str = "en",
        template_text: str = TEMPLATE_TEXT,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self.account = Account(token, phone_number_id, template, language, template_text)
        self.accepted: list[Accepted] = []
        self.answers: list[Answer] = []
        self._calls = 0
        """Under way."""
        self.undeliverable: set[str] = set()
        self.answer_after_seconds = 0.0
        self._is_away = self._token_has_expired = self._is_holding = False
        self._failures: deque[tuple[Refusal, str | None]] = deque()
        self._windows: dict[str, float] = {}
        self._lent_until: dict[str, float] = defaultdict(float)
        self._last_second: deque[float] = deque()
        self._lock = threading.Condition()
        self._server = _Server((host, port), _Handler)
        self._server.sim = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def base_url(self) -> str:
        """Without version and path."""
        host, port = self._server.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}"

    def environment(self, *recipients: str) -> dict[str, str]:
        """The bridge's settings for this stand-in."""
        return {
            "WHATSAPP_ACCESS_TOKEN": self.account.token,
            "WHATSAPP_PHONE_NUMBER_ID": self.account.phone_number_id,
            "WHATSAPP_RECIPIENTS": ",".join(recipients),
            "WHATSAPP_TEMPLATE_NAME": self.account.template,
            "WHATSAPP_TEMPLATE_LANGUAGE": self.account.language,
            "WHATSAPP_API_VERSION": f"v{self.account.newest_version}.0",
            "WHATSAPP_API_BASE_URL": self.base_url,
        }

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def away(self) -> None:
        """Hang up on every connection until ``back``."""
        self._is_away = True

    def back(self) -> None:
        """Answer again."""
        self._is_away = False

    def hold(self) -> None:
        """Accept or refuse at once, and answer at the release."""
        self._is_holding = True

    def release(self) -> None:
        """Give the answers that are held, and hold no more."""
        with self._lock:
            self._is_holding = False
            self._lock.notify_all()

    def expire_token(self) -> None:
        """Refuse the token from now on (190)."""
        self._token_has_expired = True

    def open_window(self, to: str) -> None:
        """As if the recipient had just written: free text is taken for 24 hours."""
        self._windows[to.removeprefix("+")] = self._clock() + WINDOW_SECONDS

    def fail_next(
        self, code: int, *, times: int = 1, to: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        """Answer the next messages, to anybody or to this number, with a code."""
        refusal = Refusal(code, f"asked for with fail_next({code})", retry_after_seconds=retry_after_seconds)
        with self._lock:
            self._failures.extend([(refusal, to)] * times)

    def wait_for_accepted(self, number: int, within_seconds: float) -> list[Accepted]:
        """Those accepted so far, once there are so many.

        Raises:
            TimeoutError: there are fewer after this time.
        """
        with self._lock:
            if not self._lock.wait_for(lambda: len(self.accepted) >= number, within_seconds):
                raise TimeoutError(f"{len(self.accepted)} instead of {number} messages after {within_seconds:g} s")
            return list(self.accepted)

    def wait_until_quiet(self, within_seconds: float) -> None:
        """Until every call that has reached it is over, also one whose caller is gone.

        Raises:
            TimeoutError: one is still under way after this time.
        """
        with socket.create_connection(self._server.socket.getsockname(), within_seconds) as last:
            last.shutdown(socket.SHUT_WR)
            last.recv(1)  # calls begin in the order in which they came: all before this one have
        with self._lock:
            if not self._lock.wait_for(lambda: self._calls == 0, within_seconds):
                raise TimeoutError(f"{self._calls} calls are under way after {within_seconds:g} s")

    def count(self, calls: int) -> None:
        """So many more are under way."""
        with self._lock:
            self._calls += calls
            self._lock.notify_all()

    @property
    def hangs_up_now(self) -> bool:
        """Whether a connection is hung up on before anything is read."""
        return self._is_away

    def handle(self, path: str, authorization: str, raw: bytes) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, body and headers of the answer."""
        if self.answer_after_seconds:
            time.sleep(self.answer_after_seconds)
        with self._lock:
            body = _object(raw)
            to = str(body.get("to", ""))
            refusal = self._refusal(path, authorization, body, to)
            now = self._clock()
            self.answers.append(Answer(now, to, refusal.status if refusal else 200, refusal.code if refusal else None))
            if refusal is None:
                self._accept(now, to, body)
            self._lock.notify_all()
            self._lock.wait_for(lambda: not self._is_holding)
        if refusal is not None:
            after = refusal.retry_after_seconds
            return refusal.status, refusal.body(), {} if after is None else {"Retry-After": str(after)}
        wa_id = to.removeprefix("+")
        message = {"id": f"wamid.{secrets.token_hex(12)}", "message_status": "accepted"}
        contacts = [{"input": to, "wa_id": wa_id}]
        return 200, {"messaging_product": "whatsapp", "contacts": contacts, "messages": [message]}, {}

    def _refusal(self, path: str, authorization: str, body: dict[str, Any], to: str) -> Refusal | None:
        token = "" if self._token_has_expired else authorization
        window_is_open = self._windows.get(to.removeprefix("+"), 0.0) > self._clock()
        return (
            refuse_call(self.account, path=path, authorization=token)
            or refuse_body(self.account, body, window_is_open=window_is_open)
            or self._asked_for(to)
            or (Refusal(131026, "Message undeliverable") if to in self.undeliverable else None)
            or self._too_fast(to)
        )

    def _asked_for(self, to: str) -> Refusal | None:
        for entry in self._failures:
            if entry[1] in {None, to}:
                self._failures.remove(entry)
                return entry[0]
        return None

    def _too_fast(self, to: str) -> Refusal | None:
        now = self._clock()
        while self._last_second and self._last_second[0] <= now - 1.0:
            self._last_second.popleft()
        if len(self._last_second) >= THROUGHPUT_PER_SECOND:
            return Refusal(130429, "Cloud API message throughput has been reached.")
        lent = max(self._lent_until[to], now)
        if lent - now > (PAIR_BURST - 1) * PAIR_INTERVAL_SECONDS:
            return Refusal(131056, "Too many messages sent from the sender phone number to the same recipient.")
        self._lent_until[to] = lent + PAIR_INTERVAL_SECONDS
        self._last_second.append(now)
        return None

    def _accept(self, now: float, to: str, body: dict[str, Any]) -> None:
        if body.get("type") == "template":
            parameters = parameters_of(body["template"]) or []
            text = filled_in(self.account.template_text, parameters)
            self.accepted.append(Accepted(now, to, text, tuple(parameters)))
        else:
            self.accepted.append(Accepted(now, to, body["text"]["body"], ()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    sim: WhatsAppSim

    def process_request(self, request: Any, client_address: Any) -> None:
        """One call after the other; each then goes its own way."""
        self.sim.count(1)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """It is over."""
        super().shutdown_request(request)
        self.sim.count(-1)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed while it waits is what some tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(cast(socket.socket, request), client_address)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        sim = cast(_Server, self.server).sim
        self.close_connection = True
        if sim.hangs_up_now:
            return
        raw = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), LARGEST_BODY_BYTES))
        status, body, headers = sim.handle(self.path, self.headers.get("Authorization", ""), raw)
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: who looks reads ``answers``."""


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
