"""One logging set-up for every process: JSON lines, the task's ids on each, nothing secret in any (Pattern 1).

Third-party libraries log through the standard library; their records pass through the same processors, so they
come out in the same form, carry the ids bound to the current task and are redacted alike.
"""

import faulthandler
import logging
import logging.config
import os
import re
import sys
import threading
import types
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import structlog

REDACTED = "[redacted]"

QUERY_OF_A_URL = re.compile(r"(?i)((?:https?|rediss?)://[^\s?#\"'<>]+)\?[^\s\"'<>]*")
"""A signed URL carries its right of access in the query; the path alone says which object it was."""

CREDENTIALS_IN_A_URL = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s@\"'<>]+@")
BEARER_TOKEN = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")
API_KEY = re.compile(r"\b(sk-[A-Za-z0-9_-]{8,}|sb_secret_[A-Za-z0-9_-]+|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+)")

READ_FIRST = ("timestamp", "level", "event", "request_id", "session_id", "process", "logger")
"""How every line begins, in this order and as far as it has them: when, how bad, what, whose. The rest follows."""

LONGEST_STRING = 4_000
"""Characters. The middle of longer values is cut out: nobody reads them, and one could be a photograph in base64."""

KEPT_AT_THE_END = 2_500
"""Characters kept from the end of a value that is cut; more than from its beginning, because a traceback names the
error at its end."""

SHORTEST_SECRET = 6
"""Characters. Replacing shorter strings everywhere would garble ordinary words."""

NOISY_LOGGERS: Mapping[str, int] = {
    # Every request with its full URL at INFO; ours log what matters with the query left out.
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "hpack": logging.WARNING,
    "PIL": logging.INFO,
    # "Task ... received/succeeded": the tasks' own lines say more and carry the request id.
    "celery.worker.strategy": logging.WARNING,
    "celery.app.trace": logging.WARNING,
    # One line for each request to /health; the metrics count them.
    "uvicorn.access": logging.WARNING,
    # "Uvicorn running on ..." when the port is taken, seconds before it is open: web/server.py tells both ends.
    "uvicorn.error": logging.WARNING,
}


LOST_ACKNOWLEDGEMENT = "Couldn't ack "
"""Beginning of kombu's log message for it (``kombu.message.Message.ack_log_error``); the last argument is the error."""


class LostAcknowledgementFilter(logging.Filter):
    """Logs a lost acknowledgement as one line at WARNING, without kombu's CRITICAL and its traceback.

    A task that ends while the broker is unreachable cannot be acknowledged. This is expected and loses nothing: the
    session is settled, and the message that is delivered again is recognised by its id
    (``worker/execution/tasks.py``). All other records pass unchanged.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record if it is a lost acknowledgement; always returns true."""
        if str(record.msg).startswith(LOST_ACKNOWLEDGEMENT) and isinstance(record.args, tuple) and record.args:
            record.reason = type(record.args[-1]).__name__
            record.msg, record.args = "acknowledgement_lost", ()
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
            record.exc_info = record.exc_text = None
        return True


class Redactor:
    """structlog processor that takes secrets, credentials and URL queries out of every value of a line."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = self._clean(value)
        return event

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.clean_text(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"[{len(value)} bytes]"
        if isinstance(value, Mapping):
            return {str(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean_text(str(value))

    def clean_text(self, text: str) -> str:
        """``text`` without secrets, credentials and URL queries; the middle left out if it is long."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        if "://" in text:
            text = CREDENTIALS_IN_A_URL.sub(rf"\1{REDACTED}@", text)
            text = QUERY_OF_A_URL.sub(rf"\1?{REDACTED}", text)
        text = BEARER_TOKEN.sub(rf"\1 {REDACTED}", text)
        text = API_KEY.sub(REDACTED, text)
        return text if len(text) <= LONGEST_STRING else _without_its_middle(text)


def _without_its_middle(text: str) -> str:
    head, tail = text[: LONGEST_STRING - KEPT_AT_THE_END], text[-KEPT_AT_THE_END:]
    return f"{head}... ({len(text)} characters) ...{tail}"


