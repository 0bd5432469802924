"""May a session's task run again?

Money decides. A settled session is over: its credit is spent on a picture or given back, and a run now would be a
picture that nobody pays for. So only an open session whose charge still stands may run again; and only if nobody has
it, and its task lies in a dead letter, because the addresses of its pictures stand in the task and nowhere else.

The worker decides again when it takes the task (``wearon_worker_claim_v2``), under the session's lock. What is decided
here may be out of date by then, and nothing is lost by it: it drops the task of a settled session.
"""

from dataclasses import dataclass
from typing import Final

from models.generation import SessionStatus
from operations.search import Places
from operations.text import counted, moment, short
from services.platform.report_answers import ClaimSeen, RefundSeen, SessionSeen, Story
from worker.dead_letters import DeadLetter
from worker.elements import Rejected, read_element
from worker.settlement.policy import ATTEMPT_LIMIT

RECOVERY_SETTLES: Final = "Recovery fails it and gives the credit back, within minutes, while a worker is alive."


@dataclass(frozen=True, slots=True)
class MayRun:
    """Its task can be put back from this letter."""

    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class MayNot:
    """Why not, in words for the operator."""

    why: str


def judge(story: Story, places: Places) -> MayRun | MayNot:
    """Decide about a session.

    Args:
        story: what the database knows.
        places: where its task is in Redis.
    """
    if not story.sessions:
        return MayNot("There is no such session in the database.")
    session = story.sessions[0]
    claim = next((each for each in story.claims if each.channel is session.channel), None)
    refund = next((each for each in story.refunds if each.channel is session.channel), None)
    why = _is_over(session, refund) or _is_in_hand(claim, places) or _is_used_up(claim)
    return MayNot(why) if why else _from_letter(session, places)


def _is_over(session: SessionSeen, refund: RefundSeen | None) -> str:
    if session.status is SessionStatus.COMPLETED:
        return (
            "It is completed: the picture is made and the credit is spent. A run now would be a second one for nothing."
        )
    given_back = ""
    if refund is not None and refund.kind not in {"nothing_charged", "unproven_charge"}:
        given_back = f", and {counted(refund.credits, 'credit')} went back at {moment(refund.refunded_at)}"
    if session.status is SessionStatus.FAILED:
        about = f" ({refund.reason})" if refund is not None else ""
        return f"It has failed{about}{given_back}. A run now would be for nothing; the person can order again."
    if session.given_back:
        return (
            "It is open, but its credit was given back already, so the worker would not deliver it. A worker marks it"
            " failed when it comes to it."
        )
    return ""


def _is_in_hand(claim: ClaimSeen | None, places: Places) -> str:
    if claim is not None and claim.executor is not None and claim.alive:
        return f"Executor {short(claim.executor)} on {claim.host} runs it now (attempt {claim.attempt})."
    if places.is_waiting:
        return "Its task waits in the queue already."
    if places.in_flight:
        return (
            f"Its task is in flight at executor {short(places.in_flight[0])}. If that one is dead, a live worker puts"
            " the task back within about a minute."
        )
    return ""


def _is_used_up(claim: ClaimSeen | None) -> str:
    if claim is not None and claim.attempt >= ATTEMPT_LIMIT:
        return f"It has had its {ATTEMPT_LIMIT} attempts, so the worker would not run it. {RECOVERY_SETTLES}"
    return ""


def _from_letter(session: SessionSeen, places: Places) -> MayRun | MayNot:
    if not places.letters:
        where = "in no list" if places.is_complete else "not where there was time to look"
        return MayNot(f"Its task is {where}, and only the task says which pictures to use. {RECOVERY_SETTLES}")
    letter = places.letters[0]
    if letter.element is None:
        return MayNot(f"Dead letter {letter.letter_id} has it, which a worker would bury again: {letter.detail}.")
    decision = read_element(letter.element)
    if isinstance(decision, Rejected):
        return MayNot(f"Dead letter {letter.letter_id} has it, which a worker would bury again: {decision.detail}.")
    if decision.task.channel is not session.channel or decision.task.owner_id != session.owner_id:
        return MayNot(f"The task in dead letter {letter.letter_id} names another owner than the session's row.")
    return MayRun(letter)
