"""backup.sh and restore.sh: stand-ins for Docker and redis-cli, but a real server that writes and reads the dump."""

import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import redis

from sandbox.servers.redis import server_program
from tests.support import stand_in_redis_cli
from tests.support.edge import wait_until
from tests.support.script_host import SCRIPTS, Finished, ScriptHost, steps_of

COMMAND_LINE = Path(stand_in_redis_cli.__file__)

GRAFANA = "9" * 64
"""The id of its container."""

LIST = "wearon:tasks:generation"
TASKS = 1_000


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with redis-server, which is the sandbox's, and redis-cli."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "redis-server").symlink_to(server_program())
    launcher = folder / "redis-cli"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{COMMAND_LINE}" "$@"\n')
    launcher.chmod(0o755)
    return folder


class Server:
    """A server as in production: with append-only file, without dumps of its own."""

    def __init__(self, programs: Path, data: Path) -> None:
        data.mkdir(exist_ok=True)
        self.data = data
        self.socket = data.parent / f"{data.name}.sock"
        self.process = subprocess.Popen(
            [
                programs / "redis-server",
                "--port",
                "0",
                "--unixsocket",
                self.socket,
                "--dir",
                data,
                "--appendonly",
                "yes",
                "--save",
                "",
            ],
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)
        wait_until(self.answers, "Redis serves")

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.exceptions.ConnectionError:  # no socket yet, or still loading (BusyLoadingError)
            return False

    def dump(self) -> bytes:
        self.client.save()
        return (self.data / "dump.rdb").read_bytes()

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def dump(programs: Path, tmp_path: Path) -> bytes:
    """Of a queue with a thousand tasks."""
    server = Server(programs, tmp_path / "before")
    try:
        server.client.rpush(LIST, *[f"task {number}" for number in range(TASKS)])
        return server.dump()
    finally:
        server.stop()


@pytest.fixture
def volume(programs: Path, tmp_path: Path) -> Path:
    """Redis' volume on the host that is restored: with an append-only file of its own."""
    folder = tmp_path / "host" / "redis"
    folder.parent.mkdir(exist_ok=True)
    server = Server(programs, folder)
    server.client.set("newer", "than the backup")
    server.stop()
    return folder


