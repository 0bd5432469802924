"""The generated contract files are what the model says, and what the platform really sends fits them."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from contracts.generate import (
    DIRECTORY,
    NODE_DIRECTORY,
    SCHEMA_FILE,
    TYPESCRIPT_FILE,
    contents,
    drifted,
    json_schema,
    main,
)
from models.task_payload import TASK_CONTRACT, B2bTask, B2cTask
from sandbox.platform.producer import Producer, StoreMode
from sandbox.servers.node_packages import ensure_node_packages, node_program
from tests.conftest import ENVIRONMENT_OF_THE_DEVELOPER
from tests.support.contract_formats import FORMATS
from tests.support.payloads import b2b, b2c

URLS: Final = ["https://shop.example/person.jpg?token=a%2Bb", "http://127.0.0.1:8000/outfit.png"]

MODELS: Final = (B2bTask, B2cTask)

PLATFORM_NAMES: Final = {
    *("taskId", "channel", "storeId", "userId", "sessionId"),
    *("imageUrls", "prompt", "requestId", "version", "createdAt"),
}
"""The TypeScript side's own names, from the platform's contract."""

PRODUCER_CASES: Final = Path(__file__).with_name("producer_cases.ts")


@pytest.fixture(scope="module")
def node_packages() -> Path:
    """The TypeScript generator and compiler."""
    return ensure_node_packages(ENVIRONMENT_OF_THE_DEVELOPER, NODE_DIRECTORY)


@pytest.fixture(scope="module")
def generated(node_packages: Path) -> Mapping[str, str]:
    """Every file as it is generated now, by its name."""
    assert node_packages.is_dir()
    return contents()


def members(typescript: str, interface: str) -> set[str]:
    """Names of an interface's members."""
    found = re.search(rf"interface {interface} \{{(.*?)\n\}}", typescript, re.DOTALL)
    assert found is not None
    return set(re.findall(r"^  (\w+)\??: ", found[1], re.MULTILINE))


@pytest.mark.parametrize("name", [SCHEMA_FILE, TYPESCRIPT_FILE])
def test_the_committed_file_is_what_the_model_says(name: str, generated: Mapping[str, str]) -> None:
    assert (DIRECTORY / name).read_text(encoding="utf-8") == generated[name], "run `make contracts`"


def test_only_the_generator_lies_beside_the_generated_files(generated: Mapping[str, str]) -> None:
    assert {path.name for path in DIRECTORY.iterdir() if path.is_file()} == {*generated, "generate.py"}


@pytest.mark.heavy
def test_generating_twice_gives_the_same_bytes_and_a_check_finds_them(
    tmp_path: Path, generated: Mapping[str, str]
) -> None:
    assert main([], tmp_path) == 0
    assert drifted(tmp_path, generated) == []
    assert main(["--check"], tmp_path) == 0


def test_a_check_of_missing_files_fails_and_writes_nothing(
    tmp_path: Path, node_packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert node_packages.is_dir()
    assert main(["--check"], tmp_path) == 1
    assert f"{SCHEMA_FILE}, {TYPESCRIPT_FILE}. Run `make contracts`." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damaged", [SCHEMA_FILE, TYPESCRIPT_FILE])
def test_a_file_that_drifted_by_one_character_is_noticed(
    tmp_path: Path, damaged: str, generated: Mapping[str, str]
) -> None:
    for name, text in generated.items():
        (tmp_path / name).write_text(text + " " * (name == damaged), encoding="utf-8")
    assert drifted(tmp_path, generated) == [damaged]


def test_the_schema_is_a_valid_schema_with_a_word_on_every_field() -> None:
    Draft202012Validator.check_schema(json_schema())
    definitions = json_schema()["$defs"].values()
    assert all(field["description"] for one in definitions for field in one["properties"].values())
    assert [set(one["properties"]) for one in definitions] == [set(model.model_fields) for model in MODELS]


@pytest.mark.heavy
def test_the_compiler_accepts_right_payloads_and_refuses_wrong_ones(tmp_path: Path, node_packages: Path) -> None:
    for file in (DIRECTORY / TYPESCRIPT_FILE, PRODUCER_CASES):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    compiler = node_packages / "typescript" / "lib" / "tsc.js"
    run = subprocess.run(
        [node_program(), compiler, "--noEmit", "--strict", "--target", "es2022", PRODUCER_CASES.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")


@pytest.mark.parametrize("channel", ["B2B", "B2C"])
def test_both_typescript_forms_have_every_field(channel: str, generated: Mapping[str, str]) -> None:
    typescript = generated[TYPESCRIPT_FILE]
    assert members(typescript, f"{channel}GenerationTaskWire") == set(B2bTask.model_fields) == set(B2cTask.model_fields)
    assert members(typescript, f"{channel}GenerationTask") == PLATFORM_NAMES


def test_every_description_of_the_model_is_a_comment_in_typescript(generated: Mapping[str, str]) -> None:
    for model in MODELS:
        for field in model.model_fields.values():
            assert field.description is not None
            assert field.description in generated[TYPESCRIPT_FILE]


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
        task = TASK_CONTRACT.validate_json(one.payload)
        assert (task.session, task.owner_id, task.request_id) == (one.session, one.owner_id, one.request_id)
