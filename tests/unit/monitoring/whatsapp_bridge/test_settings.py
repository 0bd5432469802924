"""Settings that are missing or wrong are named, with the place where they are to be had."""

import pytest

from monitoring.whatsapp_bridge.settings import RULES, Settings, load, masked

GOOD = {
    "WHATSAPP_ACCESS_TOKEN": "EAAtoken",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
    "WHATSAPP_RECIPIENTS": "+4915112345678, +31612345678,+4915112345678",
    "WHATSAPP_WEBHOOK_SECRET": "a-secret-of-sixteen",
}


def test_with_everything_there_nothing_is_wrong() -> None:
    settings = load(GOOD)
    assert settings.can_send
    assert settings.recipients == ("+4915112345678", "+31612345678"), "each once, in order"
    assert (settings.template_name, settings.template_language, settings.api_version) == ("worker_alert", "en", "v26.0")
    assert settings.api_base_url == "https://graph.facebook.com"


def test_what_compose_hands_on_empty_has_its_default() -> None:
    assert load(GOOD | dict.fromkeys(set(RULES) - set(GOOD), "")) == load(GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WHATSAPP_ACCESS_TOKEN", ""),
        ("WHATSAPP_ACCESS_TOKEN", "your-whatsapp-access-token"),
        ("WHATSAPP_ACCESS_TOKEN", "two words"),
        ("WHATSAPP_PHONE_NUMBER_ID", "+4915112345678"),
        ("WHATSAPP_RECIPIENTS", "4915112345678"),
        ("WHATSAPP_RECIPIENTS", "+4915112345678;+31612345678"),
        ("WHATSAPP_RECIPIENTS", "+4915112345678,"),
        ("WHATSAPP_TEMPLATE_NAME", "Worker Alert"),
        ("WHATSAPP_TEMPLATE_LANGUAGE", "English"),
        ("WHATSAPP_API_VERSION", "26"),
        ("WHATSAPP_API_BASE_URL", "https://graph.facebook.com/v26.0"),
        ("WHATSAPP_WEBHOOK_SECRET", "short"),
    ],
)
def test_a_fault_is_named_and_only_it(name: str, value: str) -> None:
    settings = load(GOOD | {name: value})
    (fault,) = settings.faults
    assert fault.startswith(f"{name} is ")
    assert RULES[name].where in fault
    assert not settings.can_send


def test_settings_show_neither_secrets_nor_numbers() -> None:
    shown = repr(load(GOOD))
    assert not [part for part in ("EAAtoken", "a-secret", "4915112345678", "612345678") if part in shown]
    assert isinstance(load({}), Settings)


def test_a_number_is_masked() -> None:
    assert masked("+4915112345678") == "+491***678"