def from_dump(programs: Path, volume: Path, dump: bytes) -> Finished:
    done = subprocess.run(
        ["sh", SCRIPTS / "lib" / "redis_from_rdb.sh", volume],
        input=dump,
        capture_output=True,
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def tasks_of(programs: Path, volume: Path) -> list[str]:
    server = Server(programs, volume)
    try:
        tasks = cast("list[str]", server.client.lrange(LIST, 0, -1))
        assert server.client.get("newer") is None
        return tasks
    finally:
        server.stop()


def test_the_queue_is_back_in_a_server_with_an_append_only_file(programs: Path, volume: Path, dump: bytes) -> None:
    done = from_dump(programs, volume, dump)
    assert (done.status, done.stdout) == (0, "1\n"), done.stderr
    assert tasks_of(programs, volume) == [f"task {number}" for number in range(TASKS)]
    assert not (volume / "replaced").exists()


def test_a_dump_laid_beside_an_append_only_file_would_be_lost(programs: Path, volume: Path, dump: bytes) -> None:
    """Why restore.sh does more than to lay it there."""
    (volume / "dump.rdb").write_bytes(dump)
    server = Server(programs, volume)
    try:
        assert server.client.llen(LIST) == 0
    finally:
        server.stop()


def test_what_is_no_dump_is_refused_and_what_was_there_is_kept(programs: Path, volume: Path, dump: bytes) -> None:
    done = from_dump(programs, volume, dump[: len(dump) // 2])
    assert done.status != 0
    assert "Redis ended before it could load the dump" in done.stderr
    assert any((volume / "replaced").iterdir())
    assert from_dump(programs, volume, dump).status == 0


@pytest.fixture
def saved(host: ScriptHost) -> ScriptHost:
    """A host with a certificate, and a dump that its Redis hands out."""
    (host.folder / "dump.rdb").write_bytes(b"REDIS0011 and so on")
    for name, text in {
        "renewal/worker.example.com.conf": "server = x\n",
        "live/worker.example.com/fullchain.pem": "VALID\n",
    }.items():
        file = host.folder / "certificates" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return host


def archives(host: ScriptHost) -> list[Path]:
    return sorted((host.home / "backups").glob("*"))


def test_a_backup_is_whole_private_and_its_age_can_be_seen(saved: ScriptHost) -> None:
    done = saved.run("backup.sh")
    assert done.status == 0, done.said
    [archive] = archives(saved)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    names = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True).stdout.split()
    assert {"./redis.rdb", "./.env", "./release.env", "./deploys.log", "./certificates.tar"} <= set(names)
    metric = saved.home / "metrics" / "wearon_backup_last_success_timestamp_seconds.prom"
    assert "# TYPE wearon_backup_last_success_timestamp_seconds gauge" in metric.read_text()
    assert stat.S_IMODE(metric.stat().st_mode) == 0o644


def test_an_archive_that_is_not_whole_is_not_kept(saved: ScriptHost) -> None:
    tar = saved.folder / "bin" / "tar"
    tar.write_text('#!/bin/sh\ncase "$*" in */.backup.*) echo a part; exit 2 ;; esac\nexec /usr/bin/tar "$@"\n')
    tar.chmod(0o755)
    done = saved.run("backup.sh")
    assert done.status != 0
    assert "could not be written whole" in done.stderr
    assert archives(saved) == []
    assert not (saved.home / "metrics").exists()


def test_only_the_last_backups_are_kept(saved: ScriptHost) -> None:
    (saved.home / "backups").mkdir()
    for day in range(1, 6):
        (saved.home / "backups" / f"wearon-2026110{day}T023000Z.tar").touch()
    assert saved.run("backup.sh", WEARON_KEPT_BACKUPS="3").status == 0
    assert [file.name[7:15] for file in archives(saved)][:2] == ["20261104", "20261105"]
    assert len(archives(saved)) == 3


@pytest.mark.parametrize("step", ["redis", "files", "certificates", "grafana"])
def test_a_backup_that_was_killed_leaves_no_archive_and_no_age(saved: ScriptHost, step: str) -> None:
    assert saved.run("backup.sh", WEARON_FAIL_AFTER=step).killed
    assert archives(saved) == []
    assert not (saved.home / "metrics").exists()


def left_over(host: ScriptHost) -> list[Path]:
    """What holds secrets and belongs to no run that goes on."""
    return [*host.home.glob(".backup.*"), *host.home.glob(".restore.*"), *(host.home / "backups").glob(".*")]


def test_what_a_killed_backup_left_goes_with_the_next_one(saved: ScriptHost) -> None:
    assert saved.run("backup.sh", WEARON_FAIL_AFTER="files").killed
    [left] = left_over(saved)
    assert (left / ".env").exists()
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    (saved.home / "backups").mkdir()
    (saved.home / "backups" / ".wearon-20261101T023000Z.tar.aB3dE6").touch()
    assert saved.run("backup.sh").status == 0
    assert left_over(saved) == []


def test_a_redis_that_gives_no_dump_is_no_backup(saved: ScriptHost) -> None:
    (saved.folder / "dump.rdb").write_bytes(b"NOAUTH Authentication required.")
    done = saved.run("backup.sh")
    assert done.status != 0
    assert "There is no whole copy of Redis' data" in done.stderr
    assert archives(saved) == []


def test_a_disk_that_is_full_is_named_with_the_words_of_who_met_it(saved: ScriptHost) -> None:
    saved.save(redis_cli_says="write /dev/stdout: no space left on device\n")
    done = saved.run("backup.sh")
    assert done.status != 0
    assert "redis-cli said: write /dev/stdout: no space left on device" in done.stderr
    assert f"Is the disk full (df -h {saved.home})?" in done.stderr
    assert archives(saved) == []


def test_a_backup_that_goes_well_is_not_talked_over_by_redis_cli(saved: ScriptHost) -> None:
    done = saved.run("backup.sh")
    assert (done.status, done.stderr) == (0, "")


@pytest.fixture
def with_grafana(saved: ScriptHost) -> ScriptHost:
    """As ``saved``, with a Grafana."""
    grafana = {
        "service": "grafana",
        "tag": "pinned",
        "hash": "",
        "state": "running",
        "health": "healthy",
        "restarts": 0,
    }
    saved.save(containers=saved.state["containers"] | {GRAFANA: grafana})
    return saved


def test_grafana_pauses_for_its_copy_and_goes_on(with_grafana: ScriptHost) -> None:
    done = with_grafana.run("backup.sh")
    assert done.status == 0, done.said
    assert [call for call in with_grafana.calls if "pause" in call] == [
        f"docker pause {GRAFANA}",
        f"docker unpause {GRAFANA}",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_ended_while_grafana_pauses_lets_it_go_on(
    with_grafana: ScriptHost, number: signal.Signals
) -> None:
    with_grafana.save(signal_while_copied=int(number))
    done = with_grafana.run("backup.sh")
    assert done.status != 0
    assert "Grafana goes on; no backup was written" in done.stderr
    assert with_grafana.state["containers"][GRAFANA]["state"] == "running"
    assert archives(with_grafana) == []
    assert left_over(with_grafana) == []


def test_a_copy_of_grafana_that_breaks_off_is_no_backup_and_grafana_goes_on(with_grafana: ScriptHost) -> None:
    with_grafana.save(grafana_copy_breaks=True)
    done = with_grafana.run("backup.sh")
    assert done.status != 0
    assert "Grafana's database could not be copied" in done.stderr
    assert with_grafana.state["containers"][GRAFANA]["state"] == "running"
    assert archives(with_grafana) == []


@pytest.mark.parametrize("takes_it", [True, False])
def test_grafana_gets_its_database_from_a_container_of_its_own_user_and_keeps_nobody_waiting(
    with_grafana: ScriptHost, programs: Path, volume: Path, dump: bytes, takes_it: bool
) -> None:
    (with_grafana.folder / "dump.rdb").write_bytes(dump)
    with_grafana.run("backup.sh")
    [archive] = archives(with_grafana)
    with_grafana.forget_calls()
    with_grafana.save(grafana_takes_nothing=not takes_it)
    path = f"{with_grafana.folder / 'bin'}:{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    done = with_grafana.run("restore.sh", "--yes", str(archive), PATH=path)
    assert done.status == 0, done.said
    assert with_grafana.state["grafana_restored"] == "a tar\n"
    assert f"docker stop {GRAFANA}" in with_grafana.calls
    assert not any(call.startswith("docker cp") for call in with_grafana.calls), "it knows no user by a number"
    assert ("Grafana did not take its database back" in done.stderr) != takes_it


def test_dry_runs_touch_nothing(saved: ScriptHost) -> None:
    saved.run("backup.sh")
    [archive] = archives(saved)
    files, state = saved.files(), saved.state
    assert saved.run("backup.sh", "--dry-run").status == 0
    assert saved.run("restore.sh", "--dry-run", str(archive)).status == 0
    assert (saved.files(), saved.state) == (files, state)


@pytest.mark.parametrize("step", [None, *steps_of("restore.sh")])
def test_a_host_is_restored_also_when_the_first_try_was_killed(
    saved: ScriptHost, programs: Path, volume: Path, dump: bytes, step: str | None
) -> None:
    (saved.folder / "dump.rdb").write_bytes(dump)
    saved.run("backup.sh")
    [archive] = archives(saved)
    before = (saved.home / ".env").read_bytes()
    (saved.home / ".env").write_text("REDIS_PASSWORD=other\nDOMAIN=worker.example.com\n")
    (saved.home / "release.env").write_text("WORKER_TAG=v1\n")
    path = f"{saved.folder / 'bin'}:{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    if step:
        assert saved.run("restore.sh", "--yes", str(archive), WEARON_FAIL_AFTER=step, PATH=path).killed
        assert left_over(saved)
    done = saved.run("restore.sh", "--yes", str(archive), PATH=path)
    assert done.status == 0, done.said
    assert (saved.home / ".env").read_bytes() == before
    assert (saved.home / ".env.before-restore").read_text().startswith("REDIS_PASSWORD=other")
    assert tasks_of(programs, volume) == [f"task {number}" for number in range(TASKS)]
    assert [worker["health"] for worker in saved.workers()] == ["healthy"]
    assert left_over(saved) == []


@pytest.mark.parametrize("lost", [".env", "release.env"])
def test_redis_does_not_run_while_its_files_are_replaced_also_when_settings_are_lost(
    saved: ScriptHost, programs: Path, volume: Path, dump: bytes, lost: str
) -> None:
    (saved.folder / "dump.rdb").write_bytes(dump)
    saved.run("backup.sh")
    [archive] = archives(saved)
    (saved.home / lost).unlink()
    path = f"{saved.folder / 'bin'}:{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    done = saved.run("restore.sh", "--yes", str(archive), PATH=path)
    assert done.status == 0, done.said
    assert tasks_of(programs, volume) == [f"task {number}" for number in range(TASKS)]


def test_nothing_is_replaced_unless_somebody_is_sure(saved: ScriptHost) -> None:
    saved.run("backup.sh")
    [archive] = archives(saved)
    done = saved.run("restore.sh", str(archive))
    assert done.status != 0
    assert "Say --yes" in done.stderr


def test_what_is_no_archive_is_refused(saved: ScriptHost) -> None:
    (saved.folder / "x.tar").write_bytes(b"x" * 2000)
    done = saved.run("restore.sh", "--yes", str(saved.folder / "x.tar"))
    assert done.status != 0
    assert "is no archive of backup.sh" in done.stderr


def test_a_grafana_that_a_killed_backup_left_paused_goes_on_and_is_saved(with_grafana: ScriptHost) -> None:
    containers = with_grafana.state["containers"]
    with_grafana.save(containers=containers | {GRAFANA: containers[GRAFANA] | {"state": "paused"}})
    done = with_grafana.run("backup.sh")
    assert done.status == 0, done.said
    assert with_grafana.state["containers"][GRAFANA]["state"] == "running"
    [archive] = archives(with_grafana)
    names = subprocess.run(["tar", "-tf", archive], capture_output=True, text=True, check=True).stdout.split()
    assert "./grafana.tar" in names


def test_what_was_there_before_the_first_restore_is_kept_also_after_a_second(
    saved: ScriptHost, programs: Path, volume: Path, dump: bytes
) -> None:
    (saved.folder / "dump.rdb").write_bytes(dump)
    saved.run("backup.sh")
    [archive] = archives(saved)
    restored = (saved.home / ".env").read_bytes()
    path = f"{saved.folder / 'bin'}:{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    for password in ("first", "second"):
        (saved.home / ".env").write_text(f"REDIS_PASSWORD={password}\nDOMAIN=worker.example.com\n")
        done = saved.run("restore.sh", "--yes", str(archive), PATH=path)
        assert done.status == 0, done.said
    assert (saved.home / ".env").read_bytes() == restored
    assert (saved.home / ".env.before-restore").read_text().startswith("REDIS_PASSWORD=first")
