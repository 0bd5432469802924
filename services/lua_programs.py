"""Reads the Lua programs that Redis runs for us. The ``.lua`` files say at their top what they expect."""

from pathlib import Path


def lua_program(folder: Path, *names: str) -> str:
    """The program of one file, or of several one after the other: what is shared first.

    Raises:
        OSError: the file is not there. It is part of the code; modules read theirs while they are imported.
    """
    return "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
