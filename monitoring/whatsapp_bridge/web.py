"""The bridge's HTTP face: Grafana's webhook, health and metrics."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from monitoring.whatsapp_bridge import signature as signatures
from monitoring.whatsapp_bridge.message_queue import NOBODY_YET, MessageQueue, QueueUnusable, Taken
from monitoring.whatsapp_bridge.metrics import Metrics
from monitoring.whatsapp_bridge.payload import Malformed, parse
from monitoring.whatsapp_bridge.sender import Sender
from monitoring.whatsapp_bridge.settings import Settings
from monitoring.whatsapp_bridge.translate import content_key, messages

LARGEST_BODY_BYTES: Final = 1_048_576
"""A thousand alerts have some 700 KB."""

BODY_SECONDS: Final = 10.0
"""Grafana is on the same host; who sends more slowly is not Grafana."""

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

log = structlog.get_logger()


class Refused(Exception):
    """A request that is not taken: the answer's status, how it is counted, and words for whoever sent it."""

    def __init__(self, status: HTTPStatus, result: str, words: str) -> None:
        super().__init__(words)
        self.status, self.result, self.words = status, result, words


class Webhook:
    """Takes Grafana's notifications into the queue.

    It answers 200 only when every message is on disk. Grafana does not repeat a failed request by itself: it tries
    again when its group is due the next time (``group_interval``), with a new signature.
    """

    def __init__(
        self,
        queue: MessageQueue,
        sender: Sender,
        settings: Settings,
        metrics: Metrics,
        *,
        now_seconds: Callable[[], float],
    ) -> None:
        self._queue, self._sender, self._settings, self._metrics = queue, sender, settings, metrics
        self._now = now_seconds

    async def answer(self, request: Request) -> Response:
        """Take one request."""
        try:
            body = await read_body(request)
            headers = request.headers
            result = await run_in_threadpool(
                self._take,
                body,
                headers.get(signatures.TIMESTAMP_HEADER, ""),
                headers.get(signatures.SIGNATURE_HEADER, ""),
            )
        except Refused as refused:
            self._metrics.webhooks.labels(refused.result).inc()
            log.warning("webhook_refused", result=refused.result, status=refused.status.value, reason=refused.words)
            # Half a body may still be on its way; the connection is of no further use.
            return JSONResponse({"error": refused.words}, refused.status, headers={"Connection": "close"})
        return JSONResponse({"result": result})

    def _take(self, body: bytes, timestamp: str, signature: str) -> str:
        self._authenticate(body, timestamp, signature)
        try:
            notification = parse(body)
        except Malformed as fault:
            raise Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY, "malformed", f"This is no notification of Grafana's: {fault}"
            ) from None
        texts = [message.parameters for message in messages(notification)]
        recipients = self._settings.recipients or (NOBODY_YET,)
        try:
            taken = self._queue.add(
                texts, recipients, news=content_key(notification), signature=signature, now_seconds=self._now()
            )
        except QueueUnusable as error:
            log.error("queue_unusable", error=str(error), advice="See the disk and the volume whatsapp-queue.")
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "queue_full", "The queue cannot be written; try again."
            ) from None
        return self._tell(taken, texts, len(texts) * len(recipients))

    def _authenticate(self, body: bytes, timestamp: str, signature: str) -> None:
        secret = self._settings.webhook_secret
        if not secret:
            words = "WHATSAPP_WEBHOOK_SECRET is not set, so nobody can be believed. scripts/deploy.sh makes it."
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "unauthenticated", words)
        check = signatures.check(secret, timestamp=timestamp, signature=signature, body=body, now_seconds=self._now())
        if check is signatures.Check.TOO_OLD:
            leeway = signatures.TIMESTAMP_LEEWAY_SECONDS
            words = f"The signature's time is more than {leeway} s from now: a replay, or a clock is wrong."
            raise Refused(HTTPStatus.UNAUTHORIZED, "replayed", words)
        if check is not signatures.Check.GENUINE:
            words = (
                f"{signatures.SIGNATURE_HEADER} does not fit {signatures.TIMESTAMP_HEADER} and the body: is "
                "WHATSAPP_WEBHOOK_SECRET the same for Grafana and the bridge, and hmacConfig.timestampHeader set?"
            )
            raise Refused(HTTPStatus.UNAUTHORIZED, "unauthenticated", words)

    def _tell(self, taken: Taken, texts: list[tuple[str, str, str, str]], rows: int) -> str:
        """Count and log what became of it; the word that Grafana is answered with."""
        if taken is Taken.FULL:
            words = "Too many messages wait; try again later. Why nothing leaves: the bridge's log."
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "queue_full", words)
        self._metrics.webhooks.labels("replayed" if taken is Taken.REPLAYED else "taken").inc()
        if taken is Taken.DUPLICATE:
            self._metrics.messages.labels("duplicate").inc(rows)
        if taken is Taken.TAKEN:
            self._sender.call()
        heads = [text[0] for text in texts]
        if taken is Taken.TAKEN and not self._settings.can_send:
            log.error("alert_not_sent", messages=[list(text) for text in texts], faults=list(self._settings.faults))
        else:
            log.info("webhook_handled", result=taken.value, messages=heads)
        return str(taken.value)


