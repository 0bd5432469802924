"""[pure] A model of what Alloy makes of one log line, by the stages in ``monitoring/alloy/config.alloy``.

No Alloy runs here. The model reads the file's own stages, in their order, and does what the documents of each stage
say; it knows no stage that the file does not use, and says so when one is added.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

Extracted = dict[str, str]

STAGE: Final = re.compile(r"^  stage\.(\w+) \{\n(.*?)^  \}", re.MULTILINE | re.DOTALL)
PAIR: Final = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')
CONDITION: Final = re.compile(r"\{\{ (?:else )?if eq \$level ([^}]*) \}\}(.*?)(?=\{\{ (?:else|end))")
NAME: Final = re.compile(r'"([^"]*)"')


class UnknownStage(Exception):
    """The file has a stage that this model does not know; teach it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What reaches Loki. ``timestamp`` is the program's own; None leaves the engine's."""

    line: str
    labels: Mapping[str, str]
    structured_metadata: Mapping[str, str] = field(default_factory=dict)
    timestamp: str | None = None


def stages(configuration: str) -> Iterator[tuple[str, str]]:
    """Name and body of each, in order."""
    process = re.search(r"^loki\.process .*?^\}", configuration, re.MULTILINE | re.DOTALL)
    if process is None:
        raise UnknownStage("there is no loki.process")
    return ((found[1], found[2]) for found in STAGE.finditer(process[0]))


def shipped(configuration: str, line: str, labels: Mapping[str, str]) -> Entry:
    """One line through every stage. Raises ``UnknownStage``."""
    entry, extracted = Entry(line, dict(labels)), Extracted()
    for name, body in stages(configuration):
        entry = _stage(name, body, entry, extracted)
    return entry


def _stage(name: str, body: str, entry: Entry, extracted: Extracted) -> Entry:
    match name:
        case "json":
            extracted.update(_from_json(entry.line, _map(body, "expressions")))
        case "template":
            (source,) = re.findall(r'source\s*=\s*"(\w+)"', body)
            made = _level(re.findall(r'template = "(.*)"', body)[0].replace('\\"', '"'), extracted.get(source, ""))
            extracted.pop(source, None)
            if made:
                extracted[source] = made
        case "labels":
            return replace(entry, labels={**entry.labels, **_chosen(_map(body, "values"), extracted)})
        case "structured_metadata":
            return replace(entry, structured_metadata=_chosen(_map(body, "values"), extracted))
        case "timestamp":
            (source,) = re.findall(r'source\s*=\s*"(\w+)"', body)
            return replace(entry, timestamp=extracted.get(source))
        case "label_keep":
            kept = NAME.findall(body)
            return replace(entry, labels={key: value for key, value in entry.labels.items() if key in kept})
        case _:
            raise UnknownStage(f"stage.{name}")
    return entry


def _map(body: str, name: str) -> dict[str, str]:
    """``name = { key = "value", ... }``."""
    found = re.search(rf"{name} = \{{(.*?)\}}", body, re.DOTALL)
    return dict(PAIR.findall(found[1])) if found else {}


def _chosen(wanted: Mapping[str, str], extracted: Mapping[str, str]) -> dict[str, str]:
    """An empty source is the name itself; what was not found is left out."""
    return {name: extracted[source or name] for name, source in wanted.items() if extracted.get(source or name)}


def _from_json(line: str, expressions: Mapping[str, str]) -> Extracted:
    """Of a line that is no JSON object, nothing; of null, nothing."""
    try:
        read: Any = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(read, dict):
        return {}
    found = {name: read.get(source or name) for name, source in expressions.items()}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
        if value is not None
    }


def _level(template: str, value: str) -> str:
    """The one kind of Go template that the file has: a chain of comparisons with the value in lower case."""
    lowered = value.lower()
    for names, result in CONDITION.findall(template):
        if lowered in NAME.findall(names):
            return lowered if result.strip() == "{{ $level }}" else result
    (otherwise,) = re.findall(r"\{\{ else \}\}(.*?)\{\{ end \}\}", template)
    return str(otherwise)
