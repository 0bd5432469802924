"""What settings are taken, and what a person is told about the others."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.settings import Settings, SettingsError, load_settings, pack, unpack

SECRET = "sk-live-4f9d2c7a8b"
REQUIRED = {
    "REDIS_URL": "redis://localhost:6379/0",
    "SUPABASE_URL": "https://project.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": "service-key-1",
    "OPENAI_API_KEY": SECRET,
}


@pytest.fixture(autouse=True)
def directory_without_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """So that a developer's .env changes nothing here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(monkeypatch: pytest.MonkeyPatch, **changed: str) -> Settings:
    for name, value in {**REQUIRED, **changed}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refusal(monkeypatch: pytest.MonkeyPatch, **changed: str) -> str:
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, **changed)
    return str(refused.value)


def test_the_four_required_settings_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)
    assert settings.openai_base_url == "https://api.openai.com/v1"
    assert settings.openai_requests_per_minute == 300
    assert settings.openai_max_retries == 3
    assert settings.task_limit_seconds == 300
    assert settings.port == 8000
    assert [model.name for model in settings.image_models] == ["gpt-image-2.6-sunburst", "gpt-image-2.6-flare"]
    assert (settings.image_effort.quality, settings.image_effort.complexity) == ("medium", "medium")
    assert settings.openai_input_images_per_minute == 0


def test_every_missing_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings()
    for name in REQUIRED:
        assert f"{name}: is missing" in str(refused.value)
    assert ".env.example" in str(refused.value), "it says where to look"


@pytest.mark.parametrize("name", REQUIRED)
def test_an_empty_setting_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert f"{name}: is missing" in refusal(monkeypatch, **{name: ""})


REFUSED = [
    ("REDIS_URL", "localhost:6379", "redis://"),
    ("REDIS_URL", "http://localhost", "redis://"),
    ("REDIS_URL", "redis://", "redis://"),
    ("REDIS_URL", "redis://host:port/0", "redis://"),
    ("REDIS_URL", "redis://:pa/ss@host:6379/0", "%2F"),
    ("REDIS_URL", "redis://host:6379/0?ssl_ca_certs=/ca.pem", "write rediss://"),
    ("CELERY_BROKER_URL", "amqp://localhost", "redis://"),
    ("SUPABASE_URL", "project.supabase.co", "https://"),
    ("SUPABASE_URL", "https://host:port", "https://"),
    ("OPENAI_BASE_URL", "https://", "https://"),
    ("SUPABASE_SERVICE_ROLE_KEY", "your-service-role-key", "placeholder"),
    ("SUPABASE_SERVICE_ROLE_KEY", "   ", "a space"),
    ("OPENAI_API_KEY", "<your key>", "placeholder"),
    ("OPENAI_API_KEY", "CHANGE-ME", "placeholder"),
    ("OPENAI_API_KEY", "xxxxxxxx", "placeholder"),
    ("OPENAI_IMAGE_MODELS", "dall-e-3", "dall-e-3"),
    ("OPENAI_IMAGE_MODELS", ",", "OPENAI_IMAGE_MODELS"),
    ("OPENAI_MAX_RETRIES", "-1", "greater than or equal to 0"),
    ("OPENAI_MAX_RETRIES", "many", "integer"),
    ("OPENAI_REQUESTS_PER_MINUTE", "0", "greater than or equal to 1"),
    ("OPENAI_PAUSE_SECONDS", "0", "greater than 0"),
    ("WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
    ("WORKER_CONCURRENCY", "1001", "less than or equal to 1000"),
    ("TASK_LIMIT_SECONDS", "0", "greater than 0"),
    ("TASK_LIMIT_SECONDS", "nan", "TASK_LIMIT_SECONDS"),
    ("TASK_LIMIT_SECONDS", "inf", "TASK_LIMIT_SECONDS"),
    ("SHUTDOWN_GRACE_SECONDS", "0", "greater than or equal to 1"),
    ("WORKER_LEASE_SECONDS", "0.5", "greater than or equal to 1"),
    ("RECOVERY_INTERVAL_SECONDS", "0", "greater than or equal to 0.2"),
    ("ORPHAN_GRACE_SECONDS", "0", "greater than or equal to 1"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("LOG_LEVEL", "LOUD", "DEBUG"),
    ("OPENAI_API_KEY", '"sk-live-1"', "begins with a quote; write it without quotes"),
    ("SUPABASE_URL", "'https://project.supabase.co'", "quote"),
    ("SUPABASE_SERVICE_ROLE_KEY", "key # of the project", "a comment would begin"),
    ("WORKER_CONCURRENCY", "100 # for now", "a comment would begin"),
    ("OPENAI_API_KEY", "sk-live-1\n", "line break"),
    ("SUPABASE_SERVICE_ROLE_KEY", "key\nOPENAI_API_KEY=other", "line break"),
    ("OPENAI_API_KEY", "sk-live-ü", "printable ASCII"),
]


@pytest.mark.parametrize(("name", "value", "words"), REFUSED)
def test_a_malformed_setting_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    lines = [line for line in refusal(monkeypatch, **{name: value}).splitlines() if line.startswith(f"  {name}: ")]
    assert len(lines) == 1
    assert words in lines[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:s3cr3tpass@"),
        ("REDIS_URL", "redis://:[s3cr3tpass]@host:6379/0"),
        ("REDIS_URL", "redis://:s3cr3tpass/1@host:6379/0"),
        ("REDIS_URL", "redis://:s3cr3tpass\u2100@host:6379/0"),
        ("SUPABASE_URL", "ftp://s3cr3tpass@host"),
        ("OPENAI_API_KEY", "your-s3cr3tpass"),
        ("OPENAI_MAX_RETRIES", "s3cr3tpass"),
        ("LOG_LEVEL", "s3cr3tpass"),
    ],
)
def test_a_refusal_does_not_repeat_the_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert "s3cr3tpass" not in refusal(monkeypatch, **{name: value})


def test_a_stop_that_is_shorter_than_a_task_is_refused_naming_both(monkeypatch: pytest.MonkeyPatch) -> None:
    words = refusal(monkeypatch, SHUTDOWN_GRACE_SECONDS="299", TASK_LIMIT_SECONDS="300")
    [line] = [line for line in words.splitlines() if line.startswith("  ")]
    assert line.startswith("  SHUTDOWN_GRACE_SECONDS: 299 is less than TASK_LIMIT_SECONDS (300)")
    assert "OPENAI_IMAGE_MODELS" not in words


def test_a_stop_as_long_as_a_task_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, SHUTDOWN_GRACE_SECONDS="5", TASK_LIMIT_SECONDS="5")
    assert settings.shutdown_grace_seconds == settings.task_limit_seconds


