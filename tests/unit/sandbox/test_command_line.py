"""``python -m sandbox``: what it says before anything is started."""

import os
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.demo.play import REAL_BASE_URL, real_provider
from sandbox.demo.steps import DemoFailed

KEY = "sk-of-a-person"


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    text = capsys.readouterr().out
    assert [
        name
        for name in ("start", "reset", "demo", "status", "push", "wearon")
        if f"python -m sandbox {name}" not in text
    ] == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["push"], ["push", "--b2c", "--b2b"], ["push", "--b2b", "--mode", "gift"], ["demo", "--latency", "soon"]],
    ids=" ".join,
)
def test_a_command_that_makes_no_sense_is_refused_with_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)

    assert "usage: python -m sandbox" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [
        (["status"], 3, "Start one with: "),
        (["push", "--b2c"], 3, "Start one with: "),
        (["reset"], 0, "Nothing to wipe"),
        (["wearon", "status", "--json"], 3, "Start one with: "),
    ],
    ids=["status", "push", "reset", "wearon"],
)
def test_without_a_sandbox_a_command_says_so_and_what_to_do(
    arguments: list[str], status: int, answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *rest = arguments
    assert main([command, "--data", str(tmp_path / "none"), *rest]) == status
    assert answer in capsys.readouterr().out


def test_the_real_provider_is_refused_without_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert "OPENAI_API_KEY" not in os.environ
    assert main(["demo", "--real"]) == 2
    assert "OPENAI_API_KEY" in capsys.readouterr().out


def test_the_real_provider_is_openai_unless_the_environment_says_otherwise() -> None:
    assert real_provider({"OPENAI_API_KEY": KEY, "PATH": "/bin"}) == {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": REAL_BASE_URL,
    }


def test_an_accounts_own_address_models_and_limit_are_passed_on() -> None:
    own = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": "https://proxy.example/v1",
        "OPENAI_IMAGE_MODELS": "gpt-image-2",
        "OPENAI_IMAGE_QUALITY": "low",
        "OPENAI_IMAGE_COMPLEXITY": "high",
        "OPENAI_REQUESTS_PER_MINUTE": "5",
        "OPENAI_INPUT_IMAGES_PER_MINUTE": "10",
    }

    assert real_provider(own) == own


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_no_key(key: str) -> None:
    with pytest.raises(DemoFailed):
        real_provider({"OPENAI_API_KEY": key})
