"""JSON lines as the worker's: time, level, event, then the rest; no secret in any."""

import logging
import re
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

import structlog

REDACTED: Final = "[redacted]"

BEARER: Final = re.compile(r"(?i)\bbearer\s+\S+")

FIRST: Final = ("timestamp", "level", "event")
"""What a person reads first."""

NUMBER: Final = re.compile(r"\+?\b[1-9][0-9]{9,14}\b")
"""A telephone number in somebody else's words, such as Meta's."""

FREE_TEXT: Final = frozenset({"details", "exception", "error"})
"""Keys whose values others wrote."""


class _Redactor:
    """structlog processor: takes secrets out of every text, and numbers out of what others wrote."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _logger: object, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: self._clean(key, value) for key, value in line.items()}

    def _clean(self, key: str, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._clean(key, part) for part in value]
        if not isinstance(value, str):
            return value
        for secret in self._secrets:
            value = value.replace(secret, REDACTED)
        value = BEARER.sub(f"Bearer {REDACTED}", value)
        return NUMBER.sub(REDACTED, value) if key in FREE_TEXT else value


def _first_things_first(_logger: object, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**{key: line[key] for key in FIRST if key in line}, **line}


def configure(secrets: Sequence[str]) -> None:
    """Set logging up for this process; libraries' records come out in the same form."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _Redactor(secrets),
        _first_things_first,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.PrintLoggerFactory(),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
