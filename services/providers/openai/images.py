"""OpenAI's image edits as an ``ImageProvider``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.failures import ProviderFailure
from models.generation import GeneratedImage
from models.image_models import Effort, ImageModelProfile
from services.providers.image_provider import ModelGone, ProviderRequest, Retryable
from services.providers.openai.answer import read_answer
from services.providers.openai.errors import classify
from services.providers.openai.request import build_edit_form
from services.turns.provider_keys import FIRST_PROVIDER


@dataclass(frozen=True, slots=True)
class OpenAIImages:
    """Our account at OpenAI.

    Args:
        base_url: with the version, for example ``https://api.openai.com/v1``.
        api_key: sent as a bearer token, never logged.
    """

    base_url: str
    api_key: str = field(repr=False)

    @property
    def name(self) -> str:
        """As every release so far calls it in Redis."""
        return FIRST_PROVIDER

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
        """One ``POST /images/edits``; the details are ``build_edit_form``'s."""
        form = build_edit_form(
            profile,
            effort,
            images=images,
            person_size=person_size,
            prompt=prompt,
            safety_identifier=safety_identifier,
        )
        headers = {
            "authorization": f"Bearer {self.api_key}",
            "content-type": form.content_type,
            "content-length": str(form.size_bytes),
        }
        url = f"{self.base_url.rstrip('/')}/images/edits"
        return ProviderRequest(url, headers, form, form.image_count)

    def read_answer(self, body: bytearray, headers: Mapping[str, str], profile: ImageModelProfile) -> GeneratedImage:
        """The picture and the bill of a 200 answer.

        Raises:
            ProviderAnswerUnusable: it holds no picture.
        """
        return read_answer(body, profile, provider_request_id=headers.get("x-request-id"))

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure | ModelGone | Retryable:
        """What any other answer means."""
        return classify(status, headers, body)
