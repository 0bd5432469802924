"""What a log line looks like, and what never stands in one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.logging_config import LONGEST_STRING, REDACTED, Redactor
from tests.support.payloads import PERSON_URL, SIGNATURE

REPOSITORY = Path(__file__).resolve().parents[3]
KEY = "sk-proj-abcdefgh12345678"
PROGRAM_SECONDS = 60


def cleaned(value: object, secrets: tuple[str, ...] = ()) -> Any:
    return Redactor(secrets)(None, "info", {"value": value})["value"]


REDACTED_TEXTS = [
    pytest.param(f"GET {PERSON_URL} failed", SIGNATURE, "p.jpg?", id="signed URL"),
    pytest.param(f"GET {PERSON_URL.replace('https', 'HTTPS')} failed", SIGNATURE, "p.jpg?", id="scheme in capitals"),
    pytest.param(f'{{"url": "{PERSON_URL}"}}', SIGNATURE, '"}', id="signed URL in JSON"),
    pytest.param(f"{PERSON_URL}\n{PERSON_URL}", SIGNATURE, "p.jpg?", id="two signed URLs"),
    pytest.param("rediss://host/0?password=hunter22", "hunter22", "rediss://host/0", id="query of a Redis URL"),
    pytest.param("redis://:hunter22@host/0", "hunter22", "host/0", id="password of a Redis URL"),
    pytest.param("postgresql://me:hunter22@host/db", "hunter22", "host/db", id="password of a database URL"),
    pytest.param("REDIS://:hunter22@host/0", "hunter22", "host/0", id="password, scheme in capitals"),
    pytest.param("Authorization: Bearer abcdef.123456", "abcdef", "Bearer", id="bearer token"),
    pytest.param("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "basic", id="basic credentials"),
    pytest.param(f"key {KEY} refused", KEY, "refused", id="provider key"),
    pytest.param("key sb_secret_abc_DEF refused", "sb_secret_abc", "refused", id="Supabase secret key"),
    pytest.param(f"token {SIGNATURE} expired", SIGNATURE, "expired", id="JSON web token"),
]


@pytest.mark.parametrize(("text", "secret", "kept"), REDACTED_TEXTS)
def test_what_is_secret_goes_and_the_rest_stays(text: str, secret: str, kept: str) -> None:
    result = cleaned(text)
    assert secret not in result
    assert kept in result
    assert REDACTED in result


@pytest.mark.parametrize("wrap", [list, tuple, lambda text: {"deep": [text]}, lambda text: ValueError(*text)])
def test_secrets_go_wherever_they_stand(wrap: Any) -> None:
    assert SIGNATURE not in json.dumps(cleaned(wrap([PERSON_URL])))


def test_configured_secrets_go_whatever_they_look_like() -> None:
    assert cleaned("password: correct horse", ("correct horse",)) == f"password: {REDACTED}"


def test_a_secret_too_short_to_tell_from_a_word_is_left() -> None:
    assert cleaned("a table", ("a",)) == "a table"


@pytest.mark.parametrize(
    "text", ["What? No URL.", "12:30 ok", "mail someone@example.com", "https://example.com/a.jpg", "basic auth", ""]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize("value", [None, True, 7, 1.5])
def test_numbers_stay_numbers(value: object) -> None:
    assert cleaned(value) is value


def test_bytes_are_only_counted() -> None:
    assert cleaned(b"\xff\xd8photo") == "[7 bytes]"


def test_a_long_text_is_cut_after_redaction() -> None:
    result = cleaned("x" * (LONGEST_STRING - len("https://a/b?")) + " https://a/b?token=hunter22 " + "y" * 100_000)
    assert len(result) < LONGEST_STRING + 100
    assert "hunter22" not in result
    assert "characters)" in result


def test_of_a_long_text_both_ends_are_kept() -> None:
    result = cleaned(f"the beginning {'x' * 100_000} the end")
    assert result.startswith("the beginning ")
    assert result.endswith(" the end")
    assert len(result) < LONGEST_STRING + 100


PROGRAM = """
import logging, sys, threading, warnings
import structlog
from config.logging_config import configure_logging
configure_logging("INFO", ["configured secret"], process="celery")
log = structlog.get_logger()
{body}
"""


def lines_of(body: str) -> list[dict[str, Any]]:
    """What a real process with our logging writes; every line must be JSON."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert result.stderr == ""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_lines_of_ours_and_of_libraries_have_one_form() -> None:
    ours, theirs = lines_of(
        "with structlog.contextvars.bound_contextvars(request_id='req_1', session_id='s', channel='b2c'):\n"
        "    log.info('session_claimed', attempt=1)\n"
        "    logging.getLogger('celery.worker').warning('lost %s', 'broker', extra={'host': 'h'})"
    )
    for line in (ours, theirs):
        assert {"timestamp", "level", "event", "logger", "process"} <= line.keys()
        assert (line["request_id"], line["session_id"], line["channel"]) == ("req_1", "s", "b2c")
        assert line["process"] == "celery"
        assert line["timestamp"].endswith("Z")
    assert (ours["event"], ours["attempt"], ours["level"]) == ("session_claimed", 1, "info")
    assert (theirs["event"], theirs["host"], theirs["level"]) == ("lost broker", "h", "warning")


