"""Shows how far a calibration is, on standard error."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def followed(items: Sequence[Item], what: str) -> Iterable[Item]:
    """The items, with a bar that moves as they are taken; ``what`` stands before it."""
    return track(items, description=what, console=Console(stderr=True))
