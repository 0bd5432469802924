"""``GET /v1/models``: when the provider shuts its models down.

No generation: it takes no turn at the gate and is not counted among the requests.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any, Final

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from models.redaction import blotted
from services.providers.openai.errors import parse_error
from services.tls import public_client_context

TIMEOUT_SECONDS: Final = 10.0
"""For connecting, and for each piece of the answer."""

WHOLE_ANSWER_SECONDS: Final = 30.0
"""An answer that drips is given up; whoever asks has a thread of their own and a day's time."""

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""A hundred and fifty models take 20 kB."""

_DATE_FIELD: Final = "shutdown_date"


class ModelListUnusable(Exception):
    """The provider gave no list of models; the text says what it gave, fit for the log."""


@dataclass(frozen=True, slots=True)
class ShutdownDates:
    """``by_model`` has every model with an announced end; ``told`` is false where the list has no such field at all, as
    with gateways and older versions of the API."""

    by_model: Mapping[str, datetime]
    told: bool


class _Model(BaseModel):
    id: str
    shutdown_date: date | datetime | None = None


class _ModelList(BaseModel):
    data: list[Any]


_MODEL: Final = TypeAdapter(_Model)


def ask_shutdown_dates(
    base_url: str,
    api_key: str,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
) -> ShutdownDates:
    """Asks once. Blocks the calling thread, for at most about ``WHOLE_ANSWER_SECONDS``.

    Args:
        base_url: with the version, for example ``https://api.openai.com/v1``.
        api_key: sent as a bearer token.
        timeout_seconds: for the connection and for each silence.
        max_answer_bytes: a longer list is given up.

    Raises:
        ModelListUnusable: no connection, an error status, or an answer of another form.
    """
    try:
        with (
            httpx.Client(
                verify=public_client_context(), trust_env=False, follow_redirects=False, timeout=timeout_seconds
            ) as client,
            client.stream(
                "GET", f"{base_url.rstrip('/')}/models", headers={"authorization": f"Bearer {api_key}"}
            ) as response,
        ):
            body = _read_bounded(response, max_answer_bytes)
    except (httpx.HTTPError, OSError) as error:
        raise ModelListUnusable(type(error).__name__) from None  # the text may hold addresses
    if response.status_code != HTTPStatus.OK:
        raise ModelListUnusable(f"HTTP {response.status_code} {parse_error(body).message}".rstrip())
    return read_shutdown_dates(body)


def read_shutdown_dates(body: bytes) -> ShutdownDates:
    """What a list says [pure]. An entry that cannot be read is passed over: it is rarely one of ours.

    Raises:
        ModelListUnusable: it is no list of models.
    """
    try:
        entries = _ModelList.model_validate_json(body).data
    except ValidationError:
        raise ModelListUnusable(f"no list of models: {blotted(repr(body[:80]))}") from None
    models = [model for entry in entries if (model := _read_entry(entry)) is not None]
    return ShutdownDates(
        by_model={model.id: _beginning(model.shutdown_date) for model in models if model.shutdown_date is not None},
        told=any(_DATE_FIELD in model.model_fields_set for model in models),
    )


def _read_entry(entry: object) -> _Model | None:
    try:
        return _MODEL.validate_python(entry)
    except ValidationError:
        return None


def _beginning(day: date | datetime) -> datetime:
    """The first moment at which the model may be gone; a date alone is taken as UTC's."""
    moment = day if isinstance(day, datetime) else datetime.combine(day, datetime.min.time())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _read_bounded(response: httpx.Response, max_answer_bytes: int) -> bytes:
    give_up_at = time.monotonic() + WHOLE_ANSWER_SECONDS
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > max_answer_bytes or time.monotonic() > give_up_at:
            raise ModelListUnusable("the list is too long, or comes too slowly")
    return bytes(body)
