"""Writes the queue contract for the platform's side, from ``models/task_payload.py`` (``make contracts``).

    python -m contracts.generate           write contracts/
    python -m contracts.generate --check   only say whether they are what the model says (exit status 1: no)

The same model always gives the same bytes.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from models.generation import Channel
from models.task_payload import GenerationTask

DIRECTORY: Final = Path(__file__).resolve().parents[1] / "contracts"
SCHEMA_FILE: Final = "generation-task.schema.json"
TYPESCRIPT_FILE: Final = "generation-task.ts"

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

OWNER_FIELDS: Final[Mapping[Channel, str]] = {Channel.B2B: "store_id", Channel.B2C: "user_id"}
"""FR-6.3. The model enforces it in code, which no schema generator can read."""

JSDOC_KEYWORDS: Final = ("format", "minItems", "maxItems", "minLength", "maxLength")
"""JSON Schema's words for what a TypeScript type cannot say; as JSDoc tags, tools understand them too."""

LINE_CHARS: Final = 120

Schema = Mapping[str, Any]


def json_schema() -> dict[str, Any]:
    """The contract as a JSON Schema. Check it with format assertion on (Ajv: ``ajv-formats``)."""
    generated = GenerationTask.model_json_schema()
    return {
        "$schema": DIALECT,
        "title": generated["title"],
        "description": _plain(generated["description"]),
        "type": "object",
        "properties": {name: _property(generated, schema) for name, schema in generated["properties"].items()},
        "required": generated["required"],
        "allOf": [_owner_rule(channel, field) for channel, field in OWNER_FIELDS.items()],
    }


def typescript() -> str:
    """The contract as TypeScript: as it stands in the queue, and as the platform holds it before serialisation."""
    schema = json_schema()
    header = (
        "// Generated from models/task_payload.py by `make contracts`. Do not edit.\n"
        "// Serialise the camelCase form to the wire form with the same values under snake_case names, and LPUSH its\n"
        "// JSON to the list wearon:tasks:generation."
    )
    wire = _types(schema, "GenerationTaskWire", _unchanged, "One element of the queue, as JSON on the wire.")
    platform = _types(schema, "GenerationTask", camel_case, "The same task as the platform holds it.")
    return "\n\n".join([header, *wire, *platform]) + "\n"


def contents() -> dict[str, str]:
    """Every generated file's text by its name."""
    return {
        SCHEMA_FILE: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        TYPESCRIPT_FILE: typescript(),
    }


def drifted(directory: Path) -> list[str]:
    """Names of the files that are not what the model says."""
    return [
        name
        for name, text in contents().items()
        if not (directory / name).is_file() or (directory / name).read_text(encoding="utf-8") != text
    ]


def camel_case(name: str) -> str:
    """``image_urls`` → ``imageUrls``."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _unchanged(name: str) -> str:
    return name


def _plain(text: str) -> str:
    """A docstring as running text: no line breaks, no reStructuredText."""
    return " ".join(text.replace("``", "`").split())


def _property(root: Schema, schema: Schema) -> dict[str, Any]:
    """One field, without the titles and defaults that say nothing to a producer; references filled in."""
    resolved = dict(root["$defs"][schema["$ref"].rpartition("/")[2]]) if "$ref" in schema else {}
    field = {**resolved, **schema}
    return {key: value for key, value in field.items() if key not in {"title", "default", "$ref"}}


def _owner_rule(channel: Channel, field: str) -> dict[str, Any]:
    return {
        "if": {"properties": {"channel": {"const": channel.value}}, "required": ["channel"]},
        "then": {"properties": {field: {"type": "string"}}, "required": [field]},
    }


def _types(schema: Schema, name: str, spell: Callable[[str], str], about: str) -> list[str]:
    """An interface with what both channels share, one interface for each channel, and their union."""
    special = {"channel", *OWNER_FIELDS.values()}
    shared = [
        _member(spell(field), _type_of(field_schema), field_schema)
        for field, field_schema in schema["properties"].items()
        if field not in special
    ]
    blocks = [f"/** What tasks of both channels have. */\ninterface {name}Base {{\n" + "\n".join(shared) + "\n}"]
    channels = {channel: f"{channel.value.capitalize()}{name}" for channel in OWNER_FIELDS}
    for channel, interface in channels.items():
        members = [_member("channel", json.dumps(channel.value), schema["properties"]["channel"])]
        for owner_channel, field in OWNER_FIELDS.items():
            owned = owner_channel is channel
            member = _member(
                spell(field) if owned else f"{spell(field)}?",
                "string" if owned else "null",
                schema["properties"][field],
            )
            members.append(member)
        blocks.append(
            f"/** A task of channel {channel.value}. */\n"
            f"export interface {interface} extends {name}Base {{\n" + "\n".join(members) + "\n}"
        )
    comment = textwrap.fill(
        f"{about} {schema['description']}", LINE_CHARS, initial_indent=" * ", subsequent_indent=" * "
    )
    blocks.append(f"/**\n{comment}\n */\nexport type {name} = {' | '.join(channels.values())};")
    return blocks


def _member(name: str, type_text: str, schema: Schema) -> str:
    tags = "".join(f"\n   * @{key} {value}" for key, value in _jsdoc(schema).items())
    if tags:
        return f"  /**\n   * {schema['description']}{tags}\n   */\n  {name}: {type_text};"
    return f"  /** {schema['description']} */\n  {name}: {type_text};"


def _jsdoc(schema: Schema) -> dict[str, Any]:
    described = {**next((choice for choice in schema.get("anyOf", ()) if choice["type"] != "null"), {}), **schema}
    return {key: described[key] for key in JSDOC_KEYWORDS if key in described}


def _type_of(schema: Schema) -> str:
    match schema["type"]:
        case "array":
            return f"{_type_of(schema['items'])}[]"
        case "integer" if schema.get("minimum") == schema.get("maximum"):
            return str(schema["minimum"])  # the one version there is
        case "integer":
            return "number"
        case "string":
            return "string"
        case other:
            raise AssertionError(f"no TypeScript is known for {other}")


def main(arguments: list[str] | None = None, directory: Path = DIRECTORY) -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description="Generate contracts/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    if parser.parse_args(arguments).check:
        names = drifted(directory)
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
