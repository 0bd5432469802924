"""``python -m monitoring.dashboards``: write Grafana's dashboards after a change of the Python that builds them."""

import argparse
from pathlib import Path
from typing import Final

from monitoring.dashboards.catalogue import BUILDERS
from monitoring.dashboards.files import DIRECTORY, write

DESCRIPTION: Final = """\
Writes Grafana's dashboards. They are built in monitoring/dashboards/*.py, one file a dashboard; the JSON files are
made from them and are committed, since Grafana on the host reads those. Never edit the JSON: the tests compare.
"""

EXAMPLES: Final = """\
to change a panel:
  1. edit monitoring/dashboards/NAME.py ({names})
  2. .venv/bin/python -m monitoring.dashboards
  3. .venv/bin/python -m pytest tests/unit/monitoring/dashboards
  4. commit both; after a deploy Grafana reads the files within a minute
"""


def main() -> None:
    """Write the files and say which changed."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.dashboards",
        description=DESCRIPTION,
        epilog=EXAMPLES.format(names=", ".join(BUILDERS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="default: where Grafana reads")
    directory: Path = parser.parse_args().directory
    changed = write(directory)
    for path in changed:
        print(f"wrote {path}")
    print(f"{len(BUILDERS)} dashboards in {directory}, {len(changed)} of them changed")


if __name__ == "__main__":
    main()
