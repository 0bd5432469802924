"""Settings: read once from the environment, checked completely, then frozen.

Nothing here is built at import. ``load_settings()`` is called by the composition roots (``main.py``, the Celery
process, the command line) and its result is handed down by argument.
"""

from collections.abc import Collection
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.image_models import ImageModelProfile, parse_models

DEFAULT_IMAGE_MODELS = "gpt-image-1.5,gpt-image-2.6-sunburst"
"""In order of preference; the provider retires the first on 1 December 2026 (docs/adr/0001)."""

TASK_LIMIT_SECONDS = 300.0
"""NFR-5.2: one task may take this long over everything it does, waiting for its turn not counted."""

PLACEHOLDERS = ("changeme", "change-me", "your-", "<", "xxx")
"""How a value copied from .env.example and never filled in begins."""


class SettingsError(Exception):
    """The environment does not describe a worker that could run; the message names every fault and what to do."""


ALLOWED_REDIS_OPTIONS = frozenset({"ssl_ca_certs"})
"""What may follow the ? of a Redis address. Others would silently undo what the worker relies on: verified
certificates (``ssl_cert_reqs=none`` is in many guides) and timeouts above the blocking times."""


def _redis_url(url: str) -> str:
    if not _is_address(url, {"redis", "rediss"}):
        raise ValueError(
            "must look like redis://[:password@]host:6379/0, or rediss:// for TLS; "
            "in the password / ? # @ [ and ] are written %2F %3F %23 %40 %5B and %5D"
        )
    options = {option.partition("=")[0] for option in urlsplit(url).query.split("&") if option}
    if options - ALLOWED_REDIS_OPTIONS:
        raise ValueError(
            "takes no options after the ? but ssl_ca_certs: certificates are always verified and timeouts are set"
        )
    return url


def _http_url(url: str) -> str:
    if not _is_address(url, {"http", "https"}):
        raise ValueError("must be an http:// or https:// address")
    return url.rstrip("/")


def _is_address(url: str, schemes: Collection[str]) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises like urlsplit, with a part of the URL in the message, which may be the password
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _filled_in(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value().strip()
    if not value or value.lower().startswith(PLACEHOLDERS):
        raise ValueError("is empty or still the placeholder of .env.example")
    return SecretStr(value)


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
FilledSecret = Annotated[SecretStr, AfterValidator(_filled_in)]


class Settings(BaseSettings):
    """Every setting the code reads; each stands in ``.env.example`` with a line of explanation."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    redis_url: RedisUrl = Field(repr=False)
    celery_broker_url: RedisUrl = Field(default="", repr=False, validate_default=False)

    supabase_url: HttpUrl
    supabase_service_role_key: FilledSecret

    openai_api_key: FilledSecret
    openai_base_url: HttpUrl = "https://api.openai.com/v1"
    openai_max_retries: int = Field(default=3, ge=0, le=10)
    openai_requests_per_minute: int = Field(default=300, ge=1, le=100_000)
    openai_pause_seconds: float = Field(default=60, gt=0, le=3_600)
    openai_image_models: str = DEFAULT_IMAGE_MODELS

    platform_pause_seconds: float = Field(default=30, gt=0, le=3_600)

    worker_concurrency: int = Field(default=200, ge=1, le=1_000)
    task_limit_seconds: float = Field(default=TASK_LIMIT_SECONDS, gt=0, le=3_000)
    shutdown_grace_seconds: float = Field(default=320, ge=1, le=3_600)
    worker_lease_seconds: float = Field(default=45, ge=1, le=600)
    recovery_interval_seconds: float = Field(default=15, ge=0.2, le=300)
    orphan_grace_seconds: float = Field(default=120, ge=1, le=3_600)

    image_url_trusted_hosts: str = ""

    host: str = "0.0.0.0"  # noqa: S104 - inside a container; only nginx reaches it (ADR-3)
    port: int = Field(default=8000, ge=0, le=65_535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _broker_defaults_to_the_queue(self) -> Self:
        if not self.celery_broker_url:
            object.__setattr__(self, "celery_broker_url", self.redis_url)
        return self

    @model_validator(mode="after")
    def _models_are_known(self) -> Self:
        parse_models(self.openai_image_models)
        return self

    @property
    def image_models(self) -> tuple[ImageModelProfile, ...]:
        """The model profiles to use, in order of preference."""
        return parse_models(self.openai_image_models)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must never appear in a log."""
        urls = (urlsplit(self.redis_url), urlsplit(self.celery_broker_url))
        passwords = tuple(url.password for url in urls if url.password)
        return (
            self.supabase_service_role_key.get_secret_value(),
            self.openai_api_key.get_secret_value(),
            *passwords,
        )


def load_settings() -> Settings:
    """Read and check the settings.

    Raises:
        SettingsError: with one line for each missing or malformed setting; values are not repeated, they may be
            secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"  {_environment_name(fault['loc'])}: {_explain(fault['type'], fault['msg'])}" for fault in error.errors()
        ]
        raise SettingsError(
            "The settings are not usable:\n"
            + "\n".join(lines)
            + "\nSet them in the environment or in .env; .env.example explains each one."
        ) from None


def _environment_name(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "OPENAI_IMAGE_MODELS"


def _explain(fault_type: str, message: str) -> str:
    if fault_type == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")
