"""Every way a connection can fail has a meaning."""

import inspect

import httpx
import pytest

from models.failures import ProviderAnswerUnusable
from services.openai_errors import Retryable
from services.openai_wire import translate_transport_error


def request_errors() -> list[type[httpx.RequestError]]:
    return [error for _, error in inspect.getmembers(httpx, inspect.isclass) if issubclass(error, httpx.RequestError)]


@pytest.mark.parametrize("error", request_errors())
def test_every_error_of_the_http_client_is_translated(error: type[httpx.RequestError]) -> None:
    verdict = translate_transport_error(error("secret-host.internal refused"))
    expected = Retryable if issubclass(error, httpx.TransportError) else ProviderAnswerUnusable
    assert type(verdict) is expected
    assert "secret-host" not in str(verdict)


def test_an_error_of_the_operating_system_counts_as_no_answer() -> None:
    assert isinstance(translate_transport_error(OSError("bad record mac")), Retryable)