EVERY_SETTING_CHANGED = {
    "REDIS_URL": "rediss://:another-password@elsewhere:1/7",
    "CELERY_BROKER_URL": "redis://elsewhere:2/8",
    "SUPABASE_URL": "https://another.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": "another-service-key",
    "OPENAI_API_KEY": "sk-another",
    "OPENAI_IMAGE_MODELS": "gpt-image-2.6-flare",
    "OPENAI_MAX_RETRIES": "9",
    "TASK_LIMIT_SECONDS": "17",
    "IMAGE_URL_TRUSTED_HOSTS": "elsewhere",
    "LOG_LEVEL": "ERROR",
}


@pytest.mark.parametrize("given", [{}, {"CELERY_BROKER_URL": "redis://:broker-password@host/0", "PORT": "1234"}])
def test_settings_arrive_in_a_child_as_they_were_whatever_the_environment_says_by_then(
    monkeypatch: pytest.MonkeyPatch, directory_without_env_file: Path, given: dict[str, str]
) -> None:
    settings = loaded(monkeypatch, **given)
    packed = pack(settings)
    for name in {**REQUIRED, **given}:
        monkeypatch.delenv(name)
    for name, value in list(EVERY_SETTING_CHANGED.items())[::2]:
        monkeypatch.setenv(name, value)
    (directory_without_env_file / ".env").write_text(
        "\n".join(f"{name}={value}" for name, value in EVERY_SETTING_CHANGED.items())
    )
    assert load_settings() != settings, "the environment describes another worker now"
    assert unpack(packed) == settings
    assert unpack(packed).secrets == settings.secrets


def test_the_broker_is_the_queue_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch).celery_broker_url == REQUIRED["REDIS_URL"]
    assert loaded(monkeypatch, CELERY_BROKER_URL="").celery_broker_url == REQUIRED["REDIS_URL"]
    named = loaded(monkeypatch, CELERY_BROKER_URL="rediss://broker:6380/1")
    assert (named.redis_url, named.celery_broker_url) == (REQUIRED["REDIS_URL"], "rediss://broker:6380/1")


