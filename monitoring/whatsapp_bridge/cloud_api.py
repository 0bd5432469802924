"""The one call to Meta: ``POST /{version}/{phone number id}/messages`` of the WhatsApp Business Cloud API."""

import time
from collections.abc import Sequence
from typing import Final

import httpx

from monitoring.whatsapp_bridge.answers import NO_ANSWER, Verdict, verdict
from monitoring.whatsapp_bridge.settings import Settings
from monitoring.whatsapp_bridge.template import request_body

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
"""Meta answers in about one. A call that hangs for longer is tried again, and may then be delivered twice."""

LARGEST_ANSWER_BYTES: Final = 65_536
"""Meta's have some hundred; what is longer is no answer of Meta's."""


class CloudApi:
    """Meta's API, with the settings' token and template."""

    def __init__(self, settings: Settings, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._settings = settings
        self._answer_seconds = answer_seconds
        # No connection is kept: alerts are rare, and one that Meta has closed meanwhile costs a message sent twice.
        self._client = httpx.Client(
            timeout=httpx.Timeout(answer_seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._url = f"{settings.api_base_url}/{settings.api_version}/{settings.phone_number_id}/messages"

    def send(self, parameters: Sequence[str], to: str) -> Verdict:
        """Have the template delivered to one number; every way to fail is a verdict, too."""
        body = request_body(
            parameters, to=to, template=self._settings.template_name, language=self._settings.template_language
        )
        headers = {"Authorization": f"Bearer {self._settings.access_token}"}
        until = time.monotonic() + self._answer_seconds
        try:
            with self._client.stream("POST", self._url, json=body, headers=headers) as response:
                answer = b""
                for part in response.iter_bytes():
                    answer += part
                    if len(answer) > LARGEST_ANSWER_BYTES or time.monotonic() > until:
                        return Verdict(NO_ANSWER, details="the answer is too long or takes too long")
                return verdict(response.status_code, answer, response.headers)
        except httpx.HTTPError as error:
            return Verdict(NO_ANSWER, details=f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Let go of what the client holds."""
        self._client.close()
