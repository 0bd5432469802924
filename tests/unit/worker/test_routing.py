"""What differs between b2b and b2c."""

import re
from uuid import UUID

import pytest

from models.generation import Channel
from models.task_payload import TASK_CONTRACT, GenerationTask
from tests.support.payloads import SESSION_ID, STORE_ID, USER_ID, b2b, b2c, encode
from worker.execution.routing import result_path, safety_identifier


def task(payload: object) -> GenerationTask:
    return TASK_CONTRACT.validate_json(encode(payload))


@pytest.mark.parametrize(
    ("channel", "owner_id", "path"),
    [
        (Channel.B2B, STORE_ID, f"stores/{STORE_ID}/generated/{SESSION_ID}.jpg"),
        (Channel.B2C, USER_ID, f"generated/{USER_ID}/{SESSION_ID}.jpg"),
    ],
)
def test_a_result_is_stored_under_its_owner(channel: Channel, owner_id: str, path: str) -> None:
    assert result_path(channel, UUID(owner_id), UUID(SESSION_ID)) == path


def test_an_id_in_another_notation_leads_to_the_same_path() -> None:
    shouted = task(b2c(session_id=SESSION_ID.upper(), user_id=USER_ID.upper()))
    assert result_path(shouted.channel, shouted.owner_id, shouted.session_id) == f"generated/{USER_ID}/{SESSION_ID}.jpg"


def test_the_safety_identifier_is_the_same_for_every_task_of_an_owner() -> None:
    first, second = task(b2c()), task(b2c(session_id=STORE_ID, request_id="another"))
    assert safety_identifier(first) == safety_identifier(second)
    assert re.fullmatch("[0-9a-f]{64}", safety_identifier(first))


def test_the_safety_identifier_differs_between_owners_and_between_channels() -> None:
    identifiers = {
        safety_identifier(task(payload)) for payload in (b2c(), b2c(user_id=STORE_ID), b2b(), b2b(store_id=USER_ID))
    }
    assert len(identifiers) == 4


def test_the_safety_identifier_stays_what_the_provider_already_knows() -> None:
    known = "b89f4bd8a98a40a02764846b6924282a721884956e64da1b7273e22ba19f897c"
    assert safety_identifier(task(b2c())) == known, "a changed identifier makes every owner a stranger"
