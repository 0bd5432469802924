"""``python -m monitoring.whatsapp_bridge``: serve, health, send-test."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

PORT: Final = 8085

MODULES: Final = {"serve": "serve", "health": "ask_health", "send-test": "send_test"}
"""Imported when the command is chosen: a health check loads neither a web server nor an HTTP client."""

DESCRIPTION: Final = """\
Takes Grafana's alerts and has Meta's WhatsApp Business Cloud API deliver them. docs/whatsapp.md is its handbook.
"""

EPILOG: Final = """\
settings, from the environment (in production: .env):
  WHATSAPP_ACCESS_TOKEN       a system user's token, with the permission whatsapp_business_messaging
  WHATSAPP_PHONE_NUMBER_ID    the id of the sending number, not the number itself
  WHATSAPP_RECIPIENTS         who gets the alerts: +4915112345678,+31612345678
  WHATSAPP_TEMPLATE_NAME, WHATSAPP_TEMPLATE_LANGUAGE
                              the template that Meta has approved (worker_alert, en)
  WHATSAPP_WEBHOOK_SECRET     what Grafana signs with
  WHATSAPP_API_VERSION, WHATSAPP_API_BASE_URL, WHATSAPP_QUEUE_PATH
                              have defaults
examples, on the host:
  docker compose exec grafana-whatsapp-webhook python -m monitoring.whatsapp_bridge health
  docker compose exec grafana-whatsapp-webhook python -m monitoring.whatsapp_bridge send-test
  docker compose exec grafana-whatsapp-webhook python -m monitoring.whatsapp_bridge send-test --to +4915112345678

Exit status: 0 done, 1 not well or not accepted, 2 wrong usage, 78 a setting is missing.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    module = importlib.import_module(f"monitoring.whatsapp_bridge.{MODULES[options.command]}")
    status: int = module.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.whatsapp_bridge",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser("serve", help="take alerts at POST /grafana and send them, until SIGTERM")
    serving.add_argument("--host", default="0.0.0.0", help="address to listen on (all)")  # noqa: S104 - in a container
    serving.add_argument("--port", type=int, default=PORT, help=f"port to listen on ({PORT})")
    asking = commands.add_parser("health", help="for health checks: one line, exit status 0 or 1")
    asking.add_argument("--port", type=int, default=PORT, help=f"where the bridge listens on this machine ({PORT})")
    testing = commands.add_parser("send-test", help="send one test message past the queue, and say what Meta said")
    testing.add_argument("--to", metavar="NUMBER", help="only to this number, as +4915112345678 (all recipients)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
