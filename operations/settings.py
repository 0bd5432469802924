"""The worker's settings, as far as a command needs them, read from where the worker reads them."""

from typing import Final, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings

from config.settings import DEFAULT_IMAGE_MODELS, FilledSecret, HttpUrl, RedisUrl, Settings
from operations.errors import Misconfigured

WORDS: Final = {
    "redis_url": "REDIS_URL is missing or malformed. Set it in the environment or in .env, for example"
    " redis://:password@host:6379/0, or rediss:// for TLS.",
    "supabase_url": "SUPABASE_URL is missing or malformed. Set it in the environment or in .env, for example"
    " https://yourproject.supabase.co.",
    "supabase_service_role_key": "SUPABASE_SERVICE_ROLE_KEY is missing or still a placeholder. Set it in the"
    " environment or in .env; the dashboard has it under Settings, API keys.",
}
OTHER_WORDS: Final = "{name} is malformed; .env.example explains it."


class QueueSettings(BaseSettings):
    """What is needed to look into Redis."""

    model_config = Settings.model_config

    redis_url: RedisUrl = Field(repr=False)


class PlatformSettings(BaseSettings):
    """What is needed to ask the database."""

    model_config = Settings.model_config

    supabase_url: HttpUrl
    supabase_service_role_key: FilledSecret


class SessionSettings(QueueSettings, PlatformSettings):
    """Both."""


class StatusSettings(SessionSettings):
    """Both, and what the worker was told."""

    openai_requests_per_minute: int = 300
    openai_image_models: str = DEFAULT_IMAGE_MODELS
    host: str = "127.0.0.1"
    port: int = 8000

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the image models in order of preference."""
        return tuple(name.strip() for name in self.openai_image_models.split(",") if name.strip())


Kind = TypeVar("Kind", QueueSettings, PlatformSettings, SessionSettings, StatusSettings)


def read_settings(kind: type[Kind]) -> Kind:
    """The settings.

    Raises:
        Misconfigured: with a line for each that is missing or malformed; values are not repeated, they may be secret.
    """
    try:
        return kind()
    except ValidationError as error:
        names = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        raise Misconfigured(
            "\n".join(WORDS.get(name, OTHER_WORDS.format(name=name.upper())) for name in names)
        ) from None
