"""[pure] The pieces that several expressions share."""

from collections.abc import Mapping
from typing import Final

WORKERS_NOT_DRAINING: Final = 'unless on (instance) (wearon_draining{job="worker"} == 1)'
"""A worker that was told to stop takes no tasks by intention (FR-5.2). One that starts is not left out: beside a well
one it changes no ``max``, and one that does not get ready for minutes waits for something that is away (ADR 0025)."""


def added(counter: str, window: str) -> str:
    """By how much each series of a counter grew within the window, from the first event on.

    ``increase()`` counts from the first scrape: what a worker counts in its first seconds, a whole backlog that fails
    at once perhaps, is in the value that is scraped first and never adds to it. So a series that is younger than the
    window counts as it is; unless Prometheus itself is as young or was away then, for to it every series is new.
    """
    born_since = f'({counter} unless {counter} offset {window}) and on () (up{{job="prometheus"}} offset {window})'
    return f"({born_since} or increase({counter}[{window}]))"


def ended(window: str, outcome: str | None = None) -> str:
    """How many generations ended within the window, on all workers; 0 without any series.

    The sum is over what each worker added: a replaced worker's flat series adds nothing, and does not hide the other's.
    """
    chosen = 'job="worker"' if outcome is None else f'job="worker",outcome="{outcome}"'
    return f"(sum({added(f'wearon_generation_total{{{chosen}}}', window)}) or vector(0))"


def hours_since(timestamp: str) -> str:
    """The age in hours of a moment that a metric holds."""
    return f"round((time() - {timestamp}) / 3600, 0.1)"


def in_words(expression: str, source: str, target: str, words: Mapping[str, str]) -> str:
    """The same series with a label ``target`` that says in people's words what the label ``source`` names."""
    for name, word in words.items():
        expression = f'label_replace({expression}, "{target}", "{word}", "{source}", "{name}")'
    return expression
