"""How the lists of a queue are called."""

from uuid import UUID

import pytest

from services.queue.queue_keys import QueueKeys

EXECUTOR = UUID("0198c0de-0000-4000-8000-000000000001")


def names(keys: QueueKeys) -> list[str]:
    return [keys.queue, keys.in_flight(EXECUTOR), keys.executors, keys.dead_letters, keys.set_aside("3fa9")]


def test_the_platforms_queue_is_called_as_in_every_release() -> None:
    """Workers of two releases run side by side in a deploy."""
    assert names(QueueKeys.of("generation")) == [
        "wearon:tasks:generation",
        f"wearon:tasks:inflight:{EXECUTOR}",
        "wearon:tasks:executors",
        "wearon:tasks:dead",
        "wearon:tasks:dead:3fa9",
    ]


def test_another_queue_shares_no_name_with_it() -> None:
    batch = names(QueueKeys.of("batch"))
    assert batch[0] == "wearon:tasks:batch"
    assert not set(batch) & set(names(QueueKeys.of("generation")))


@pytest.mark.parametrize("name", ["", "inflight", "executors", "dead", "Batch", "a:b", "dead:3fa9", "x" * 33])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no queue can be called"):
        QueueKeys.of(name)
