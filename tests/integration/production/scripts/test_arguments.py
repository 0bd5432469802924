"""How every script answers somebody who calls it in a wrong way, or asks what it does."""

import pytest

from tests.support.script_host import ScriptHost

USAGE_STATUS = 2
SCRIPTS = ("first-deploy.sh", "deploy.sh", "renew-certs.sh", "backup.sh", "restore.sh")

WRONG = [
    ("backup.sh", ("--all",), 'not "--all"'),
    ("backup.sh", ("--dry-run", "--all"), 'not "--all"'),
    ("renew-certs.sh", ("worker.example.com",), 'not "worker.example.com"'),
    ("renew-certs.sh", ("--dry-run", "--force"), 'not "--force"'),
    ("deploy.sh", ("--force", "v2"), 'There is no option "--force"'),
    ("deploy.sh", ("v2", "v3"), 'One tag only, not "v2" and "v3"'),
    ("restore.sh", (), "ARCHIVE is missing"),
    ("restore.sh", ("--force", "a.tar"), 'There is no option "--force"'),
    ("restore.sh", ("a.tar", "b.tar"), 'One archive only, not "a.tar" and "b.tar"'),
    ("first-deploy.sh", (), "DOMAIN is missing"),
    ("first-deploy.sh", ("a.example.com", "--tag"), "After --tag its value is missing"),
    ("first-deploy.sh", ("--force", "a.example.com"), 'There is no option "--force"'),
    ("first-deploy.sh", ("a.example.com", "b.example.com"), "One domain only"),
]


@pytest.mark.parametrize(("script", "arguments", "words"), WRONG)
def test_a_wrong_call_is_told_what_was_wrong_after_the_help_and_does_nothing(
    host: ScriptHost, script: str, arguments: tuple[str, ...], words: str
) -> None:
    files = host.files()
    done = host.run(script, *arguments)
    assert (done.status, done.stdout) == (USAGE_STATUS, "")
    assert done.stderr.startswith(f"{script} [--dry-run]")
    [stop] = [line for line in done.stderr.splitlines() if line.startswith("STOP")]
    assert stop == done.stderr.splitlines()[-1]
    assert words in stop
    assert (host.calls, host.files()) == ([], files)


LOST = {
    ".env": "bring it back: restore.sh ARCHIVE",
    "release.env": "write WORKER_TAG=TAG to it; the last line of",
    "versions.env": "Run first-deploy.sh first",
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize(("script", "argument"), [("backup.sh", ()), ("deploy.sh", ("v2",)), ("renew-certs.sh", ())])
def test_a_file_that_was_lost_is_named_with_the_way_to_get_it_back_and_nothing_is_done(
    host: ScriptHost, script: str, argument: tuple[str, ...], lost: str
) -> None:
    (host.home / lost).unlink()
    files = host.files()
    done = host.run(script, *argument)
    assert done.status != 0
    assert f"{host.home / lost} is not there or not readable" in done.stderr
    assert LOST[lost] in done.stderr
    assert done.stderr.count("STOP") == 1
    assert (host.calls, host.files()) == ([], files)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_had_on_a_machine_with_nothing_on_it(fresh_host: ScriptHost, script: str) -> None:
    done = fresh_host.run(script, "--help")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{script} [--dry-run]")
    assert fresh_host.calls == []
