"""What another system said is shown without its secrets, and short."""

import pytest

from models.others_words import LONGEST_WORDS, fit_to_show, gist_of_page


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Legacy API keys are disabled", "Legacy API keys are disabled"),
        ("two\n  lines", "two lines"),
        ("bad key sb_secret_abcDEF123456", "bad key [secret]"),
        ("Incorrect API key provided: sk-proj-abc***********xyz.", "Incorrect API key provided: [secret]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoieCJ9.c2ln expired", "jwt [secret] expired"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: [secret]"),
        ("see https://x.test/a/b.jpg?token=secret now", "see https://x.test/a/b.jpg now"),
        ("rediss://user:password@host:6379", "rediss://[secret]@host:6379"),
        ("token=abc", "[secret]"),
        (
            "session 8c75627e-0714-489c-a0bf-9a51df8ae901 is gone",
            "session 8c75627e-0714-489c-a0bf-9a51df8ae901 is gone",
        ),
        (
            "Missing tenant config for tenant abcdefghijklmnopqrst",
            "Missing tenant config for tenant abcdefghijklmnopqrst",
        ),
        ("aB3" * 14, "[secret]"),
    ],
)
def test_secrets_are_blotted_out_and_words_stay(said: str, shown: str) -> None:
    assert fit_to_show(said) == shown


def test_what_is_long_is_cut() -> None:
    assert len(fit_to_show("word " * 1_000)) == LONGEST_WORDS + len("...")


@pytest.mark.parametrize(
    ("page", "gist"),
    [
        ("<html><head><title>404 Not Found</title></head><body>nginx</body></html>", "404 Not Found"),
        ("<html><body><h1>Back <b>soon</b></h1></body></html>", "Back soon"),
        ("<style>p {}</style><p>We are &amp; stay</p>", "We are & stay"),
        ("upstream connect error", "upstream connect error"),
        ("", ""),
    ],
)
def test_a_page_says_what_its_title_says(page: str, gist: str) -> None:
    assert fit_to_show(gist_of_page(page)) == gist
