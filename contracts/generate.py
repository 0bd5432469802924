"""Writes the queue contract for the platform's side, from ``models/task_payload.py`` (``make contracts``).

    python -m contracts.generate           write contracts/
    python -m contracts.generate --check   only say whether they are what the model says (exit status 1: no)

Pydantic writes the JSON Schema, ``json-schema-to-typescript`` the TypeScript from it (ADR 0044). The same model always
gives the same bytes.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema

from models.task_payload import TASK_CONTRACT
from sandbox.servers.node_packages import ensure_node_packages, node_program

DIRECTORY: Final = Path(__file__).resolve().parents[1] / "contracts"
SCHEMA_FILE: Final = "generation-task.schema.json"
TYPESCRIPT_FILE: Final = "generation-task.ts"

NODE_DIRECTORY: Final = DIRECTORY / "node"
"""The generator of the TypeScript, and the compiler the tests check its work with."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

HEADER: Final = """\
// Generated from models/task_payload.py by `make contracts`. Do not edit.
// ...Wire: one element of the queue, as JSON on the wire. Without Wire: the same task as the platform holds it.
// Serialise the camelCase form to the wire form with the same values under snake_case names, and LPUSH its
// JSON to the list wearon:tasks:generation.
"""

TYPESCRIPT_OPTIONS: Final = (
    "--bannerComment=",
    "--no-additionalProperties",  # a misspelt optional name is an error for the compiler
    "--ignoreMinAndMaxItems",  # string[], not a union of ten tuples
)

GENERATOR_TIMEOUT_SECONDS: Final = 60
"""It takes a second."""

Schema = dict[str, Any]


class _Published(GenerateJsonSchema):
    """Without the titles pydantic makes from field names: the TypeScript generator would name a type for each."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> Schema:
    """The contract as a JSON Schema. Check it with format assertion on (Ajv: ``ajv-formats``)."""
    schema = TASK_CONTRACT.json_schema(schema_generator=_Published)
    del schema["discriminator"]  # a word of OpenAPI, which strict validators of JSON Schema refuse
    return {"$schema": DIALECT, **schema}


def typescript() -> str:
    """The contract as TypeScript: as it stands in the queue, and as the platform holds it before serialisation.

    Raises:
        StartupFailed: the generator cannot be installed.
        CalledProcessError: it refused the schema; its words are in ``stderr``.
    """
    schema = json_schema()
    return "\n".join([HEADER, _types(_renamed(schema, "Wire")), _types(_in_camel_case(schema))])


def contents() -> dict[str, str]:
    """Every generated file's text by its name."""
    return {
        SCHEMA_FILE: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        TYPESCRIPT_FILE: typescript(),
    }


def drifted(directory: Path, files: Mapping[str, str]) -> list[str]:
    """Names of ``files`` that are missing in ``directory`` or have another text there."""
    return [
        name
        for name, text in files.items()
        if not (directory / name).is_file() or (directory / name).read_text(encoding="utf-8") != text
    ]


def _types(schema: Schema) -> str:
    generator = ensure_node_packages(directory=NODE_DIRECTORY) / "json-schema-to-typescript" / "dist" / "src" / "cli.js"
    run = subprocess.run(
        [node_program(), generator, *TYPESCRIPT_OPTIONS],
        input=json.dumps(schema),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=GENERATOR_TIMEOUT_SECONDS,
        check=True,
    )
    return run.stdout


def _renamed(schema: Schema, ending: str) -> Schema:
    models = {name: {**model, "title": model["title"] + ending} for name, model in schema["$defs"].items()}
    return {**schema, "title": schema["title"] + ending, "$defs": models}


def _in_camel_case(schema: Schema) -> Schema:
    models = {
        name: {
            **model,
            "properties": {to_camel(field): about for field, about in model["properties"].items()},
            "required": [to_camel(field) for field in model["required"]],
        }
        for name, model in schema["$defs"].items()
    }
    return {**schema, "$defs": models}


def main(arguments: list[str] | None = None, directory: Path = DIRECTORY) -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description="Generate contracts/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    if parser.parse_args(arguments).check:
        names = drifted(directory, contents())
        if names:
            print(f"Out of date in {directory.name}/: {', '.join(names)}. Run `make contracts`.", file=sys.stderr)
        return 1 if names else 0
    directory.mkdir(exist_ok=True)
    for name, text in contents().items():
        (directory / name).write_text(text, encoding="utf-8")
        print(f"wrote {directory.name}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
