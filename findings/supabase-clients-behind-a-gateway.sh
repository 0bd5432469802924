#!/usr/bin/env bash
# Two Python clients of Supabase, asked through a gateway that answers in the API's place.
#
# postgrest 2.34.1: a 200 that is no answer is no error. A web page comes back as `data` of type str, and an empty body
#   as `data == []`, which reads as "no rows". An error with a JSON body loses its HTTP status: the APIError of a
#   gateway's 401 {"message": ...} has code None, while the same 401 with a page has code "401".
# storage3 2.34.1: a 200 with another's JSON object ends an upload in KeyError, and with a JSON list in TypeError; neither
#   is a StorageException or an httpx error. A redirect is handed on as an error and not followed.
#
# Seen in November 2026:
#   function, 200 with a page      '<html><title>Back soon</title></html>'
#   function, 200 with nothing     []
#   function, 401 with a message   APIError code=None
#   function, 401 with a page      APIError code='401'
#   upload, 200 with an object     KeyError (no StorageException or httpx error)
#   upload, 200 with a list        TypeError (no StorageException or httpx error)
#   upload, 307                    StorageApiError (a StorageException or httpx error)
#
# Needs Python 3.11 or newer and pip. Exits non-zero when one of them does so no longer.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check postgrest==2.34.1 storage3==2.34.1 httpx==0.28.1

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import httpx
from postgrest import SyncPostgrestClient
from postgrest.exceptions import APIError
from storage3 import SyncStorageClient
from storage3.utils import StorageException

PAGE = "<html><title>Back soon</title></html>"
print("postgrest", version("postgrest"), "storage3", version("storage3"), "httpx", version("httpx"))


def answered(status, body, content_type="application/json", **headers):
    """An HTTP client whose every request is answered so."""

    def answer(request):
        return httpx.Response(status, content=body.encode(), headers={"content-type": content_type, **headers})

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x.test")


def rpc(*answer):
    client = SyncPostgrestClient("http://x.test", http_client=answered(*answer))
    try:
        return repr(client.rpc("f", {}).execute().data)
    except APIError as error:
        return f"APIError code={error.code!r}"


def upload(*answer, **headers):
    client = SyncStorageClient("http://x.test/storage/v1/", {}, http_client=answered(*answer, **headers))
    try:
        return repr(client.from_("bucket").upload("a.jpg", b"x"))
    except Exception as error:
        ours = isinstance(error, (StorageException, httpx.HTTPError))
        return f"{type(error).__name__} ({'a' if ours else 'no'} StorageException or httpx error)"


seen = {
    "function, 200 with a page": (rpc(200, PAGE, "text/html"), repr(PAGE)),
    "function, 200 with nothing": (rpc(200, ""), "[]"),
    "function, 401 with a message": (rpc(401, '{"message": "Invalid API key"}'), "APIError code=None"),
    "function, 401 with a page": (rpc(401, PAGE, "text/html"), "APIError code='401'"),
    "upload, 200 with an object": (
        upload(200, '{"message": "welcome"}'),
        "KeyError (no StorageException or httpx error)",
    ),
    "upload, 200 with a list": (upload(200, "[]"), "TypeError (no StorageException or httpx error)"),
    "upload, 307": (
        upload(307, "", location="http://y.test/"),
        "StorageApiError (a StorageException or httpx error)",
    ),
}
changed = False
for what, (now, then) in seen.items():
    print(f"{what:30} {now}" + ("" if now == then else f"   CHANGED, was {then}"))
    changed |= now != then
sys.exit(changed)
PYTHON
