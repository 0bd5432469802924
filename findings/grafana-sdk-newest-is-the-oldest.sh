#!/usr/bin/env bash
# grafana-foundation-sdk on PyPI: whoever asks for at least 0.0.21, the line for today's Grafana, is given the types of
# Grafana 10.1. Its releases for older Grafanas carry version epochs made of a time (1769699998!10.1.0), and any epoch
# is above a version without one (the version specifiers of Python's packaging, PEP 440). So `pip install
# grafana-foundation-sdk`, a lower bound and a bot that raises pins all go back by three years of Grafana, and nothing
# says so: the same import works, and the dashboard that comes out has an older schema.
#
# Seen in November 2026: of the two releases, `>=0.0.21` takes 1769699998!10.1.0; its dashboards have schemaVersion 36
# and no dashboardv2, those of 0.0.21 have 42 and it.
#
# Needs Python 3.11 or newer and pip; takes ten seconds. Exits non-zero if that changes. What to do: pin with ==.
set -euo pipefail

readonly OLD_TYPES='1769699998!10.1.0'
readonly NEW_TYPES=0.0.21

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# make NAME SPECIFIER: an environment with the package.
make() {
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/python" -m pip install --quiet --disable-pip-version-check "grafana-foundation-sdk$2"
}
make bound ">=$NEW_TYPES,<=$OLD_TYPES"
make pinned "==$NEW_TYPES"

cat >"$folder/show.py" <<'PYTHON'
from importlib.metadata import version
from importlib.util import find_spec

from grafana_foundation_sdk.builders.dashboard import Dashboard

print(
    version("grafana-foundation-sdk"),
    "schemaVersion", Dashboard("show").build().schema_version,
    "dashboardv2", find_spec("grafana_foundation_sdk.builders.dashboardv2") is not None,
)
PYTHON

bound=$("$folder/bound/bin/python" "$folder/show.py")
pinned=$("$folder/pinned/bin/python" "$folder/show.py")
echo ">=$NEW_TYPES: $bound"
echo "==$NEW_TYPES: $pinned"
[[ $bound == "$OLD_TYPES schemaVersion 36 dashboardv2 False" && $pinned == "v$NEW_TYPES schemaVersion 42 dashboardv2 True" ]] || {
  echo "this is no longer so" >&2
  exit 1
}
