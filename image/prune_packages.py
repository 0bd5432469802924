"""``python -m image.prune_packages``: take out of this Python's packages what the worker never opens (ADR 0039).

For the image's build and nothing else: whoever installs a package later gets all of it again. What must not be missing
is shown by a test that looks at every file the worker's processes have loaded.
"""

import argparse
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

UNUSED: Final = {
    "ai_edge_litert/libLiteRtWebGpuAccelerator*": "for graphics cards; the networks run on the processor",
    "ai_edge_litert/vendors": "for accelerators of phones",
    "ai_edge_litert/tools": "convert, compare and time networks",
    "ai_edge_litert/aot": "compiles networks for phones",
    "numpy/f2py": "compiles Fortran",
    "numpy/_core/include": "headers for compiling against NumPy",
    "numpy/**/*.a": "libraries for linking against NumPy",
    "**/tests": "the packages' own tests",
    "**/*.pyi": "types, for a checker",
    "pip": "installs packages, which the image never does again",
    "pip-*.dist-info": "the same",
}
"""Patterns below the packages' folder, and why nobody misses what they name."""


def unused_in(packages: Path) -> Iterator[Path]:
    """Files and folders that the patterns name, each once."""
    yield from sorted({path for pattern in UNUSED for path in packages.glob(pattern)})


def prune(packages: Path) -> None:
    """Remove them."""
    for path in unused_in(packages):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # its folder may be gone


def main() -> None:
    """Prune the packages of the Python that runs this."""
    prune(Path(sysconfig.get_path("platlib")))


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m image.prune_packages",
        description="Remove what the worker never opens from the packages of this Python. For the image's build.",
    ).parse_args()
    main()
