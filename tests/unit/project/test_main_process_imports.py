"""The main process holds no decoder and no NumPy: only its children open what strangers send (ADR 0038)."""

import ast
import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from worker.settlement.storage_probe import PICTURE

pytestmark = pytest.mark.heavy

ROOT: Final = Path(__file__).resolve().parents[3]

FOR_CHILDREN_ONLY: Final = ("PIL", "pillow_heif", "numpy", "ai_edge_litert")
LOADED: Final = "import json, sys; import {module}; print(json.dumps(sorted(sys.modules)))"


def loaded_by(module: str) -> set[str]:
    """The modules a fresh Python has loaded after importing this one."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(ended.stdout))


def test_the_main_process_loads_no_decoder_and_no_numpy() -> None:
    assert loaded_by("main").isdisjoint(FOR_CHILDREN_ONLY)


@pytest.mark.parametrize(
    ("child", "needs"),
    [
        ("worker.execution.process", {"PIL", "pillow_heif"}),
        ("size_rec.processes.process", {"PIL", "pillow_heif", "numpy"}),
    ],
)
def test_its_children_load_what_they_work_with_before_the_first_picture(child: str, needs: set[str]) -> None:
    assert needs <= loaded_by(child)


def test_the_import_rule_starts_from_everything_that_main_imports() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rule,) = [
        contract for contract in contracts if set(contract.get("forbidden_modules", [])) == set(FOR_CHILDREN_ONLY)
    ]
    imported = {
        node.module
        for node in ast.parse((ROOT / "main.py").read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module and (ROOT / node.module.split(".")[0]).is_dir()
    }
    rooms = rule["source_modules"]
    assert [name for name in sorted(imported) if not any(f"{name}.".startswith(f"{room}.") for room in rooms)] == []


def test_the_picture_that_is_offered_to_storage_is_a_whole_jpeg() -> None:
    with Image.open(io.BytesIO(PICTURE), formats=("JPEG",)) as picture:
        assert picture.convert("L").getextrema() == (255, 255)
