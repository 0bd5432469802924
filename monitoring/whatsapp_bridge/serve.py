"""``serve``: the bridge itself, put together from its parts, until SIGTERM."""

import argparse
import signal
import sys
import time
import types
from typing import Final, NoReturn

import structlog
import uvicorn

from monitoring.whatsapp_bridge import logs
from monitoring.whatsapp_bridge.cloud_api import CloudApi
from monitoring.whatsapp_bridge.message_queue import MessageQueue, QueueUnusable
from monitoring.whatsapp_bridge.metrics import Metrics
from monitoring.whatsapp_bridge.sender import Sender
from monitoring.whatsapp_bridge.settings import load, masked
from monitoring.whatsapp_bridge.web import create_app

STOP_SECONDS: Final = 12.0
"""A call to Meta that is under way may end: 10 s (``cloud_api``). The container's grace is longer."""

REQUESTS_MAY_END_SECONDS: Final = 5
"""Each is one write to the disk."""

EXIT_MISCONFIGURED: Final = 78

NOBODY_IS_TOLD: Final = "Alerts wait in the queue and stand in this log. NOBODY IS TOLD of them on WhatsApp."

log = structlog.get_logger()


def run(options: argparse.Namespace) -> int:
    """Take and send alerts; returns when it was asked to end."""
    settings = load()
    logs.configure(settings.secrets)
    try:
        queue = MessageQueue(settings.queue_path)
        queue.address(settings.recipients)
        waiting = queue.depth().messages
    except QueueUnusable as error:
        advice = "Mount a volume there that belongs to uid 10002, or set WHATSAPP_QUEUE_PATH."
        log.error("cannot_start", error=str(error), advice=advice)
        return EXIT_MISCONFIGURED
    if not settings.can_send:
        log.error("not_configured", faults=list(settings.faults), advice=NOBODY_IS_TOLD)
    if settings.api_base_url.startswith("http://"):
        log.warning(
            "token_in_clear", advice="WHATSAPP_API_BASE_URL is without TLS: for a stand-in only, never for Meta."
        )
    recipients = [masked(number) for number in settings.recipients]
    log.info("started", port=options.port, recipients=recipients, waiting=waiting)
    metrics = Metrics(depth=queue.depth, can_send=settings.can_send, now_seconds=time.time)
    sender = Sender(queue, CloudApi(settings), settings, metrics)
    signal.signal(signal.SIGTERM, _end)
    sender.start()
    try:
        uvicorn.run(
            create_app(queue, sender, settings, metrics),
            host=options.host,
            port=options.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=REQUESTS_MAY_END_SECONDS,
        )
    finally:
        sender.stop(STOP_SECONDS)
        log.info("stopped", waiting=queue.depth().messages)
    return 0


def _end(_signal: int, _frame: types.FrameType | None) -> NoReturn:
    """uvicorn raises the signal again when its part has ended; without a handler that would kill the sender."""
    sys.exit(0)
