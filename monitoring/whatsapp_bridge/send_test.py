"""``send-test``: one test message to each recipient, past the queue, and what Meta said to it."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from monitoring.whatsapp_bridge.answers import Action, Verdict
from monitoring.whatsapp_bridge.cloud_api import CloudApi
from monitoring.whatsapp_bridge.settings import NUMBER, Settings, load, masked
from monitoring.whatsapp_bridge.template import Message

EXIT_NOT_ACCEPTED: Final = 1
EXIT_MISCONFIGURED: Final = 78


def run(options: argparse.Namespace) -> int:
    """Send and tell; returns 0 when Meta accepted all of them."""
    to: str | None = options.to
    settings = load()
    if faults := _faults(settings, to):
        print("Nothing was sent.", *faults, sep="\n  ", file=sys.stderr)
        return EXIT_MISCONFIGURED
    moment = time.strftime("%H:%M:%S UTC", time.gmtime())
    message = Message("Test", "this host", f"Nothing: somebody asked for a test message at {moment}", "Nothing")
    api = CloudApi(settings)
    accepted = [_tell(number, api.send(message.parameters, number)) for number in ([to] if to else settings.recipients)]
    api.close()
    return 0 if all(accepted) else EXIT_NOT_ACCEPTED


def _faults(settings: Settings, to: str | None) -> Sequence[str]:
    """What keeps from sending; for that, Grafana's secret is not needed."""
    needless = ("WHATSAPP_WEBHOOK_SECRET", *(("WHATSAPP_RECIPIENTS",) if to else ()))
    faults = [fault for fault in settings.faults if not fault.startswith(needless)]
    if to and not NUMBER.fullmatch(to):
        faults.append(f'--to: "{to}" is no number with + and country code, as +4915112345678')
    return faults


def _tell(number: str, verdict: Verdict) -> bool:
    if verdict.rule.action is Action.DONE:
        print(f"{masked(number)}: accepted by Meta. It rings within seconds; if it does not, see docs/whatsapp.md")
        return True
    code = "" if verdict.code is None else f" (code {verdict.code})"
    print(f"{masked(number)}: not accepted{code}: {verdict.details}\n  {verdict.rule.advice}", file=sys.stderr)
    return False
