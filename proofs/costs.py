"""Works out what a picture costs, for ``docs/costs.md`` (``make costs``).

    python -m proofs.costs           write the table into the document
    python -m proofs.costs --check   only say whether it is up to date (exit status 1: no)

Prices come from the profiles in ``models/image_models.py``, tokens from the simulator's rules
(``sandbox/openai_sim/usage.py``), the size of the result from the worker's own choice.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from models.generation import Usage
from models.image_models import KNOWN_MODELS, ImageModelProfile, choose_size, estimate_cost_usd
from sandbox.openai_sim.profiles import MODELS, Size
from sandbox.openai_sim.usage import input_tokens, output_tokens, text_tokens

DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs" / "costs.md"
BEGIN: Final = "<!-- table: make costs -->"
END: Final = "<!-- end of the table -->"

SIDES_PX: Final = (384, 512, 768, 1024, 1536)
"""Longer sides of the inputs as they are sent; the worker sends 1024."""

PROMPT: Final = "x" * 320
"""As long as the worker's own prompt."""

PictureSize = tuple[int, int]


def cost_usd(profile: ImageModelProfile, quality: str, pictures: Sequence[PictureSize]) -> Decimal:
    """The estimated price of one generation from pictures of these sizes, the person's first [pure]."""
    simulated = MODELS[profile.name]
    width, height = map(int, choose_size(profile, *pictures[0]).split("x"))
    high_fidelity = profile.input_fidelity == "high"
    usage = Usage(
        input_text_tokens=text_tokens(PROMPT),
        input_image_tokens=sum(input_tokens(simulated, *picture, high_fidelity=high_fidelity) for picture in pictures),
        output_tokens=output_tokens(simulated, quality, Size(width, height)),
    )
    return estimate_cost_usd(profile, usage)


def person_and_garment(side_px: int) -> tuple[PictureSize, PictureSize]:
    """The usual task: a portrait photo, two to three, and a square picture of a garment."""
    return (round(side_px * 2 / 3), side_px), (side_px, side_px)


def table() -> str:
    """The table as Markdown."""
    head = " | ".join(f"{side} px" for side in SIDES_PX)
    return "\n".join([f"| model | quality | {head} |", f"|---|---|{'---:|' * len(SIDES_PX)}", *_rows()])


def _rows() -> Iterator[str]:
    for profile in KNOWN_MODELS.values():
        for quality in profile.qualities:
            costs = [cost_usd(profile, quality, person_and_garment(side)) for side in SIDES_PX]
            yield f"| {profile.name} | {quality} | {' | '.join(f'{cost:.4f}' for cost in costs)} |"


def up_to_date(text: str) -> str:
    """The document's text with today's table in it."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main() -> int:
    """Write or check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m proofs.costs", description="What a picture costs.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 if it is out of date")
    arguments = parser.parse_args()
    text = DOCUMENT.read_text(encoding="utf-8")
    wanted = up_to_date(text)
    if arguments.check:
        return int(text != wanted)
    DOCUMENT.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
