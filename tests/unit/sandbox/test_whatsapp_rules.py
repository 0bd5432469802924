"""The stand-in of Meta's Cloud API refuses what the real one refuses, and takes what the bridge makes."""

from typing import Any, Final

import pytest

from monitoring.whatsapp_bridge import template as of_the_bridge
from sandbox.whatsapp_sim.rules import TEMPLATE_TEXT, Account, refuse_body, refuse_call

ACCOUNT: Final = Account("EAAtoken", "106540352242922", "worker_alert", "en", TEMPLATE_TEXT)
PATH: Final = "/v26.0/106540352242922/messages"
GOOD: Final = ("CRITICAL: Redis is away", "worker.example.com", "It does not answer", "https://example.com/x.md")


def body(*parameters: str, **more: Any) -> dict[str, Any]:
    """What the bridge sends, with changes."""
    made = of_the_bridge.request_body(parameters or GOOD, to="+4915112345678", template="worker_alert", language="en")
    return made | more


def code_of(made: dict[str, Any], *, window_is_open: bool = False) -> int | None:
    refusal = refuse_body(ACCOUNT, made, window_is_open=window_is_open)
    return refusal.code if refusal else None


def test_what_the_bridge_sends_is_taken() -> None:
    assert refuse_call(ACCOUNT, path=PATH, authorization="Bearer EAAtoken") is None
    assert code_of(body()) is None


def test_both_sides_know_the_same_template() -> None:
    assert of_the_bridge.TEMPLATE_TEXT == TEMPLATE_TEXT


@pytest.mark.parametrize(
    ("path", "authorization", "code"),
    [
        ("/v99.0/106540352242922/messages", "Bearer EAAtoken", 2500),
        ("/26/106540352242922/messages", "Bearer EAAtoken", 2500),
        ("/v26.0/106540352242922/message", "Bearer EAAtoken", 2500),
        ("/v20.0/106540352242922/messages", "Bearer EAAtoken", 2635),
        (PATH, "", 190),
        (PATH, "Bearer another", 190),
        ("/v26.0/1/messages", "Bearer EAAtoken", 100),
    ],
)
def test_a_wrong_address_or_token_is_refused(path: str, authorization: str, code: int) -> None:
    refusal = refuse_call(ACCOUNT, path=path, authorization=authorization)
    assert refusal is not None
    assert refusal.code == code


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (body(messaging_product="sms"), 100),
        ({name: value for name, value in body().items() if name != "messaging_product"}, 100),
        (body(to="Anna"), 131009),
        (body(to=4915112345678), 131009),
        (body(type="template", template={"name": "another", "language": {"code": "en"}}), 132001),
        (body(type="template", template={"name": "worker_alert", "language": {"code": "de"}}), 132001),
        (body(*GOOD[:3]), 132000),
        (body(*GOOD, "one too many"), 132000),
        (body("", *GOOD[1:]), 100),
        (body("line\nbreak", *GOOD[1:]), 132018),
        (body("a\ttab", *GOOD[1:]), 132018),
        (body("five     spaces", *GOOD[1:]), 132018),
        (body("x" * 1000, *GOOD[1:]), 132005),
        (body(type="text", text={"body": "hello"}), 131047),
        (body(type="text"), 100),
        (body(type="image"), 100),
    ],
)
def test_a_message_that_meta_does_not_take_is_refused(made: dict[str, Any], code: int) -> None:
    assert code_of(made) == code


def test_four_spaces_and_the_last_character_are_taken() -> None:
    own = len(TEMPLATE_TEXT) - 4 * len("{{1}}")
    room = 1024 - own - sum(len(text) for text in GOOD[1:])
    assert code_of(body("four    spaces", *GOOD[1:])) is None
    assert code_of(body("x" * room, *GOOD[1:])) is None
    assert code_of(body("x" * (room + 1), *GOOD[1:])) == 132005


def test_free_text_is_taken_within_the_window_only() -> None:
    text = body(type="text", text={"body": "hello"})
    assert [code_of(text, window_is_open=window) for window in (False, True)] == [131047, None]
