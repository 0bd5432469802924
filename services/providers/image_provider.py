"""What is particular to one image provider: how a picture is asked for, and what its answers mean.

All the rest is the same for every provider and stays outside: turns and breaker, attempts and retries, which models are
left, the task's time, memory, the connection (``openai_client.py``, ``openai_wire.py``; docs/adr/0037).
"""

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from models.failures import ProviderFailure, ProviderUnavailable
from models.generation import GeneratedImage
from models.image_models import Effort, ImageModelProfile


@dataclass(frozen=True, slots=True)
class ModelGone:
    """The model cannot be used; another one may be.

    ``for_good``: the provider no longer has it. Otherwise this account may not use it, which a person can change.
    """

    failure: ProviderFailure
    for_good: bool = True


@dataclass(frozen=True, slots=True)
class Retryable:
    """Trying again in a moment may help (FR-3.3); ``failure`` is what remains if it does not."""

    failure: ProviderUnavailable


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One POST that can be sent any number of times: ``body`` begins anew whenever it is iterated over.

    ``headers`` hold the account's key, ``body`` somebody's photographs: neither is shown.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: AsyncIterable[bytes] = field(repr=False)
    image_count: int


class ImageProvider(Protocol):
    """One provider and our account there. Its methods do no I/O; they are called by many threads at once."""

    @property
    def name(self) -> str:
        """Names its windows and its breaker in Redis (``provider_keys.py``)."""

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
        """The request for one try-on picture.

        Args:
            profile: the model to ask.
            effort: how hard it is to try.
            images: JPEGs; the first is the person.
            person_size: (width, height) of the first, in pixels.
            prompt: may be blank.
            safety_identifier: a hashed owner id of at most 64 characters.
        """

    def read_answer(self, body: bytearray, headers: Mapping[str, str], profile: ImageModelProfile) -> GeneratedImage:
        """The picture in a 200 answer, with its bill. Empties ``body`` on the way.

        Args:
            body: the whole answer.
            headers: a mapping that ignores case.
            profile: the model that was asked.

        Raises:
            ProviderAnswerUnusable: it holds no picture.
        """

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure | ModelGone | Retryable:
        """What an answer other than 200 means for the task.

        Args:
            status: HTTP status.
            headers: a mapping that ignores case.
            body: the answer's body or its beginning.
        """
