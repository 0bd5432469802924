"""What downloads may hold together, who waits for whom, and that nobody waits for ever."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack

import pytest

from services.byte_budget import STEP_BYTES, ByteBudget, Holding
from services.shutdown import ShuttingDown

TOTAL = 64 * STEP_BYTES
LARGEST = 10 * STEP_BYTES
ENDS_SECONDS = 30
"""Far longer than any of this takes; a test that locks up fails after it."""


def memory(**options: float) -> ByteBudget:
    return ByteBudget(TOTAL, largest_bytes=LARGEST, **options)


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), ENDS_SECONDS))


async def until_it_waits(bound: ByteBudget, count: int = 1) -> None:
    while len(bound._waiting) < count:  # noqa: ASYNC110  # it happens on the loop's next turn; there is no event
        await asyncio.sleep(0)


def fill(bound: ByteBudget, owners: str, size_bytes: int, held: ExitStack) -> list[Holding]:
    """One holding of this size for each owner, within what needs no reserving."""
    holdings = [held.enter_context(bound.holding(owner)) for owner in owners]
    assert all(holding.try_hold(size_bytes, size_bytes) for holding in holdings)
    return holdings


def test_a_download_pays_for_what_arrived_in_steps_and_never_for_more_than_it_can_come_to() -> None:
    with memory().holding("shop") as holding:
        sizes = []
        for arrived in (1, 2, STEP_BYTES, STEP_BYTES + 1, 2 * STEP_BYTES + 5):
            assert holding.try_hold(arrived, 2 * STEP_BYTES + 5)
            sizes.append(holding.size_bytes)
    assert sizes == [STEP_BYTES, STEP_BYTES, STEP_BYTES, 2 * STEP_BYTES, 2 * STEP_BYTES + 5]


def test_what_needs_no_reserving_is_half_for_all_and_a_quarter_for_one_owner() -> None:
    bound = memory()
    with ExitStack() as held:
        fill(bound, "aa", TOTAL // 8, held)
        assert not held.enter_context(bound.holding("a")).try_hold(1, LARGEST), "a quarter is held for this owner"
        fill(bound, "bb", TOTAL // 8, held)
        assert not held.enter_context(bound.holding("c")).try_hold(1, LARGEST), "half is held"
    fill(bound, "aabb", TOTAL // 8, ExitStack())  # all was given back


def test_beyond_it_a_download_reserves_all_it_can_come_to_and_does_not_wait_again() -> None:
    async def test() -> None:
        bound = memory()
        with ExitStack() as held:
            fill(bound, "aabb", TOTAL // 8, held)
            holding = held.enter_context(bound.holding("c"))
            await holding.hold(1, LARGEST)
            assert holding.size_bytes == LARGEST
            assert holding.try_hold(LARGEST, LARGEST)

    run(test)


def test_who_waits_is_served_in_the_order_of_asking_once_enough_was_given_back() -> None:
    async def test() -> None:
        bound = memory()
        served: list[str] = []

        async def reserve(owner: str, at_most_bytes: int) -> None:
            with bound.holding(owner) as holding:
                await holding.hold(1, at_most_bytes)
                served.append(owner)

        with ExitStack() as others, ExitStack() as first:
            fill(bound, "aabb", TOTAL // 8, others)
            for owner in "ccd":
                await first.enter_context(bound.holding(owner)).hold(1, LARGEST)
            async with asyncio.TaskGroup() as group:
                # The second would fit into the two steps that are left, and waits its turn all the same.
                for number, (owner, size) in enumerate([("x", LARGEST), ("y", STEP_BYTES), ("z", LARGEST)]):
                    group.create_task(reserve(owner, size))
                    await until_it_waits(bound, number + 1)
                assert served == []
                first.close()
        assert served == ["x", "y", "z"]

    run(test)


def test_an_owner_at_its_limit_waits_for_itself_and_holds_up_nobody_else() -> None:
    async def test() -> None:
        bound = memory()
        with ExitStack() as held, ExitStack() as own:
            fill(bound, "aa", TOTAL // 8, held)
            await own.enter_context(bound.holding("a")).hold(1, LARGEST)
            third = held.enter_context(bound.holding("a"))
            waiting = asyncio.ensure_future(third.hold(1, LARGEST))
            await until_it_waits(bound)
            other = held.enter_context(bound.holding("b"))
            await other.hold(LARGEST, LARGEST)
            for size in (1, LARGEST):  # half is held now, so this one reserves and passes the one that waits
                await held.enter_context(bound.holding("c")).hold(size, LARGEST)
            assert not waiting.done()
            own.close()
            await waiting

    run(test)


def test_waiting_ends_when_the_process_shuts_down() -> None:
    async def test() -> None:
        bound = memory(check_seconds=0.01)
        stopping = threading.Event()
        with ExitStack() as held:
            fill(bound, "aabb", TOTAL // 8, held)
            for owner in "ccd":
                await held.enter_context(bound.holding(owner)).hold(1, LARGEST)
            with bound.holding("x", cancelled=stopping.is_set) as holding:
                waiting = asyncio.ensure_future(holding.hold(1, LARGEST))
                await until_it_waits(bound)
                stopping.set()
                with pytest.raises(ShuttingDown):
                    await waiting
            assert not bound._waiting

    run(test)


def test_a_download_that_is_cancelled_while_it_waits_leaves_its_place_to_the_next() -> None:
    async def test() -> None:
        bound = memory()
        with ExitStack() as held, ExitStack() as first:
            fill(bound, "aabb", TOTAL // 8, held)
            for owner in "ccd":
                await first.enter_context(bound.holding(owner)).hold(1, LARGEST)

            async def leave() -> None:
                with bound.holding("x") as holding:
                    await holding.hold(1, LARGEST)

            leaving = asyncio.ensure_future(leave())
            await until_it_waits(bound)
            next_one = asyncio.ensure_future(held.enter_context(bound.holding("y")).hold(1, LARGEST))
            await until_it_waits(bound, 2)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            first.close()
            await next_one

    run(test)


@pytest.mark.parametrize("seed", range(5))
def test_any_number_of_downloads_in_any_number_of_threads_all_end_and_never_hold_more_than_the_whole(seed: int) -> None:
    """All ask at once for much more than there is, in small pieces, so that each holds a part while it waits."""
    bound = memory()
    faults: list[str] = []

    async def download(holding: Holding, size_bytes: int, pieces: random.Random) -> None:
        arrived = 0
        while arrived < size_bytes:
            arrived = min(size_bytes, arrived + pieces.randint(1, 3 * STEP_BYTES))
            await holding.hold(arrived, size_bytes)
            await asyncio.sleep(0)
            with bound._lock:
                held_by_owner = Counter(bound._held_by_owner)
            if sum(held_by_owner.values()) > TOTAL or max(held_by_owner.values()) > TOTAL // 2:
                faults.append(f"too much is held: {held_by_owner}")

    async def task(number: int) -> None:
        pieces = random.Random(f"{seed} {number}")

        async def one() -> None:
            with bound.holding(pieces.choice("aab")) as holding:
                await download(holding, pieces.randint(1, LARGEST), pieces)

        await asyncio.wait_for(asyncio.gather(*(one() for _ in range(8))), ENDS_SECONDS)

    threads = [threading.Thread(target=lambda n=n: asyncio.run(task(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert (bound._held_bytes, bound._held_by_owner, bound._waiting) == (0, {}, {})


def test_a_memory_in_which_the_largest_download_might_wait_for_ever_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        ByteBudget(4 * LARGEST - 4, largest_bytes=LARGEST)
    ByteBudget(4 * LARGEST, largest_bytes=LARGEST)