def test_an_address_may_end_with_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, SUPABASE_URL="https://project.supabase.co/", OPENAI_BASE_URL="http://sim:1/v1/")
    assert settings.supabase_url == "https://project.supabase.co"
    assert settings.openai_base_url == "http://sim:1/v1"


def test_settings_may_stand_in_an_env_file_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, directory_without_env_file: Path
) -> None:
    lines = [f"{name}={value}" for name, value in REQUIRED.items()] + ["PORT=1111", "WORKER_CONCURRENCY=7", "OTHER=x"]
    (directory_without_env_file / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("PORT", "2222")
    settings = load_settings()
    assert (settings.port, settings.worker_concurrency) == (2222, 7)


def test_settings_do_not_change_while_the_worker_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # what is tried here is what must not work


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch, REDIS_URL="redis://:queue-password@host/0", CELERY_BROKER_URL="redis://:broker-password@host/0"
    )
    shown = f"{settings!r} {settings}"
    assert "host=" in shown, "the rest does show"
    for secret in settings.secrets:
        assert secret not in shown


def test_every_secret_is_known_to_the_log_redaction(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch, REDIS_URL="redis://:queue-password@host/0", CELERY_BROKER_URL="redis://:broker-password@host/0"
    )
    assert set(settings.secrets) == {"service-key-1", SECRET, "queue-password", "broker-password"}


@pytest.mark.parametrize(
    ("changed", "complaints"),
    [
        (
            {"OPENAI_IMAGE_QUALITY": "xhigh", "OPENAI_IMAGE_MODELS": "gpt-image-2.6-flare,gpt-image-2"},
            ["OPENAI_IMAGE_QUALITY: the quality of gpt-image-2 cannot be 'xhigh'; possible are low, medium, high"],
        ),
        (
            {"OPENAI_IMAGE_COMPLEXITY": "max"},
            ["OPENAI_IMAGE_COMPLEXITY: complexity cannot be 'max'; possible are low, medium, high"],
        ),
        (
            {"OPENAI_IMAGE_MODELS": "gpt-image-99", "OPENAI_IMAGE_COMPLEXITY": "none"},
            ["OPENAI_IMAGE_MODELS: unknown image model gpt-image-99", "OPENAI_IMAGE_COMPLEXITY: complexity cannot be"],
        ),
        (
            {"OPENAI_INPUT_IMAGES_PER_MINUTE": "9"},
            ["OPENAI_INPUT_IMAGES_PER_MINUTE: must be 0 for no limit, or at least 10"],
        ),
    ],
)
def test_what_a_model_does_not_take_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], complaints: list[str]
) -> None:
    text = refusal(monkeypatch, **changed)
    assert all(complaint in text for complaint in complaints)
    assert text.count("OPENAI_") == len(complaints)


def test_quality_and_complexity_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, OPENAI_IMAGE_QUALITY="max", OPENAI_IMAGE_COMPLEXITY="low")
    assert (settings.image_effort.quality, settings.image_effort.complexity) == ("max", "low")


def test_a_dollar_that_came_by_the_environment_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, OPENAI_API_KEY="sk-$live").openai_api_key.get_secret_value() == "sk-$live"


def test_a_dollar_in_the_file_is_refused_with_its_line_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch, directory_without_env_file: Path
) -> None:
    (directory_without_env_file / ".env").write_text("# keys\nOPENAI_API_KEY=sk-$s3cr3t\n")
    said = refusal(monkeypatch)
    assert "line 2: OPENAI_API_KEY has a $" in said
    assert "s3cr3t" not in said


def test_every_faulty_line_of_the_file_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, directory_without_env_file: Path
) -> None:
    (directory_without_env_file / ".env").write_bytes(b'A="1"\nexport B=1\n\nC=\xff\nA=2\n')
    assert refusal(monkeypatch).splitlines()[1:-1] == [
        "  line 1: A begins with a quote; write it without quotes",
        "  line 2 is neither a comment nor KEY=VALUE, with nothing before the key",
        "  line 4: C has a character that is not printable ASCII",
        "  line 5 has A for the second time",
    ]