def test_a_line_begins_with_what_a_person_reads_first() -> None:
    with_a_task, without, theirs, failed = lines_of(
        "ids = {'task_id': 't', 'session_id': 's', 'channel': 'b2c', 'request_id': 'req_1'}\n"
        "with structlog.contextvars.bound_contextvars(**ids):\n"
        "    log.info('session_claimed', attempt=1)\n"
        "log.info('queue_empty', a=1)\n"
        "logging.getLogger('celery.worker').warning('lost %s', 'broker', extra={'host': 'h'})\n"
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError:\n"
        "    log.exception('broke', a=1)"
    )
    begins = ["timestamp", "level", "event"]
    whose = ["process", "logger"]
    assert list(with_a_task)[:7] == [*begins, "request_id", "session_id", *whose]
    assert set(list(with_a_task)[7:]) == {"task_id", "channel", "attempt"}
    assert [list(line)[:5] for line in (without, theirs, failed)] == [[*begins, *whose]] * 3
    assert "exception" in list(failed)[5:]


def test_secrets_go_from_every_kind_of_line() -> None:
    lines = lines_of(
        f"url = '{PERSON_URL}'\n"
        "log.info('ours', url=url, nested={'urls': [url]}, key='configured secret')\n"
        "logging.getLogger('library').error('%s failed', url, extra={'request': url})\n"
        "try:\n    raise ValueError(url + ' configured secret')\n"
        "except ValueError:\n    log.exception('caught'); logging.getLogger('library').exception('caught')\n"
        "warnings.warn(url)\n"
        "thread = threading.Thread(target=lambda: 1 / len(url[len(url):]), name='worker-1')\n"
        "thread.start(); thread.join()\n"
        "raise RuntimeError(url)"
    )
    text = json.dumps(lines)
    assert SIGNATURE not in text
    assert "configured secret" not in text
    assert [line["event"] for line in lines[:4]] == ["ours", f"{PERSON_URL.split('?')[0]}?{REDACTED} failed"] + [
        "caught"
    ] * 2
    assert "ValueError" in lines[2]["exception"], "the traceback stays"
    thread_end, process_end = lines[-2:]
    assert (thread_end["event"], thread_end["thread"]) == ("thread_ended_by_error", "worker-1")
    assert process_end["event"] == "process_ended_by_error"
    assert "RuntimeError" in process_end["exception"]


DEEP_ERROR = """
def fail(depth):
    try:
        if depth > 0:
            fail(depth - 1)
        raise LookupError
    except LookupError as cause:
        raise ValueError({message}) from cause
    except ValueError as cause:
        raise LookupError from cause
try:
    fail(40)
except ValueError:
    {write}
"""


@pytest.mark.parametrize("write", ["log.exception('broke')", "logging.getLogger('library').exception('broke')"])
def test_a_long_traceback_says_where_it_began_and_what_went_wrong(write: str) -> None:
    [line] = lines_of(DEEP_ERROR.format(message="'the reason'", write=write))
    assert "characters)" in line["exception"], "it is long enough to be cut"
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: the reason")


@pytest.mark.parametrize("write", ["log.exception('broke')", "logging.getLogger('library').exception('broke')"])
def test_an_error_with_a_very_long_message_still_tells_its_type(write: str) -> None:
    [line] = lines_of(DEEP_ERROR.format(message="'x' * 100_000 + 'the end'", write=write))
    assert line["error_type"] == "ValueError"
    assert line["exception"].endswith("the end")


@pytest.mark.parametrize(
    ("logger", "level", "written"),
    [
        ("anything", "info", True),
        ("anything", "debug", False),
        ("httpx", "info", False),
        ("httpx", "warning", True),
        ("uvicorn.access", "info", False),
        ("uvicorn.error", "info", False),
        ("uvicorn.error", "error", True),
        ("celery.app.trace", "info", False),
        ("celery.app.trace", "error", True),
    ],
)
def test_noisy_libraries_write_only_what_matters(logger: str, level: str, *, written: bool) -> None:
    assert bool(lines_of(f"logging.getLogger({logger!r}).{level}('text')")) is written


LOSES_THE_BROKER = """
from kombu.message import Message
class GoneBroker:
    no_ack_consumers = None
    def basic_ack(self, tag, multiple): raise ConnectionError("redis://:hunter22@broker went away")
message = Message(channel=GoneBroker(), delivery_tag="d1")
request_logger = logging.getLogger("celery.worker.request")
message.ack_log_error(request_logger, (ConnectionError,))
"""


def test_a_broker_that_goes_away_before_the_acknowledgement_is_one_warning_without_a_traceback() -> None:
    """The real kombu says it, so a release that says it in other words is noticed."""
    [line] = lines_of(LOSES_THE_BROKER)
    assert (line["event"], line["level"], line["reason"]) == ("acknowledgement_lost", "warning", "ConnectionError")
    assert line["logger"] == "celery.worker.request"
    assert "exception" not in line
    assert "hunter22" not in json.dumps(line)


def test_other_critical_lines_of_celery_keep_level_and_traceback() -> None:
    [line] = lines_of(
        "try:\n    raise ValueError('a bug')\n"
        "except ValueError:\n"
        "    logging.getLogger('celery.worker.request').critical('Could not %r', 'do it', exc_info=True)"
    )
    assert (line["event"], line["level"]) == ("Could not 'do it'", "critical")
    assert "a bug" in line["exception"]


def test_the_reader_of_standard_error_is_handed_to_whoever_looks_after_it() -> None:
    [line] = lines_of(
        "from config.logging_config import log_standard_error\n"
        "reader = log_standard_error()\n"
        "log.info('seen', alive=reader.is_alive(), thread=reader.name)"
    )
    assert (line["alive"], line["thread"]) == (True, "stderr")
