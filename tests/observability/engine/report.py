"""What a run says while it works, and what it proved; printed at its end."""

import sys
from dataclasses import dataclass, field
from typing import Final


@dataclass(slots=True)
class Report:
    """Lines of the summary."""

    lines: list[str] = field(default_factory=list)

    def say(self, words: str) -> None:
        """What is done now, for whoever waits."""
        print(f"  {words}", file=sys.stderr, flush=True)  # noqa: T201 - the run's progress

    def proved(self, words: str) -> None:
        """A line of the summary."""
        self.lines.append(words)


REPORT: Final = Report()
"""Of this run."""
