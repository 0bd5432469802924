"""What stays of another service's words when they may hold a secret."""

import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.redaction import SHORTEST_OPAQUE_CHARS, blotted

LONGEST_CLUE_CHARS = 6
"""So many characters of a token next to each other help nobody to guess the rest."""

URL_SAFE = string.ascii_letters + string.digits + "-_"
BASE64 = string.ascii_letters + string.digits + "+/="
HEX = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key sk-abc is wrong", "key [secret] is wrong"),
        ("Incorrect API key provided: sk-proj-ab***yz.", "Incorrect API key provided: [secret]"),
        ("Incorrect API key provided: abcdef**********wxyz.", "Incorrect API key provided: [secret]"),
        ("Authorization: Bearer abc123", "Authorization: [secret]"),
        ('"sb_secret_0a1" refused', '"[secret]" refused'),
        ("eyJhbGciOi.eyJzdWIi.c2ln expired", "[secret] expired"),
        ("token 0f1e2d3c4b5a69788796a5b4c3d2e1f0 unknown", "token [secret] unknown"),
        ("from https://user:pass@host/path?sig=1 now", "from https://[secret]@host/path now"),
        ("redis://:hunter2@host:6379/0", "redis://[secret]@host:6379/0"),
        ("redis://default:pw@redis.example.com:6379/0", "redis://[secret]@redis.example.com:6379/0"),
        ("https://u:p@abc.supabase.co/rest", "https://[secret]@abc.supabase.co/rest"),
        ("a letter to ana@münchen.de", "a letter to [secret]"),
        ("Key (shopper_email)=(a.b@example.com) is gone", "Key (shopper_email)=([secret]) is gone"),
        ("Refund (shopper=anna.smith+shop@mail.example.co.uk)", "Refund (shopper=[secret])"),
        ('to "jo@example.org", refused', 'to "[secret]", refused'),
    ],
)
def test_what_may_be_a_key_is_blotted_out(text: str, left: str) -> None:
    assert blotted(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Your organization must be verified to use the model `gpt-image-2.6-sunburst`. Please go to: "
        "https://platform.openai.com/settings/organization/general and click on Verify Organization.",
        "Rate limit reached for gpt-image-2.5-sunburst-2026-09-08 in organization org-AyDwMnLc1cwJwrRyWW1JuKig",
        "Project `proj_Q4w8E1r7T2y6U3i9O0p5` does not have access to model `gpt-image-2`",
        "unsupported_country_region_territory, organization_spend_limit_exceeded",
        "request req_0123456789abcdef0123456789abcdef, session 0b8f6a52-8d7e-4a55-9c3f-1d2e3f4a5b6c",
        "Limit 5, Used 5, Requested 1. Please try again in 12s.",
        "Donaudampfschifffahrtsgesellschaft",
    ],
)
def test_words_models_and_ids_that_help_stay(text: str) -> None:
    assert blotted(text) == text


@given(st.integers(), st.sampled_from([URL_SAFE, BASE64, HEX]), st.integers(SHORTEST_OPAQUE_CHARS, 200), st.text())
def test_no_token_drawn_at_random_survives_in_any_text(seed: int, alphabet: str, length: int, around: str) -> None:
    source = random.Random(seed)
    token = "".join(source.choices(alphabet, k=length))
    left = blotted(f"{around} {token} {around}").replace(around, "")
    clues = {token[at : at + LONGEST_CLUE_CHARS + 1] for at in range(length - LONGEST_CLUE_CHARS)}
    assert not any(clue in left for clue in clues)


@given(
    st.text(), st.sampled_from(["sk-", "sk-proj-", "sb_secret_", "Bearer ", "bearer "]), st.text(URL_SAFE, min_size=7)
)
def test_whatever_follows_a_keys_beginning_is_blotted_out(before: str, beginning: str, rest: str) -> None:
    assert rest not in blotted(f"{before} {beginning}{rest} after") or rest in before


@given(st.text())
def test_blotting_twice_is_blotting_once(text: str) -> None:
    assert blotted(blotted(text)) == blotted(text)


@pytest.mark.parametrize("piece", ["a", "a1-", "A", "*", "x?", "-", "aA", "a-", "://@", "eyJa."])
def test_a_long_message_takes_no_time(piece: str) -> None:
    started = time.process_time()
    blotted(piece * (60_000 // len(piece)) + "Q1q")
    assert time.process_time() - started < 2, "a pattern that goes back over its text takes minutes for this"
