"""The generated contract files are what the model says, and what the platform really sends fits them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from contracts.generate import (
    DIRECTORY,
    SCHEMA_FILE,
    TYPESCRIPT_FILE,
    camel_case,
    contents,
    json_schema,
    main,
    typescript,
)
from models.task_payload import GenerationTask
from sandbox.platform.producer import Producer, StoreMode
from sandbox.servers.node_packages import node_program
from tests.support.contract_formats import FORMATS
from tests.support.payloads import b2b, b2c

URLS: Final = ["https://shop.example/person.jpg?token=a%2Bb", "http://127.0.0.1:8000/outfit.png"]

PLATFORM_NAMES: Final = {
    *("taskId", "channel", "storeId", "userId", "sessionId"),
    *("imageUrls", "prompt", "requestId", "version", "createdAt"),
}
"""The TypeScript side's own names, from the platform's contract."""


def members(interface: str) -> set[str]:
    """Names of an interface's members, those of what it extends included."""
    found = re.search(rf"interface {interface}(?: extends (\w+))? \{{(.*?)\n\}}", typescript(), re.DOTALL)
    assert found is not None
    parent, body = found.groups()
    own = set(re.findall(r"^  (\w+)\??: ", body, re.MULTILINE))
    return own | (members(parent) if parent else set())


@pytest.mark.parametrize("name", [SCHEMA_FILE, TYPESCRIPT_FILE])
def test_the_committed_file_is_what_the_model_says(name: str) -> None:
    assert (DIRECTORY / name).read_text(encoding="utf-8") == contents()[name], "run `make contracts`"


def test_nothing_else_lies_beside_the_generated_files() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == set(contents())


def test_generating_twice_gives_the_same_bytes() -> None:
    assert contents() == contents()


@pytest.mark.parametrize("damaged", [SCHEMA_FILE, TYPESCRIPT_FILE])
def test_check_notices_a_file_that_drifted_or_is_missing(
    tmp_path: Path, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    with (tmp_path / damaged).open("a") as file:
        file.write(" ")
    assert main(["--check"], tmp_path) == 1
    (tmp_path / damaged).unlink()
    assert main(["--check"], tmp_path) == 1
    assert f"{damaged}. Run `make contracts`." in capsys.readouterr().err
    assert not (tmp_path / damaged).exists(), "a check writes nothing"


def test_the_schema_is_a_valid_schema_with_a_word_on_every_field() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert all(field["description"] for field in json_schema()["properties"].values())
    assert set(json_schema()["properties"]) == set(GenerationTask.model_fields)


def test_the_typescript_is_read_by_a_typescript_parser() -> None:
    # Node strips types by parsing them; a syntax error ends it with a status of its own.
    run = subprocess.run(
        [node_program(), DIRECTORY / TYPESCRIPT_FILE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("channel", ["B2b", "B2c"])
def test_both_typescript_forms_have_every_field(channel: str) -> None:
    assert members(f"{channel}GenerationTaskWire") == set(GenerationTask.model_fields)
    assert members(f"{channel}GenerationTask") == PLATFORM_NAMES


def test_the_two_forms_differ_in_spelling_only() -> None:
    assert {camel_case(name) for name in GenerationTask.model_fields} == PLATFORM_NAMES
    spelled = typescript().replace("Wire", "")
    for name in GenerationTask.model_fields:
        spelled = re.sub(rf"^  {name}(\??:)", rf"  {camel_case(name)}\1", spelled, flags=re.MULTILINE)
    wire, platform = spelled.split("/** What tasks of both channels have. */")[1:]
    assert wire.split("/**\n * One element")[0] == platform.split("/**\n * The same task")[0]


def test_every_description_of_the_model_is_a_comment_in_typescript() -> None:
    for field in GenerationTask.model_fields.values():
        assert field.description is not None
        assert field.description in typescript()


@pytest.mark.parametrize("payload", [b2c(), b2b()])
def test_the_tests_own_payloads_fit_the_schema(payload: dict[str, Any]) -> None:
    Draft202012Validator(json_schema(), format_checker=FORMATS).validate(payload)


def test_what_the_platform_pushes_fits_schema_and_model(producer: Producer) -> None:
    schema = json.loads((DIRECTORY / SCHEMA_FILE).read_text())
    validator = Draft202012Validator(schema, format_checker=FORMATS)
    submitted = [
        producer.submit_b2c(URLS, push=False),
        producer.submit_b2c(URLS * 5, prompt="", push=False),
        *(producer.submit_b2b(URLS, mode=mode, push=False) for mode in StoreMode),
    ]
    for one in submitted:
        validator.validate(json.loads(one.payload))
        task = GenerationTask.model_validate_json(one.payload)
        assert (task.session, task.owner_id, task.request_id) == (one.session, one.owner_id, one.request_id)
