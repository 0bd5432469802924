"""nginx's files say the same as the code they stand before, and keep the rules that no request shows."""

import re
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from models.problems import REQUEST_TOO_LARGE, Problem
from size_rec.problems import DEADLINE
from tests.support.tracked import REPOSITORY
from web.app import DEADLINE_SECONDS
from web.edges import ACCEPTED_REQUEST_ID, MAX_BODY_BYTES
from web.openapi import PROBLEM_MEDIA_TYPE
from web.server import KEEPALIVE_SECONDS

NGINX: Final = REPOSITORY / "nginx"
FILES: Final = sorted(NGINX.rglob("*.conf"))
COMMENT: Final = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)
CLIENT_SECONDS: Final = 5.0
"""The platform's client gives up (docs/size-recommendation.md)."""


def directives(path: Path) -> str:
    """A file without its comments."""
    return COMMENT.sub("", path.read_text())


def everything() -> str:
    return "\n".join(directives(path) for path in FILES)


def the_one(pattern: str, text: str) -> str:
    (found,) = re.findall(pattern, text, re.MULTILINE)
    return str(found)


def test_the_files_that_the_first_document_names_are_there() -> None:
    assert {NGINX / "nginx.conf", NGINX / "conf.d" / "default.conf"} <= set(FILES)


def test_every_snippet_is_included_and_every_include_is_there() -> None:
    included = set(re.findall(r"include\s+snippets/([\w.${}-]+);", everything()))
    chosen = {"plain-http-redirect.conf", "plain-http-wait.conf"}
    assert "plain-http-${PLAIN_HTTP}.conf" in included
    assert included - {"plain-http-${PLAIN_HTTP}.conf"} | chosen == {
        path.name for path in (NGINX / "snippets").iterdir()
    }


def test_http2_is_one_directive_alone_in_one_file() -> None:
    assert directives(NGINX / "snippets" / "http2.conf").split() == ["http2", "on;"]
    assert len(re.findall(r"\bhttp2\b", everything().replace("snippets/http2.conf", ""))) == 1


def test_no_upstream_is_a_variable() -> None:
    """A variable in proxy_pass loses kept connections, the other worker and the path (ADR 0114)."""
    targets = re.findall(r"proxy_pass\s+(\S+);", everything())
    assert len(targets) == 4
    assert all("$" not in target for target in targets)


def test_every_upstream_is_found_again_at_run_time() -> None:
    blocks = re.findall(r"upstream (\w+) \{(.*?)\n    \}", directives(NGINX / "nginx.conf"), re.DOTALL)
    assert [name for name, _ in blocks] == ["worker", "grafana"]
    for name, block in blocks:
        assert f"zone   {name} " in block
        assert re.search(r"server \S+ resolve ", block)


def test_all_five_temporary_places_are_in_the_tmpfs() -> None:
    places = re.findall(r"(\w+)_temp_path\s+\$\{CACHE_DIR\}/", everything())
    assert Counter(places) == Counter(["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])


def test_a_request_id_is_good_for_nginx_if_it_is_good_for_the_worker() -> None:
    pattern = the_one(r'"~\^(.+)\$" \$http_x_request_id', directives(NGINX / "snippets" / "request-id.conf"))
    assert pattern == ACCEPTED_REQUEST_ID.pattern


def test_nginx_takes_as_large_a_request_as_the_worker() -> None:
    kilobytes = the_one(r"client_max_body_size\s+(\d+)k;", directives(NGINX / "snippets" / "limits.conf"))
    assert int(kilobytes) * 1024 == MAX_BODY_BYTES


def test_the_worker_has_its_time_and_the_client_its_answer() -> None:
    milliseconds = the_one(r"proxy_read_timeout (\d+)ms;", directives(NGINX / "snippets" / "to-worker.conf"))
    assert DEADLINE_SECONDS < int(milliseconds) / 1000 < CLIENT_SECONDS


def test_who_sends_slowly_is_let_go_before_a_client_would_give_up() -> None:
    limits = directives(NGINX / "snippets" / "limits.conf")
    for part in ("header", "body"):
        assert int(the_one(rf"client_{part}_timeout\s+(\d+)s;", limits)) < CLIENT_SECONDS


def test_an_address_is_asked_for_again_after_a_second() -> None:
    """Docker's DNS allows ten minutes, in which another container may get it (ADR 0114)."""
    assert the_one(r"resolver\s+\S+ valid=(\S+) ", directives(NGINX / "nginx.conf")) == "1s"


def test_connections_to_the_worker_are_let_go_before_it_lets_go_of_them() -> None:
    kept = re.findall(r"keepalive_timeout (\d+)s;", directives(NGINX / "nginx.conf"))
    assert kept
    assert all(int(seconds) < KEEPALIVE_SECONDS for seconds in kept)


PROBLEMS: Final = re.findall(
    r"location @(\w+) \{\s+default_type (\S+);[^}]*?return (\d+) '(.+?)';\s+\}",
    directives(NGINX / "snippets" / "problems.conf"),
    re.DOTALL,
)


@pytest.mark.parametrize(("name", "media_type", "status", "body"), PROBLEMS, ids=[found[0] for found in PROBLEMS])
def test_a_problem_of_nginx_has_the_form_of_the_apis_own(name: str, media_type: str, status: str, body: str) -> None:
    told = Problem.model_validate_json(body.replace(r"\'", "'"), extra="forbid")
    assert (media_type, told.status, told.title) == (PROBLEM_MEDIA_TYPE, int(status), HTTPStatus(int(status)).phrase)
    assert told.request_id == "$accepted_request_id"
    assert told.detail.endswith(".")


def test_problems_that_the_worker_has_too_go_by_its_codes() -> None:
    told = {int(status): Problem.model_validate_json(body.replace(r"\'", "'")) for _, _, status, body in PROBLEMS}
    assert set(told) == {413, 429, 502, 504}
    assert (told[413].code, told[413].detail) == (REQUEST_TOO_LARGE.code, REQUEST_TOO_LARGE.detail)
    assert told[504].code == DEADLINE.code


def test_every_name_in_capitals_is_one_that_start_sh_fills_in() -> None:
    filled_in = set(re.findall(r"^([A-Z_]+) ", (NGINX / "start.sh").read_text(), re.MULTILINE)) | {"PLAIN_HTTP"}
    used = set(re.findall(r"\$\{([A-Z_]+)\}", everything()))
    assert used == filled_in


def test_the_page_of_numbers_has_a_port_of_its_own_that_compose_publishes_to_nobody() -> None:
    assert directives(NGINX / "conf.d" / "metrics.conf").count("stub_status;") == 1
    assert "stub_status" not in "".join(directives(path) for path in FILES if path.name != "metrics.conf"), (
        "no server that a caller outside reaches has it"
    )
    port = the_one(r"^METRICS_LISTEN \$\{NGINX_METRICS_LISTEN:-(\d+)\}", (NGINX / "start.sh").read_text())
    services = (REPOSITORY / "compose" / "services.yml").read_text()
    assert f"scrape-uri=http://nginx:{port}/stub_status" in services
    assert f':{port}"' not in services
