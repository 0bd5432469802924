"""Write Grafana's provisioning files from the rules: ``python -m monitoring.alerting``."""

import argparse
from pathlib import Path
from typing import Final

import yaml

from monitoring.alerting.files import Document, documents

FOLDER: Final = Path(__file__).resolve().parents[1] / "grafana" / "provisioning" / "alerting"
LINE_WIDTH: Final = 118

HEADER: Final = "# Written by `python -m monitoring.alerting`; change monitoring/alerting/ and run it again.\n"


def as_yaml(document: Document) -> str:
    """The file's text, always the same for the same rules."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=LINE_WIDTH)
    return HEADER + text


def write(folder: Path) -> None:
    """Write every file into the folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents().items():
        (folder / name).write_text(as_yaml(document), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m monitoring.alerting", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to (default: %(default)s)")
    write(parser.parse_args().folder)
