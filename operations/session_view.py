"""``wearon session`` as text: one screen."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from models.generation import Channel, SessionStatus
from operations.replay_rules import MayNot, MayRun
from operations.search import Places
from operations.text import Paint, Tone, counted, duration, labelled, moment, safe, short, wrapped
from services.platform.report_answers import ClaimSeen, LedgerLine, RefundSeen, SessionSeen, Story
from worker.settlement.policy import ATTEMPT_LIMIT

TONES: Final = {SessionStatus.COMPLETED: Tone.GOOD, SessionStatus.FAILED: Tone.BAD}


@dataclass(frozen=True, slots=True)
class FoundSession:
    """What was found out about a session; ``silent`` is why there are no ``places`` and no ``verdict``."""

    session_id: UUID
    story: Story
    places: Places | None
    verdict: MayRun | MayNot | None
    silent: str = ""

    @property
    def is_known(self) -> bool:
        """Whether anybody has heard of it."""
        story = self.story
        return bool(story.sessions or story.claims or story.refunds or (self.places and self.places.letters))


def screen(found: FoundSession, paint: Paint) -> list[str]:
    """The lines."""
    story = found.story
    return [
        labelled(paint, "session", str(found.session_id)),
        *_rows(story, paint),
        *(labelled(paint, "ledger", _ledger(each)) for each in story.ledger),
        *(labelled(paint, "refund", _refund(each)) for each in story.refunds),
        *(line for each in story.claims for line in _run(each, paint)),
        *_task(found, paint),
        *_replay(found, paint),
        labelled(paint, "log", log_hint(found.session_id)),
    ]


def log_hint(session_id: UUID) -> str:
    """The command that shows the session's log lines."""
    return f"docker compose logs --no-log-prefix worker | grep {session_id}"


def _rows(story: Story, paint: Paint) -> Iterator[str]:
    if not story.sessions:
        yield labelled(paint, "row", "none: no such session in the database", Tone.WARNING)
    for session in story.sessions:
        yield labelled(paint, "row", f"{session.status} ({session.channel})", TONES.get(session.status))
        owner = "store" if session.channel is Channel.B2B else "user"
        request = "" if session.request_id is None else f", request {safe(session.request_id)}"
        yield labelled(paint, "", f"{owner} {session.owner_id}{request}")
        yield labelled(paint, "", _times(session, story.now))
        if session.status is SessionStatus.COMPLETED:
            yield labelled(paint, "", _picture(session))
        if session.error_message:
            yield from wrapped(paint, "", f'told: "{safe(session.error_message)}"')
        yield labelled(paint, "", _charge(session))


def _times(session: SessionSeen, now: datetime) -> str:
    ordered = f"ordered {moment(session.created_at)}"
    if session.completed_at is None:
        return f"{ordered}, {duration((now - session.created_at).total_seconds())} ago"
    whole = duration((session.completed_at - session.created_at).total_seconds())
    alone = (
        "" if session.processing_time_ms is None else f", the run alone {duration(session.processing_time_ms / 1000)}"
    )
    return f"{ordered}, ended {whole} later{alone}"


def _picture(session: SessionSeen) -> str:
    picture = "picture stored" if session.has_picture else "its picture is deleted, as all are after six hours"
    if session.estimated_cost_usd is None:
        return f"{picture}, no estimate of its cost"
    tokens = f"{session.input_tokens or 0} tokens in, {session.output_tokens or 0} out"
    return f"{picture}, about {session.estimated_cost_usd:.4f} USD ({tokens})"


def _charge(session: SessionSeen) -> str:
    credits_used = 1 if session.credits_used is None else session.credits_used
    return f"{counted(credits_used, 'credit')} charged" + (", given back" if session.given_back else "")


def _ledger(line: LedgerLine) -> str:
    whose = "a shopper's balance" if line.is_shopper else "no balance" if line.type == "overage" else ""
    if not whose:
        whose = "the store's balance" if line.channel is Channel.B2B else "the user's balance"
    when = "" if line.written_at is None else f", {moment(line.written_at)}"
    return f"{safe(line.type)} {line.amount:+d}, {whose}{when}"


def _refund(refund: RefundSeen) -> str:
    by = " (the platform had given it back before)" if refund.by_platform else ""
    return (
        f"{safe(refund.kind)}, {counted(refund.credits, 'credit')}{by}, {moment(refund.refunded_at)},"
        f" because: {safe(refund.reason)}"
    )


def _run(claim: ClaimSeen, paint: Paint) -> Iterator[str]:
    limited = f", sent back {counted(claim.rate_limited, 'time')} by the rate limit" if claim.rate_limited else ""
    attempts = f"attempt {claim.attempt} of {ATTEMPT_LIMIT}{limited}"
    if claim.outcome is not None and claim.settled_at is not None:
        yield labelled(paint, "run", f"{safe(claim.outcome)} at {moment(claim.settled_at)}, {attempts}")
    elif claim.executor is None:
        yield labelled(paint, "run", f"nobody has it, {attempts}")
    else:
        tone = None if claim.alive else Tone.WARNING
        state = "alive" if claim.alive else "dead"
        host = f" on {safe(claim.host)}" if claim.host else ""
        since = "" if claim.claimed_at is None else f" since {moment(claim.claimed_at)}"
        yield labelled(paint, "run", f"executor {short(claim.executor)}{host} ({state}){since}, {attempts}", tone)


def _task(found: FoundSession, paint: Paint) -> Iterator[str]:
    places = found.places
    if places is None:
        yield from wrapped(paint, "task", found.silent, Tone.BAD)
        return
    where = ["waits in the queue"] if places.is_waiting else []
    where += [f"in flight at executor {short(executor)}" for executor in places.in_flight]
    nowhere = "in no list" if places.is_complete else "not found in the time there was; the lists are long"
    is_open = any(each.status not in TONES for each in found.story.sessions)
    tone = Tone.WARNING if is_open and not where and not places.letters else None
    yield labelled(paint, "task", ", ".join(where) or nowhere, tone)
    for letter in places.letters:
        yield labelled(
            paint, "dead letter", f"{letter.letter_id}, {safe(letter.reason)}, {safe(letter.buried_at)}", Tone.WARNING
        )
        yield labelled(paint, "", f"{safe(letter.detail)} (wearon dead-letters show {letter.letter_id})")


def _replay(found: FoundSession, paint: Paint) -> Iterator[str]:
    match found.verdict:
        case MayRun():
            yield labelled(paint, "replay", f"it may run again: wearon replay {found.session_id}", Tone.WARNING)
        case MayNot(why):
            yield from wrapped(paint, "replay", f"no. {safe(why)}")
