"""Every kind of task and element, submitted at once to one running worker; tests look at what became of each."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from models.generation import SessionStatus
from sandbox.platform.producer import QUEUE_KEY, StoreMode, Submitted
from sandbox.platform.state import SessionRow
from tests.support.worker import Stage, Worker, wait_until

SIGNED_QUERY: Final = "token=a-signature-nobody-may-read"
PROMPT: Final = "Mira wears the red coat"
NOT_CHARGED: Final = "You have not been charged."
DONE_SECONDS: Final = 60.0

COMPLETED: Final = None
MODERATED: Final = "declined by our content check"
UNAVAILABLE: Final = "The picture service is not available right now"
WENT_WRONG: Final = "Something went wrong while making your picture"
BUSY: Final = "We are very busy right now"
NOT_LOADED: Final = "We could not load one of your pictures"
TOO_LARGE: Final = "too large"
UNREADABLE: Final = "could not be read"

# Marker in the prompt -> what the person reads (COMPLETED: a picture), the refund's reason, requests the provider saw.
PROVIDER_FAULTS: Final[dict[str, tuple[str | None, str, int]]] = {
    "moderation": (MODERATED, "moderated", 1),
    "moderation-output": (MODERATED, "moderated", 1),
    "content-policy": (MODERATED, "moderated", 1),
    "moderation-403": (MODERATED, "moderated", 1),
    "person-limited": (MODERATED, "moderated", 1),
    "bad-request": (WENT_WRONG, "provider_rejected_request", 1),
    "429-once": (COMPLETED, "", 2),
    "slow-down-once": (COMPLETED, "", 2),
    "429-always": (BUSY, "rate_limited", 2),
    "429-wait=16": (BUSY, "rate_limited", 2),
    "408-once": (COMPLETED, "", 2),
    "409-once": (COMPLETED, "", 2),
    "409-always": (UNAVAILABLE, "provider_unavailable", 2),
    "500-once": (COMPLETED, "", 2),
    "500-always": (UNAVAILABLE, "provider_unavailable", 2),
    "502-once": (COMPLETED, "", 2),
    "502-always": (UNAVAILABLE, "provider_unavailable", 2),
    "503-once": (COMPLETED, "", 2),
    "503-always": (UNAVAILABLE, "provider_unavailable", 2),
    "504-once": (COMPLETED, "", 2),
    "drop": (UNAVAILABLE, "provider_unavailable", 2),
    "drop-once": (COMPLETED, "", 2),
    "slow-drip=1": (COMPLETED, "", 1),
    "latency=1": (COMPLETED, "", 1),
    "malformed": (WENT_WRONG, "provider_answer_unusable", 1),
    "no-image": (WENT_WRONG, "provider_answer_unusable", 1),
    "not-a-picture": (WENT_WRONG, "provider_answer_unusable", 1),
    "truncated-picture": (WENT_WRONG, "provider_answer_unusable", 1),
    "png-instead": (WENT_WRONG, "provider_answer_unusable", 1),
    "no-usage": (COMPLETED, "", 1),
    "usage-without-details": (COMPLETED, "", 1),
    "cached-input": (COMPLETED, "", 1),
}

# Fault of the picture host -> what the person reads, the refund's reason. Those that take 30 s have their own tests.
HOST_FAULTS: Final[dict[str, tuple[str | None, str]]] = {
    "no-length": (COMPLETED, ""),
    "redirect": (NOT_LOADED, "image_unreachable"),
    "not-found": (NOT_LOADED, "image_unreachable"),
    "server-error": (NOT_LOADED, "image_unreachable"),
    "wrong-type": (UNREADABLE, "not_an_image"),
    "not-a-picture": (UNREADABLE, "not_an_image"),
    "oversize": (TOO_LARGE, "image_too_large"),
    "oversize-no-length": (TOO_LARGE, "image_too_large"),
}

REFUSED_URLS: Final = {
    "a private address": "http://10.0.0.1/photo.jpg",
    "the cloud's metadata": "http://169.254.169.254/latest/meta-data/",
    "loopback in IPv6": "http://[::1]/photo.jpg",
    "credentials in the address": "http://user:secret@example.com/photo.jpg",
}


def without(payload: str, key: str) -> str:
    """The payload without one field."""
    content = json.loads(payload)
    del content[key]
    return json.dumps(content)


def changed(payload: str, **fields: Any) -> str:
    """The payload with other fields."""
    return json.dumps({**json.loads(payload), **fields})


# Name -> (makes the element from a good payload, reason of the dead letter, whether its session can be told from it).
BAD_ELEMENTS: Final[dict[str, tuple[Callable[[str], str | bytes], str, bool]]] = {
    "nothing": (lambda _: "", "not_json", False),
    "no JSON": (lambda _: "junk", "not_json", False),
    "no text": (lambda _: b"\xff\xfe\x00\x80", "not_json", False),
    "JSON cut off in transit": (lambda payload: payload[:-30], "not_json", True),
    "JSON nested 100 000 deep": (lambda _: "[" * 100_000, "not_json", False),
    "a number of 10 000 digits": (lambda payload: payload.replace(": 1,", f": {'9' * 10_000},"), "not_json", True),
    "a number": (lambda _: "42", "not_an_object", False),
    "a list": (lambda payload: f"[{payload}]", "not_an_object", True),
    "a missing prompt": (lambda payload: without(payload, "prompt"), "invalid_fields", True),
    "a missing owner": (lambda payload: without(payload, "user_id"), "invalid_fields", True),
    "a missing channel": (lambda payload: without(payload, "channel"), "invalid_fields", True),
    "no pictures": (lambda payload: changed(payload, image_urls=[]), "invalid_fields", True),
    "eleven pictures": (lambda payload: changed(payload, image_urls=["http://a/b.jpg"] * 11), "invalid_fields", True),
    "half a character": (lambda payload: changed(payload, prompt="\ud83d"), "invalid_fields", True),
    "a newer version": (lambda payload: changed(payload, version=2), "unsupported_version", True),
    "a megabyte": (lambda payload: changed(payload, prompt="x" * 2**20), "too_large", True),
}


@dataclass
class Day:
    """Everything that was submitted, and the worker that dealt with it."""

    stage: Stage
    worker: Worker
    submitted: dict[str, Submitted] = field(default_factory=dict)

    def row(self, name: str) -> SessionRow:
        """What became of a task."""
        return self.stage.platform.session(self.submitted[name].session)

    def refund(self, name: str) -> dict[str, Any]:
        """What was given back for a task."""
        return self.stage.refund(self.submitted[name].session)

    def expect(self, name: str, message: str | None, reason: str) -> None:
        """A picture and no message, or the message, the reason and one refund."""
        row = self.row(name)
        if message is COMPLETED:
            assert (row.status, row.error_message, self.refund(name)) == (SessionStatus.COMPLETED, None, {})
            return
        assert row.status is SessionStatus.FAILED
        assert row.error_message is not None
        assert message in row.error_message
        assert row.error_message.endswith(NOT_CHARGED)
        assert self.refund(name)["reason"] == reason
        assert self.refund(name)["credits"] == 1


def submit_everything(day: Day) -> None:
    """Good tasks among bad ones, bad elements first: none of them may hold up what comes after."""
    platform, photo = day.stage.platform, f"{day.stage.photo}?{SIGNED_QUERY}"
    for name, (make, _, _) in BAD_ELEMENTS.items():
        bad = platform.submit_b2c([photo], prompt=PROMPT, push=False)
        day.submitted[name] = bad
        day.stage.redis.lpush(QUEUE_KEY, make(bad.payload))
    day.submitted["another owner"] = stranger = platform.submit_b2c([photo], push=False)
    platform.push(changed(stranger.payload, user_id=str(uuid4())))
    day.submitted["a row that is gone"] = gone = platform.submit_b2c([photo], push=False)
    platform.execute("DELETE FROM generation_sessions WHERE id = %s", gone.session.session_id)
    platform.execute("SELECT refund_credits(%s, 1)", gone.owner_id)
    platform.push(gone.payload)
    day.submitted["settled by the platform"] = settled = platform.submit_b2c([photo], push=False)
    platform.set_status(settled.session, SessionStatus.FAILED)
    platform.execute("SELECT refund_credits(%s, 1)", settled.owner_id)
    platform.push(settled.payload)

    day.submitted["b2c"] = platform.submit_b2c([photo, photo], prompt=PROMPT)
    for mode in StoreMode:
        day.submitted[mode] = platform.submit_b2b([photo, photo], mode=mode, prompt=PROMPT)
        prompt = f"[[sim:moderation]] {mode}"
        day.submitted[f"{mode} refused"] = platform.submit_b2b([photo], mode=mode, prompt=prompt)
    day.submitted["three credits"] = platform.submit_b2c([photo], prompt="[[sim:moderation]] 3", credits_used=3)
    day.submitted["an empty prompt"] = platform.submit_b2c([photo], prompt="")
    day.submitted["ten pictures"] = platform.submit_b2c([photo] * 10)
    day.submitted["a legacy row"] = legacy = platform.submit_b2c([photo], push=False)
    platform.set_status(legacy.session, SessionStatus.PENDING)
    platform.push(legacy.payload)
    day.submitted["pushed three times"] = twice = platform.submit_b2c([photo], prompt="[[sim:latency=0.5]] thrice")
    day.submitted["refused twice"] = refused = platform.submit_b2c([photo], prompt="[[sim:moderation]] twice")
    for payload in (twice.payload, twice.payload, refused.payload):
        platform.push(payload)
    platform.push(changed(day.submitted["b2c"].payload, a_newer_field="ignored"))

    for name in PROVIDER_FAULTS:
        day.submitted[f"provider: {name}"] = platform.submit_b2c([photo], prompt=f"[[sim:{name}]] fault")
    for name in HOST_FAULTS:
        day.submitted[f"host: {name}"] = platform.submit_b2c([photo, day.stage.pictures.fault_url(name)])
    for name, url in REFUSED_URLS.items():
        day.submitted[name] = platform.submit_b2c([photo, f"{url}?{SIGNED_QUERY}"])


def wait_until_everything_is_over(day: Day) -> None:
    """Every session that a task or an element can be matched with is terminal; nothing is in flight."""
    unknown = [name for name, (_, _, is_known) in BAD_ELEMENTS.items() if not is_known]
    for name, submitted in day.submitted.items():
        if name not in {*unknown, "a row that is gone"}:
            day.stage.platform.wait_for(submitted.session, timeout_seconds=DONE_SECONDS)
    wait_until(lambda: not day.stage.in_flight(day.worker.executor()), "nothing in flight")
    wait_until(lambda: day.worker.metric("wearon_tasks_in_flight") == 0, "and the metrics have it")
