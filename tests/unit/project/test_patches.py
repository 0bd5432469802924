"""No test patches a constant: what a test needs to vary is an argument, with the constant as its default.

A test that patches one depends on the module that happens to hold it, and a patch that no longer reaches the code that
reads the value is not noticed: the test goes on with the value of production.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).resolve().parents[2]

PATCHING: Final = frozenset({"setattr", "delattr", "patch", "object", "multiple"})
"""The last word of ``setattr``, ``monkeypatch.setattr``, ``mock.patch``, ``patch.object`` and their like."""

NAMING_KEYWORDS: Final = frozenset({"target", "name", "attribute"})
"""Under which ``monkeypatch`` and ``mock`` take what is patched."""

DEFAULTS: Final = frozenset({"__defaults__", "__kwdefaults__"})
"""A function's defaults: the way round to the same constant."""


def patched_constants(source: str) -> list[str]:
    """What a module patches that is written in capitals, or the defaults of a function, each with its line."""
    return [
        f"line {node.lineno}: {name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt | ast.expr)
        for name in _names_patched(node)
        if name.isupper() or name in DEFAULTS
    ]


def _names_patched(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id=word) | ast.Attribute(attr=word)) if word in PATCHING:
            yield from _names_in_call(node)
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from (target.attr for target in targets if isinstance(target, ast.Attribute))
        case ast.AnnAssign(target=ast.Attribute(attr=name)) | ast.AugAssign(target=ast.Attribute(attr=name)):
            yield name


def _names_in_call(call: ast.Call) -> Iterator[str]:
    """``("package.module.NAME", …)``, ``(module, "NAME", …)``, and both by keyword."""
    first = next((text for argument in call.args[:2] if (text := _text(argument)) is not None), "")
    by_keyword = [_text(each.value) or "" for each in call.keywords if each.arg in NAMING_KEYWORDS]
    yield from (name.rpartition(".")[2] for name in [first, *by_keyword])
    if isinstance(call.func, ast.Attribute) and call.func.attr == "multiple":
        yield from (each.arg for each in call.keywords if each.arg)


def _text(expression: ast.expr) -> str | None:
    return expression.value if isinstance(expression, ast.Constant) and isinstance(expression.value, str) else None


def test_no_test_patches_a_constant() -> None:
    found = {
        file.relative_to(TESTS).as_posix(): patched
        for file in sorted(TESTS.rglob("*.py"))
        if (patched := patched_constants(file.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "patch",
    [
        'monkeypatch.setattr(wire, "TIMEOUT_SECONDS", 0.3)',
        'monkeypatch.setattr(wire, name="TIMEOUT_SECONDS", value=0.3)',
        'monkeypatch.setattr("services.wire.TIMEOUT_SECONDS", 0.3)',
        'monkeypatch.delattr(webp, "_LIBRARY")',
        'patched.setattr(Watch, "INTERVAL_SECONDS", 1)',
        'setattr(wire, "TIMEOUT_SECONDS", 0.3)',
        'with mock.patch("services.wire.TIMEOUT_SECONDS", 0.3): pass',
        '@patch(target="services.wire.TIMEOUT_SECONDS", new=0.3)\ndef test(): ...',
        'patch.object(wire, "TIMEOUT_SECONDS", 0.3)',
        'patch.object(wire, attribute="TIMEOUT_SECONDS", new=0.3)',
        'patch.multiple("services.wire", TIMEOUT_SECONDS=0.3)',
        "wire.TIMEOUT_SECONDS = 0.3",
        "wire.TIMEOUT_SECONDS += 1",
        "del wire.TIMEOUT_SECONDS",
        'monkeypatch.setattr(fetch, "__defaults__", (1,))',
    ],
)
def test_a_constant_that_is_patched_is_found_with_its_line(patch: str) -> None:
    [found] = patched_constants(f"import wire\n{patch}\n")
    assert found.startswith("line 2: ")


@pytest.mark.parametrize(
    "line",
    [
        'monkeypatch.setattr(time, "monotonic", lambda: 0.0)',
        'monkeypatch.setattr("tempfile.tempdir", "HERE")',
        'monkeypatch.setattr(sys, "executable", "PYTHON")',
        'monkeypatch.setattr(pool, "Measurer", NoProcess)',
        'monkeypatch.setenv("OPENAI_API_KEY", "s3cret")',
        "TIMEOUT_SECONDS = wire.TIMEOUT_SECONDS",
    ],
)
def test_what_is_no_constant_may_be_patched_or_set(line: str) -> None:
    assert patched_constants(line) == []
