"""The Lua programs of the queue: what Redis does by itself, in one step, so that no long element crosses the wire.

Inside Redis a program holds copies of what it looks at, so each looks at few elements at a time and stops after a
number of bytes. A long element gets its own key by COPY and LTRIM, which answer without it (docs/adr/0014).
"""

from pathlib import Path
from typing import Final

from services.lua_programs import lua_program

FOLDER: Final = Path(__file__).with_name("lua")

READ_PAGE: Final = lua_program(FOLDER, "elements", "read_page")
SET_ASIDE: Final = lua_program(FOLDER, "elements", "set_aside")
HAND_BACK: Final = lua_program(FOLDER, "hand_back")
LOOK: Final = lua_program(FOLDER, "elements", "look")
FIND_LETTER: Final = lua_program(FOLDER, "find_letter")
REPLAY: Final = lua_program(FOLDER, "replay")
REPLAY_SET_ASIDE: Final = lua_program(FOLDER, "replay_set_aside")
READ_PIECE: Final = lua_program(FOLDER, "read_piece")
