"""Every Lua program is accepted by the real server and says at its top what it expects."""

import re
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from sandbox.servers.redis import LocalRedis
from services.lua_programs import lua_program
from services.queue import scripts as queue_scripts
from services.turns import breaker, provider_report, window

PROGRAMS: Final = {
    name: program
    for module in (queue_scripts, breaker, provider_report, window)
    for name, program in vars(module).items()
    if isinstance(program, str) and "redis.call" in program
}

SHARED: Final = {"elements.lua"}
"""Parts of programs."""

FILES: Final = sorted(file for folder in (queue_scripts.FOLDER, breaker.FOLDER) for file in folder.iterdir())

HEADER: Final = re.compile(r"^(-- .*\n)+--\n(-- KEYS\[\d\]  .*\n)+(-- ARGV\[\d\]  .*\n)*-- Returns  .*\n", re.MULTILINE)
"""What it does, each key, each argument, the answer."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_server_accepts_the_program_as_it_is(name: str, redis_server: LocalRedis) -> None:
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        server: Any = client
        assert server.script_load(PROGRAMS[name]) == sha1(PROGRAMS[name].encode(), usedforsecurity=False).hexdigest()


def test_a_program_with_a_mistake_in_its_grammar_is_refused(redis_server: LocalRedis) -> None:
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        server: Any = client
        with pytest.raises(redis.ResponseError, match="compiling"):
            server.script_load(PROGRAMS["LOOK"].replace("return", "retrun"))


def test_every_file_is_part_of_a_program() -> None:
    assert [file for file in FILES if not any(file.read_text() in program for program in PROGRAMS.values())] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_says_at_its_top_which_keys_and_arguments_it_takes(file: Path) -> None:
    text = file.read_text()
    if file.name in SHARED:
        assert "KEYS" not in text
        return
    header = HEADER.match(text)
    assert header is not None
    for kind in ("KEYS", "ARGV"):
        code = text[header.end() :]
        documented, used = (set(re.findall(rf"{kind}\[(\d)\]", part)) for part in (header[0], code))
        has_computed = re.search(rf"{kind}\[\D|{kind}\[\d [+]|ipairs\({kind}\)", code) is not None
        assert used <= documented if has_computed else used == documented


def test_a_program_that_is_not_there_is_noticed_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lua_program(tmp_path, "backlog")
