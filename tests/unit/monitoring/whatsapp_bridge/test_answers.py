"""What Meta's answers mean, as a table: by code, and by nothing else where there is one."""

import json
from typing import Any

import pytest

from monitoring.whatsapp_bridge.answers import RULES, Action, Result, verdict

ACCEPTED = {"messaging_product": "whatsapp", "contacts": [], "messages": [{"id": "wamid.1"}]}


def error(code: Any, **more: Any) -> bytes:
    return json.dumps(
        {"error": {"message": f"(#{code}) Words", "type": "OAuthException", "code": code, **more}}
    ).encode()


@pytest.mark.parametrize(
    ("status", "code", "result", "action"),
    [
        (401, 190, Result.TOKEN, Action.WAIT_FOR_OPERATOR),
        (400, 0, Result.TOKEN, Action.WAIT_FOR_OPERATOR),
        (403, 10, Result.TOKEN, Action.WAIT_FOR_OPERATOR),
        (403, 200, Result.TOKEN, Action.WAIT_FOR_OPERATOR),
        (403, 299, Result.TOKEN, Action.WAIT_FOR_OPERATOR),
        (400, 2500, Result.TOKEN, Action.WAIT_FOR_OPERATOR),
        (404, 132001, Result.TEMPLATE, Action.WAIT_FOR_OPERATOR),
        (400, 132000, Result.TEMPLATE, Action.WAIT_FOR_OPERATOR),
        (400, 132015, Result.TEMPLATE, Action.WAIT_FOR_OPERATOR),
        (400, 132005, Result.TEMPLATE, Action.REFUSE),
        (400, 132018, Result.TEMPLATE, Action.REFUSE),
        (400, 131042, Result.BILLING, Action.WAIT_FOR_OPERATOR),
        (400, 131031, Result.BILLING, Action.WAIT_FOR_OPERATOR),
        (400, 131026, Result.RECIPIENT, Action.REFUSE),
        (400, 131030, Result.RECIPIENT, Action.REFUSE),
        (400, 131047, Result.WINDOW, Action.REFUSE),
        (429, 131056, Result.RATE, Action.RETRY_RECIPIENT),
        (429, 130429, Result.RATE, Action.RETRY_ALL),
        (429, 80007, Result.RATE, Action.RETRY_ALL),
        (400, 131048, Result.RATE, Action.WAIT_FOR_OPERATOR),
        (500, 131000, Result.UNAVAILABLE, Action.RETRY_ALL),
        (503, 2, Result.UNAVAILABLE, Action.RETRY_ALL),
        (500, 999999, Result.UNAVAILABLE, Action.RETRY_ALL),
        (400, 999999, Result.UNKNOWN, Action.RETRY_RECIPIENT),
        (400, 100, Result.UNKNOWN, Action.RETRY_RECIPIENT),
        (400, "131026", Result.UNKNOWN, Action.RETRY_RECIPIENT),
    ],
)
def test_a_code_decides(status: int, code: Any, result: Result, action: Action) -> None:
    found = verdict(status, error(code), {})
    assert (found.rule.result, found.rule.action) == (result, action)


def test_the_status_decides_only_where_there_is_no_code() -> None:
    assert verdict(500, error(190), {}).rule.result is Result.TOKEN
    assert verdict(502, b"<html>bad gateway", {}).rule.result is Result.UNAVAILABLE
    assert verdict(429, b"", {}).rule.result is Result.RATE
    assert verdict(404, b"", {}).rule.result is Result.UNKNOWN


def test_a_phone_number_id_that_does_not_exist_is_for_the_operator() -> None:
    assert verdict(400, error(100, error_subcode=33), {}).rule.action is Action.WAIT_FOR_OPERATOR


def test_accepted_is_what_names_a_message() -> None:
    assert verdict(200, json.dumps(ACCEPTED).encode(), {}).rule.action is Action.DONE
    for body in (b"", b"<html>welcome to this hotel", b"[]", b'{"messages": []}'):
        assert verdict(200, body, {}).rule.action is Action.RETRY_ALL


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("-1", None), ("²", None)])
def test_retry_after_is_read_when_it_is_a_number(text: str, seconds: float | None) -> None:
    assert verdict(429, error(130429), {"retry-after": text}).retry_after_seconds == seconds


def test_metas_own_words_are_kept_short() -> None:
    found = verdict(400, error(131026, error_data={"details": "x" * 5000}), {})
    assert found.details.startswith("(#131026) Words / xxx")
    assert len(found.details) <= 300


def test_every_rule_says_what_to_do() -> None:
    assert all(rule.advice.endswith(".") or rule.advice.endswith("?") for rule in RULES.values())
