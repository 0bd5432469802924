#!/usr/bin/env bash
# grafana-foundation-sdk 0.0.21: DashboardBuilder.with_panel() places panels by itself, side by side in Grafana's grid of
# 24 columns. It begins a new line only when the line before is full to the column; a panel that does not fit into what
# is left is put there all the same and runs over the edge. Widths 8, 8, 6, 6 make x = 0, 8, 16, 22: the last panel ends
# in column 28 of 24. build() says nothing, and neither does the JSON look wrong: whoever looks at the dashboard sees a
# panel cut off, or another order than was meant.
#
# Seen in November 2026: (x, y, width) = (0, 0, 8), (8, 0, 8), (16, 0, 6), (22, 0, 6); widths 8, 8, 8, 6 wrap as expected.
#
# Needs Python 3.11 or newer and pip; takes ten seconds. Exits non-zero if that changes. What to do: widths whose sums
# meet 24, and a test that looks at x + width.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check grafana-foundation-sdk==0.0.21

cat >"$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.builders.stat import Panel

COLUMNS = 24


def places(*widths):
    dashboard = Dashboard("show")
    for width in widths:
        dashboard.with_panel(Panel().span(width).height(4))
    grid = [panel.grid_pos for panel in dashboard.build().panels]
    return [(place.x, place.y, place.w) for place in grid]


uneven, even = places(8, 8, 6, 6), places(8, 8, 8, 6)
print("grafana-foundation-sdk", version("grafana-foundation-sdk"))
print("widths 8, 8, 6, 6:", uneven)
print("widths 8, 8, 8, 6:", even)
over_the_edge = any(x + width > COLUMNS for x, _, width in uneven)
sys.exit(0 if over_the_edge and all(x + width <= COLUMNS for x, _, width in even) else "this is no longer so")
PYTHON

"$folder/venv/bin/python" "$folder/show.py"
