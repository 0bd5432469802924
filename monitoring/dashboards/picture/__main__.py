"""``python -m monitoring.dashboards.picture``: draw the dashboards from what a Prometheus knows."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from monitoring.dashboards.catalogue import BUILDERS
from monitoring.dashboards.files import path_of
from monitoring.dashboards.picture.asking import Ask, answer_to, prometheus_at
from monitoring.dashboards.picture.drawing import draw
from monitoring.dashboards.picture.lines import Line, lines_of
from monitoring.dashboards.picture.series import Span

DESCRIPTION: Final = """\
Draws each dashboard as an SVG from the answers of a Prometheus: an approximation of Grafana, for the documents. It asks
what the committed dashboards ask. Panels that ask Loki show the lines of the files named by --log, or nothing.
"""

EXAMPLE: Final = """\
example:
  python -m monitoring.dashboards.picture --prometheus http://127.0.0.1:9090 --minutes 15 --log worker=worker.log
"""

MINUTES: Final = 60.0
SECONDS_A_MINUTE: Final = 60.0


def draw_all(ask: Ask, span: Span, directory: Path, logs: Sequence[Line] = ()) -> list[Path]:
    """Write ``dashboard-NAME.svg`` for each dashboard; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in BUILDERS:
        dashboard = json.loads(path_of(name).read_text(encoding="utf-8"))
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        found = {panel["id"]: answer_to(panel, span, ask, logs) for panel in panels}
        path = directory / f"dashboard-{name}.svg"
        path.write_text(draw(dashboard, found, span), encoding="utf-8")
        written.append(path)
    return written


def read_logs(named: Sequence[str], span: Span) -> list[Line]:
    """The lines in files that are named as ``SERVICE=FILE``."""
    found: list[Line] = []
    for each in named:
        service, _, file = each.partition("=")
        texts = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
        found += lines_of(service, texts, span.start)
    return found


def main() -> None:
    """Ask and draw."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.dashboards.picture",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prometheus", required=True, metavar="URL", help="base URL of the Prometheus")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how much time to show (default: 60)")
    parser.add_argument("--until", type=float, metavar="SECONDS", help="since 1970; where it ends (default: now)")
    parser.add_argument("--directory", type=Path, default=Path("docs/images"), help="where to write")
    parser.add_argument("--log", action="append", default=[], metavar="SERVICE=FILE", help="lines in Loki's place")
    chosen = parser.parse_args()
    end = time.time() if chosen.until is None else chosen.until
    span = Span(end - chosen.minutes * SECONDS_A_MINUTE, end)
    for path in draw_all(prometheus_at(chosen.prometheus), span, chosen.directory, read_logs(chosen.log, span)):
        print(f"drew {path}")


if __name__ == "__main__":
    main()
