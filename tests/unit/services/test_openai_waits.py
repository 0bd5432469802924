"""How long an answer says to wait, in all the ways the provider says it."""

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.providers.openai.waits import named_wait_seconds

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        pytest.param({"Retry-After": "20"}, "", 20.0, id="seconds"),
        pytest.param({"Retry-After": "Sat, 28 Nov 2026 12:00:31 GMT"}, "", 31.0, id="an HTTP date"),
        pytest.param({"Retry-After": "Sat, 28 Nov 2026 11:00:00 GMT"}, "", 0.0, id="a date that has passed"),
        pytest.param({"Retry-After": "Sat, 28 Nov 2026 12:00:05 -0000"}, "", 5.0, id="a date without a zone"),
        pytest.param({"retry-after-ms": "1500"}, "", 1.5, id="milliseconds"),
        pytest.param({"retry-after-ms": "1500", "Retry-After": "2"}, "", 1.5, id="milliseconds are more exact"),
        pytest.param({"Retry-After": "soon"}, "", None, id="no number and no date"),
        pytest.param({"Retry-After": f"Sat, 28 Nov {'9' * 20} 12:00:31 GMT"}, "", None, id="a year of twenty digits"),
        pytest.param({"Retry-After": f"Sat, 28 Nov 2026 {'9' * 20}:00:31 GMT"}, "", None, id="an hour of as many"),
        pytest.param({"Retry-After": ""}, "", None, id="empty"),
        pytest.param({"Retry-After": "-5"}, "", None, id="negative"),
        pytest.param({"Retry-After": "inf"}, "", None, id="not finite"),
        pytest.param({}, "Rate limit reached. Please try again in 20s. Visit https://x", 20.0, id="words"),
        pytest.param({}, "Please try again in 250ms.", 0.25, id="words in milliseconds"),
        pytest.param({}, "Please try again in 1m2.5s.", 62.5, id="words in minutes and seconds"),
        pytest.param({}, "slow down and try again after 51.84 seconds.", 51.84, id="words, spelt out"),
        pytest.param({}, "Please try again in 1 minute 5 seconds", 65.0, id="words with spaces"),
        pytest.param({}, "Please try again in 1h", 3_600.0, id="an hour"),
        pytest.param({}, "Please try again in a minute", None, id="no number"),
        pytest.param({}, "Please try again later", None, id="no time"),
        pytest.param({"Retry-After": "9"}, "Please try again in 20s", 9.0, id="the header before the words"),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, "", 360.0, id="reset"
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, "", 0.12, id="reset in ms"
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "6m0s"},
            "",
            None,
            id="the reset of a limit that is not used up",
        ),
        pytest.param(
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "30s",
            },
            "",
            30.0,
            id="the longer of two that are used up",
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m"},
            "Please try again in 12s.",
            12.0,
            id="the words before the reset, which is longer than needed",
        ),
    ],
)
def test_the_wait_is_found_wherever_it_is_named(headers: dict[str, str], message: str, seconds: float | None) -> None:
    found = named_wait_seconds(httpx.Headers(headers), message, now=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


@given(st.text(), st.text(st.characters(codec="ascii", exclude_categories=["C"])))
def test_whatever_stands_there_the_wait_is_none_or_not_negative(message: str, header: str) -> None:
    headers = {"retry-after": header, "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": header}
    seconds = named_wait_seconds(headers, f"try again in {message}", now=NOW)
    assert seconds is None or 0 <= seconds < 1e16


@given(
    st.lists(
        st.sampled_from(
            ["Sat,", "28", "Nov", "2026", "12:00:31", "GMT", "+0000", ":", "-", "9" * 20, "0", "Tue", "EST"]
        )
    )
)
def test_whatever_a_date_is_made_of_the_wait_is_none_or_not_negative(words: list[str]) -> None:
    seconds = named_wait_seconds({"retry-after": " ".join(words)}, "", now=NOW)
    assert seconds is None or seconds >= 0
