"""An image provider that is not OpenAI: other requests, other answers, other errors. It exists in tests only."""

import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from models.failures import ProviderAnswerUnusable, ProviderFailure, ProviderUnavailable, QuotaExhausted
from models.generation import GeneratedImage, Usage
from models.image_models import Effort, ImageModelProfile, estimate_cost_usd
from sandbox.servers.processes import LOOPBACK
from services.providers.image_provider import ModelGone, ProviderRequest, Retryable

NO_TOKENS = Usage(input_text_tokens=0, input_image_tokens=0, output_tokens=0)


@dataclass(frozen=True)
class _Json:
    """A body in one part that can be sent again."""

    content: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content


@dataclass(frozen=True)
class SecondProvider:
    """Takes a JSON object with base64 pictures under ``/draw`` and a key in a header of its own."""

    base_url: str
    name: str = "second"

    def build_request(
        self,
        profile: ImageModelProfile,
        effort: Effort,
        *,
        images: Sequence[bytes],
        person_size: tuple[int, int],
        prompt: str,
        safety_identifier: str,
    ) -> ProviderRequest:
        content = {
            "engine": profile.name,
            "effort": effort.quality,
            "pictures": [base64.b64encode(image).decode() for image in images],
            "shape": person_size,
            "wish": prompt,
            "on_behalf_of": safety_identifier,
        }
        headers = {"x-key": "a key", "content-type": "application/json"}
        return ProviderRequest(f"{self.base_url}/draw", headers, _Json(json.dumps(content).encode()), len(images))

    def read_answer(self, body: bytearray, _headers: Mapping[str, str], profile: ImageModelProfile) -> GeneratedImage:
        try:
            picture = base64.b64decode(json.loads(body)["drawing"])
        except (ValueError, KeyError):
            raise ProviderAnswerUnusable("no drawing", status=200) from None
        finally:
            body.clear()
        return GeneratedImage(picture, profile.name, NO_TOKENS, estimate_cost_usd(profile, NO_TOKENS))

    def classify(
        self, status: int, _headers: Mapping[str, str], body: bytes
    ) -> ProviderFailure | ModelGone | Retryable:
        match json.loads(body)["trouble"]:
            case "busy":
                return Retryable(ProviderUnavailable("busy", status=status))
            case "engine scrapped":
                return ModelGone(ProviderFailure("engine scrapped", status=status))
            case "purse empty":
                return QuotaExhausted("purse empty", status=status)
            case other:
                return ProviderFailure(other, status=status)


@dataclass
class SecondServer:
    """What it was asked, and the troubles it will answer first, one a request."""

    base_url: str
    troubles: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def running_second_provider(drawing: bytes) -> Iterator[SecondServer]:
    """The provider on a free port; whatever it is asked, it draws the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self._read()
            server.asked.append({**json.loads(content), "path": self.path, "key": self.headers["x-key"]})
            trouble = server.troubles.pop(0) if server.troubles else None
            answer = {"trouble": trouble} if trouble else {"drawing": base64.b64encode(drawing).decode()}
            body = json.dumps(answer).encode()
            self.send_response(418 if trouble else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _read(self) -> bytes:
            """A body that was sent in chunks (RFC 9112, 7.1)."""
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as http:
        server = SecondServer(f"http://{LOOPBACK}:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
