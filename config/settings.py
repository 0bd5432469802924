"""Settings: read once from the environment, checked completely, then frozen.

Nothing here is built at import. ``load_settings()`` is called by the composition root (``main.py``) and its result is
handed down by argument; the Celery process gets it from the main process (docs/adr/0024).
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.env_file import file_faults, value_fault
from models.image_models import Effort, ImageModelProfile, check_complexity, check_quality, parse_models
from models.task_payload import MAX_IMAGES

DEFAULT_IMAGE_MODELS = "gpt-image-2.6-sunburst,gpt-image-2.6-flare"
"""In order of preference (docs/adr/0001): the one that keeps most of a photo first, the quicker one in its place."""

TASK_LIMIT_SECONDS = 300.0
"""NFR-5.2: one task may take this long over everything it does, waiting for its turn not counted."""

ENV_FILE = ".env"
"""In the working directory; the image has none, there the environment brings everything."""

NO_LIMIT = 0
"""Of ``OPENAI_INPUT_IMAGES_PER_MINUTE``."""

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
    if options and url.startswith("redis://"):
        raise ValueError("speaks no TLS, so ssl_ca_certs has no meaning; write rediss://")
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
        env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    redis_url: RedisUrl = Field(repr=False)
    celery_broker_url: RedisUrl = Field(default="", repr=False, validate_default=False)

    supabase_url: HttpUrl
    supabase_service_role_key: FilledSecret

    openai_api_key: FilledSecret
    openai_base_url: HttpUrl = "https://api.openai.com/v1"
    openai_max_retries: int = Field(default=3, ge=0, le=10)
    openai_requests_per_minute: int = Field(default=300, ge=1, le=100_000)
    openai_input_images_per_minute: int = Field(default=NO_LIMIT, ge=NO_LIMIT, le=1_000_000)
    openai_pause_seconds: float = Field(default=60, gt=0, le=3_600)
    openai_image_models: str = DEFAULT_IMAGE_MODELS
    # Checked against the models above, which is why they stand after them.
    openai_image_quality: str = Field(default=Effort().quality, validate_default=True)
    openai_image_complexity: str = Field(default=Effort().complexity, validate_default=True)

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

    @field_validator("*", mode="before")
    @classmethod
    def _means_the_same_everywhere(cls, value: Any) -> Any:
        if isinstance(value, str) and (fault := value_fault(value)):
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _broker_defaults_to_the_queue(self) -> Self:
        if not self.celery_broker_url:
            object.__setattr__(self, "celery_broker_url", self.redis_url)
        return self

    @field_validator("openai_input_images_per_minute")
    @classmethod
    def _one_tasks_pictures_fit(cls, images: int) -> int:
        if NO_LIMIT < images < MAX_IMAGES:
            raise ValueError(f"must be 0 for no limit, or at least {MAX_IMAGES}: one task may have so many pictures")
        return images

    @field_validator("openai_image_models")
    @classmethod
    def _models_are_known(cls, text: str) -> str:
        parse_models(text)
        return text

    @model_validator(mode="after")
    def _a_stop_covers_a_task(self) -> Self:
        if self.shutdown_grace_seconds < self.task_limit_seconds:
            raise ValueError(
                f"SHUTDOWN_GRACE_SECONDS: {self.shutdown_grace_seconds:g} is less than TASK_LIMIT_SECONDS "
                f"({self.task_limit_seconds:g}): every stop would cut off tasks that are still within their time"
            )
        return self

    @field_validator("openai_image_quality")
    @classmethod
    def _models_take_the_quality(cls, quality: str, info: ValidationInfo) -> str:
        check_quality(_models_before(info), quality)
        return quality

    @field_validator("openai_image_complexity")
    @classmethod
    def _models_take_the_complexity(cls, complexity: str, info: ValidationInfo) -> str:
        check_complexity(_models_before(info), complexity)
        return complexity

    @property
    def image_models(self) -> tuple[ImageModelProfile, ...]:
        """The model profiles to use, in order of preference."""
        return parse_models(self.openai_image_models)

    @property
    def image_effort(self) -> Effort:
        """How hard the models are to try."""
        return Effort(quality=self.openai_image_quality, complexity=self.openai_image_complexity)

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


def _models_before(info: ValidationInfo) -> tuple[ImageModelProfile, ...]:
    """The models of a field checked before; none if they were refused, which is told once and there."""
    return parse_models(info.data["openai_image_models"]) if "openai_image_models" in info.data else ()


def load_settings() -> Settings:
    """Read and check the settings, and ``.env`` itself before them (docs/adr/0110).

    Raises:
        SettingsError: with one line for each missing or malformed setting; values are not repeated, they may be
            secret.
    """
    if faults := [f"  {fault}" for fault in file_faults(_text_of(Path(ENV_FILE)))]:
        raise SettingsError(
            "Not every reader of .env would read the same:\n" + "\n".join(faults) + "\nMend those lines."
        )
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"  {_environment_name(fault['loc'])}{_explain(fault['type'], fault['msg'])}" for fault in error.errors()
        ]
        raise SettingsError(
            "The settings are not usable:\n"
            + "\n".join(lines)
            + "\nSet them in the environment or in .env; .env.example explains each one."
        ) from None


def _text_of(file: Path) -> str:
    """Of the file, and of none if it is not there; an undecodable byte stays visible as no ASCII character."""
    return file.read_bytes().decode(errors="replace") if file.is_file() else ""


def pack(settings: Settings) -> bytes:
    """Every value, secrets included, for a child process that is to live with exactly these (:func:`unpack`)."""
    values = settings.model_dump(mode="json")
    for name in values:
        if isinstance(value := getattr(settings, name), SecretStr):
            values[name] = value.get_secret_value()
    return json.dumps(values).encode()


def unpack(packed: bytes) -> Settings:
    """The settings that were packed, whatever the environment and ``.env`` say by now."""
    return Settings(_env_file=None, **json.loads(packed))


def _environment_name(location: tuple[int | str, ...]) -> str:
    """The setting's name before its fault; a fault of several settings together names them itself."""
    return f"{str(location[0]).upper()}: " if location else ""


def _explain(fault_type: str, message: str) -> str:
    if fault_type == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")
