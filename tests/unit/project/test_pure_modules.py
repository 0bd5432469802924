"""A module whose docstring begins with "[pure]" decides and does nothing else, and neither does anything it imports."""

import ast
from pathlib import Path
from typing import Final

import grimp
import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[3]
PACKAGES: Final = (
    "config",
    "models",
    "monitoring",
    "operations",
    "proofs",
    "sandbox",
    "services",
    "size_rec",
    "web",
    "worker",
)

EFFECTS: Final = frozenset(
    [
        "aiohttp",
        "anyio",
        "asyncio",
        "celery",
        "concurrent",
        "ctypes",
        "fastapi",
        "fcntl",
        "h11",
        "httpx",
        "kombu",
        "logging",
        "multiprocessing",
        "os",
        "prometheus_client",
        "psutil",
        "psycopg",
        "redis",
        "shutil",
        "signal",
        "socket",
        "structlog",
        "subprocess",
        "supabase",
        "tempfile",
        "threading",
        "uvicorn",
    ]
)
"""Libraries that reach outside, or that show that something waits, starts or is told of. Pillow and NumPy may compute;
``random`` may be named where a caller hands the numbers in."""


def pure_modules() -> list[str]:
    """Every module that claims it."""
    files = [file for package in PACKAGES for file in sorted((REPOSITORY / package).rglob("*.py"))]
    return [
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        for file in files
        if (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").startswith("[pure]")
    ]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


@pytest.mark.parametrize("module", pure_modules())
def test_what_calls_itself_pure_imports_nothing_with_effects(graph: grimp.ImportGraph, module: str) -> None:
    imported = graph.find_upstream_modules(module)
    assert sorted(name for name in imported if name.partition(".")[0] in EFFECTS) == []


def test_a_module_with_effects_would_be_found(graph: grimp.ImportGraph) -> None:
    imported = graph.find_upstream_modules("services.queue.task_queue")
    assert "redis" in {name.partition(".")[0] for name in imported}