async def read_body(request: Request, *, within_seconds: float = BODY_SECONDS) -> bytes:
    """The body, read no further than the limit.

    Raises:
        Refused: it is longer, or does not come.
    """
    parts = bytearray()
    too_large = Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"More than {LARGEST_BODY_BYTES} bytes; set maxAlerts in Grafana.",
    )
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > LARGEST_BODY_BYTES:
        raise too_large
    try:
        async with asyncio.timeout(within_seconds):
            async for part in request.stream():
                parts += part
                if len(parts) > LARGEST_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise Refused(
            HTTPStatus.REQUEST_TIMEOUT, "malformed", f"The body did not come within {within_seconds:g} s."
        ) from None
    except ClientDisconnect:
        raise Refused(HTTPStatus.BAD_REQUEST, "malformed", "The connection ended before the body did.") from None
    return bytes(parts)


def health(
    queue: MessageQueue, sender: Sender, settings: Settings, now_seconds: float
) -> tuple[bool, dict[str, object]]:
    """Whether the bridge works, and what it says about itself.

    One without settings for Meta is well: the stack has to start on a host that has no WhatsApp yet.
    """
    said: dict[str, object] = {"status": "ok", "sender": sender.is_alive, "queue": True}
    try:
        queue.check_writable(now_seconds)
        depth = queue.depth()
    except QueueUnusable as error:
        return False, {**said, "status": "degraded", "queue": False, "error": str(error)}
    oldest = depth.oldest_taken_at_seconds
    said |= {
        "queue_messages": depth.messages,
        "oldest_message_seconds": None if oldest is None else round(max(now_seconds - oldest, 0.0), 1),
    }
    blocked = sender.blocked
    if not sender.is_alive:
        return False, {**said, "status": "degraded", "error": "The sender has ended; a restart mends it."}
    if sender.fault:
        return False, {**said, "status": "degraded", "error": sender.fault}
    if not settings.can_send:
        return True, {**said, "status": "not_configured", "faults": list(settings.faults)}
    if blocked is not None:
        return True, {**said, "status": "blocked", "reason": blocked.rule.result.value, "advice": blocked.rule.advice}
    return True, said


def create_app(
    queue: MessageQueue,
    sender: Sender,
    settings: Settings,
    metrics: Metrics,
    now_seconds: Callable[[], float] = time.time,
) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="wearon-whatsapp-bridge", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    webhook = Webhook(queue, sender, settings, metrics, now_seconds=now_seconds)

    @app.post("/grafana")
    async def grafana(request: Request) -> Response:
        return await webhook.answer(request)

    @app.get("/health")
    def say_health() -> Response:
        well, said = health(queue, sender, settings, now_seconds())
        return JSONResponse(said, HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)

    @app.get("/metrics")
    def say_metrics() -> Response:
        return Response(metrics.text(), media_type=METRICS_TYPE)

    return app
