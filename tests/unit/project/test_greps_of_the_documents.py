"""What an operator is told to grep for is in lines that are really written: else nothing found would mean nothing."""

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.log_lines import line_of_nginx, lines_of_the_bridge, lines_of_the_worker
from tests.support.tracked import REPOSITORY

DOCUMENTS: Final = sorted(
    [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md"), *(REPOSITORY / "docs" / "runbooks").glob("*.md")]
)
COMMAND: Final = re.compile(
    r"^(?:log +)?(?P<line>(?=.*\bgrep\b)(?:docker|grep)\b.*)$|`(?P<inline>[^`\n]*\bgrep\b[^`\n]*)`", re.MULTILINE
)

OURS: Final = frozenset({"worker", "nginx", "grafana-whatsapp-webhook"})
OF_OTHERS: Final = frozenset({"alloy", "loki", "prometheus", "grafana", "system"})
"""Whose lines we do not write: `docker compose logs NAME`, what they answer, and what Docker says."""

FILLED_IN: Final = re.compile(r"REQUEST_ID|[0-9a-f]{8}-[0-9a-f-]{27}")
"""What the reader puts in the place of it is in the lines that are looked for."""


@dataclass(frozen=True)
class Grep:
    """One grep of a document."""

    document: str
    sources: tuple[str, ...]
    options: tuple[str, ...]
    pattern: str

    def __str__(self) -> str:
        return f"{self.document}: grep {' '.join(self.options)} {self.pattern}"


def stages(command: str) -> list[list[str]]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word == "|":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def greps_in(document: str, text: str) -> Iterator[Grep]:
    for found in COMMAND.finditer(text):
        command = (found["line"] or found["inline"]).replace("\\|", "|")
        first, *others = stages(command)
        for stage in [first, *others]:
            if stage[:1] != ["grep"] or len(stage) == 1:
                continue
            options = tuple(word for word in stage[1:] if word.startswith("-"))
            pattern, *files = (word for word in stage[1:] if not word.startswith("-"))
            named = tuple(files) or tuple(word for word in first if word in OURS | OF_OTHERS)
            yield Grep(document, named, options, pattern)


ALL: Final = [
    grep for path in DOCUMENTS for grep in greps_in(str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8"))
]
LOOKED_AT: Final = [grep for grep in ALL if not set(grep.sources) & OF_OTHERS and not FILLED_IN.fullmatch(grep.pattern)]


@pytest.fixture(scope="module")
def lines() -> Mapping[str, list[str]]:
    """What each grep is run on, by where its lines come from."""
    return {
        "worker": lines_of_the_worker(),
        "grafana-whatsapp-webhook": lines_of_the_bridge(),
        "nginx": [line_of_nginx()],
        ".env": (REPOSITORY / ".env.example").read_text(encoding="utf-8").splitlines(),
    }


def alternatives(pattern: str) -> list[str]:
    """Each of ``a|b`` and ``x_(a|b)`` by itself: one that never matches hides behind one that does."""
    if group := re.search(r"\(([^()]*\|[^()]*)\)", pattern):
        each = group[1].split("|")
        return [one for part in each for one in alternatives(pattern[: group.start()] + part + pattern[group.end() :])]
    return pattern.split("|")


def printed(options: tuple[str, ...], pattern: str, lines: list[str]) -> int:
    """How many lines grep prints."""
    kept = [option for option in options if option != "-c"]
    found = subprocess.run(
        ["grep", *kept, "--", pattern], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    assert found.returncode < 2, found.stderr
    return len(found.stdout.splitlines())


def test_the_greps_of_every_source_are_found() -> None:
    assert {source for grep in ALL for source in grep.sources} >= {*OURS, "alloy", "loki", ".env"}
    assert [str(grep) for grep in ALL if not grep.sources] == []


@pytest.mark.parametrize("grep", LOOKED_AT, ids=str)
def test_a_grep_can_find_something_in_lines_of_the_real_form(grep: Grep, lines: Mapping[str, list[str]]) -> None:
    there = [line for source in grep.sources for line in lines[source]]
    if "-v" in grep.options:
        assert 0 < printed(grep.options, grep.pattern, there) < len(there)
        return
    extended = any("E" in option for option in grep.options if not option.startswith("--"))
    wanted = alternatives(grep.pattern) if extended else [grep.pattern]
    assert [pattern for pattern in wanted if not printed(grep.options, pattern, there)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        'grep -E \'"level":"(critical|error)"\'',
        "grep http_request",
        "grep -E 'run_failed|run_faild'",
    ],
)
def test_a_pattern_that_never_matches_is_noticed(wrong: str, lines: Mapping[str, list[str]]) -> None:
    [grep] = greps_in("a page", f"docker compose logs --no-log-prefix worker | {wrong} | tail -3")
    found = [printed(grep.options, pattern, lines["worker"]) for pattern in alternatives(grep.pattern)]
    assert 0 in found
