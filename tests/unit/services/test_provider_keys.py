"""How workers call in Redis what they share about a provider."""

import pytest

from services.turns.provider_keys import provider_key


def test_openais_keys_are_called_as_in_every_release() -> None:
    """Workers of two releases run side by side in a deploy, and count in one window."""
    facts = ("rate:window", "rate:input-images", "blocked", "pause", "probe")
    assert [provider_key("openai", fact) for fact in facts] == [f"wearon:provider:{fact}" for fact in facts]


def test_another_provider_shares_no_key_with_it() -> None:
    assert provider_key("rate", "window") not in {provider_key("openai", fact) for fact in ("window", "rate:window")}


@pytest.mark.parametrize("name", ["", "OpenAI", "a:b", "x" * 33])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no provider can be called"):
        provider_key(name, "blocked")