def put_first(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor that puts ``READ_FIRST`` before everything else."""
    return {name: event[name] for name in READ_FIRST if name in event} | dict(event)


def _name_error(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the error's type as a field: a long message can push it out of the part of the traceback that is kept."""
    kind = _kind_of(event.get("exc_info"))
    if kind is not None:
        event.setdefault("error_type", f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
    return event


def _kind_of(exc_info: object) -> type[BaseException] | None:
    """The type of what structlog and the standard library accept as ``exc_info``."""
    match exc_info:
        case BaseException():
            return type(exc_info)
        case (type() as kind, _, _):
            return kind
        case None | False | (None, _, _):
            return None
        case _:
            return sys.exc_info()[0]


def configure_logging(level: str, secrets: Iterable[str] = (), process: str = "worker") -> None:
    """Send all logs of this process to standard output as JSON lines.

    Args:
        level: least level that is written, for example ``INFO``.
        secrets: values to take out wherever they appear.
        process: which of the worker's processes this is; on every line.
    """
    shared = _for_every_line(process)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    json_lines = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [*shared, structlog.stdlib.ExtraAdder(), _drop_colours],
        "processors": _to_json(secrets),
    }
    logging.config.dictConfig(_standard_logging(level, json_lines))
    logging.captureWarnings(capture=True)
    # An error while writing the log (full disk, reader gone) must not be printed to standard error: a thread reads that
    # and logs it, so the two would wait for each other for ever.
    logging.raiseExceptions = False
    sys.excepthook = _log_end_of_process
    threading.excepthook = _log_end_of_thread


def _for_every_line(process: str) -> list[structlog.types.Processor]:
    """What a line gets, whoever writes it: our code or a library."""

    def name_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        name_process,
    ]


def _to_json(secrets: Iterable[str]) -> list[structlog.types.Processor]:
    """From a line's fields to the text that is written; nothing is added after the secrets are out."""
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _name_error,
        structlog.processors.format_exc_info,
        Redactor(secrets),
        put_first,
        structlog.processors.JSONRenderer(),
    ]


def _drop_colours(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("color_message", None)  # uvicorn's text a second time, with escape sequences
    return event


def _standard_logging(level: str, json_lines: Mapping[str, object]) -> dict[str, object]:
    """The configuration of the standard library's logging: everything through the root, as JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": json_lines},
        "filters": {"acknowledgements": {"()": LostAcknowledgementFilter}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "root": {"handlers": ["stdout"], "level": level},
        # Libraries that bring handlers of their own write through the root like everybody else.
        "loggers": {
            **{name: {"level": logging.getLevelName(least)} for name, least in NOISY_LOGGERS.items()},
            **{name: {"handlers": [], "propagate": True} for name in ("uvicorn", "celery")},
            "celery.worker.request": {"filters": ["acknowledgements"]},
        },
    }


def log_standard_error() -> threading.Thread:
    """Redirect standard error into the log: every line written there becomes a log line.

    Native libraries write there directly (LiteRT's start-up notices). A crash of the interpreter itself still goes to
    the real standard error.

    Returns:
        The thread that reads it. If it ends, writers block for ever once the pipe is full.
    """
    real = os.dup(sys.stderr.fileno())
    faulthandler.enable(file=real)
    reading, writing = os.pipe()
    os.dup2(writing, sys.stderr.fileno())
    os.close(writing)
    reader = threading.Thread(target=_log_lines, args=(reading,), name="stderr", daemon=True)
    reader.start()
    return reader


def _log_lines(file_descriptor: int) -> None:
    with os.fdopen(file_descriptor, "rb") as lines:
        for line in lines:
            if text := line.decode(errors="replace").strip():
                structlog.get_logger().info("standard_error", text=text)


def _log_end_of_process(kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None) -> None:
    structlog.get_logger().critical("process_ended_by_error", exc_info=(kind, error, traceback))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    error = ended.exc_value or ended.exc_type()
    thread = ended.thread.name if ended.thread else None
    structlog.get_logger().critical(
        "thread_ended_by_error", thread=thread, exc_info=(ended.exc_type, error, ended.exc_traceback)
    )
