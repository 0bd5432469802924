"""The one rule that asks Loki: which lines of nginx set it off, and which must not.

No Loki runs here. A model of the little LogQL in this expression counts lines; an expression it cannot read fails.
"""

import re
from dataclasses import dataclass
from typing import Final

import pytest

from monitoring.alerting.rule import Side, Source
from monitoring.alerting.rules import RULES

MINUTE_SECONDS: Final = 60.0

(RULE,) = [rule for rule in RULES if rule.source is Source.LOKI]

EXPRESSION: Final = re.compile(
    r'sum\(count_over_time\(\{service="(?P<service>\w+)"\} \| json \| event="(?P<event>\w+)"'
    r" \| status >= (?P<status>\d+) \[(?P<minutes>\d+)m\]\)\) or vector\(0\)"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line in Loki, ``age_seconds`` old."""

    age_seconds: float
    status: int
    event: str = "http_request"
    service: str = "nginx"


def requests(status: int, count: int, *, apart_seconds: float = 1.0, **more: str) -> list[Line]:
    """So many answers with this status, the last one just now."""
    return [Line(number * apart_seconds, status, **more) for number in range(count)]


def counted(lines: list[Line]) -> int:
    """What the rule's question brings (a model of Loki)."""
    asked = EXPRESSION.fullmatch(RULE.expression)
    assert asked, f"this model does not know {RULE.expression}"
    return sum(
        line.service == asked["service"]
        and line.event == asked["event"]
        and line.status >= int(asked["status"])
        and line.age_seconds < int(asked["minutes"]) * MINUTE_SECONDS
        for line in lines
    )


def fires(lines: list[Line]) -> bool:
    """Whether the shipped threshold is passed."""
    assert RULE.side is Side.ABOVE
    return counted(lines) > RULE.threshold


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(requests(502, 5), id="five answers of 502 in a row"),
        pytest.param(requests(500, 5, apart_seconds=MINUTE_SECONDS - 1), id="one of 500 a minute for five minutes"),
        pytest.param([*requests(200, 10_000, apart_seconds=0.01), *requests(504, 5)], id="five among ten thousand"),
    ],
)
def test_server_errors_of_nginx_set_it_off(lines: list[Line]) -> None:
    assert fires(lines)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no line at all"),
        pytest.param(requests(200, 1_000), id="ordinary traffic"),
        pytest.param(requests(404, 1_000), id="a scanner"),
        pytest.param(requests(429, 1_000), id="a client that asks too often"),
        pytest.param(requests(502, 4), id="the four requests that meet a restart"),
        pytest.param(requests(502, 10, apart_seconds=2 * MINUTE_SECONDS), id="one every other minute"),
        pytest.param(requests(502, 100, event="other"), id="lines that are not about a request"),
        pytest.param(requests(500, 100, service="worker"), id="another service's"),
        pytest.param([Line(10 * MINUTE_SECONDS + number, 502) for number in range(100)], id="an outage that is over"),
    ],
)
def test_what_is_no_outage_does_not(lines: list[Line]) -> None:
    assert not fires(lines)
