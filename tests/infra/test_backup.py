"""What a lost Redis volume held comes back, and nobody pays or is paid twice (stories 6.1, 6.2)."""

from models.generation import SessionStatus
from tests.infra.engine.host import Host
from tests.infra.engine.rig import Rig
from tests.infra.engine.shop import Shop

TASKS = 20
"""Half of them are settled after the backup, half are lost with the queue."""

DATABASE = "/var/lib/grafana/grafana.db"
SAVED = "saved"

QUEUE = "wearon:tasks:generation"
DELIVERED_WITHIN_SECONDS = 120.0


def test_a_restored_queue_delivers_what_was_open_and_drops_what_was_settled(rig: Rig, host: Host, shop: Shop) -> None:
    host.compose("stop", "worker")
    tasks = shop.submit(TASKS)
    write_database(host, SAVED)
    host.script("backup.sh")
    write_database(host, "changed afterwards")
    archive = max((host.home / "backups").glob("wearon-*.tar"))
    settled, lost = tasks[: TASKS // 2], tasks[TASKS // 2 :]
    redis_cli(host, "LTRIM", QUEUE, str(TASKS // 2), "-1")  # the later ones lie on the left
    host.compose("start", "worker")
    shop.wait_delivered(settled, seconds=DELIVERED_WITHIN_SECONDS)
    host.compose("stop", "worker")
    assert shop.statuses(lost) == {SessionStatus.QUEUED: len(lost)}
    redis_cli(host, "FLUSHALL")

    host.script("restore.sh", "--yes", str(archive))
    shop.wait_delivered(tasks, seconds=DELIVERED_WITHIN_SECONDS)
    host.wait_healthy("grafana")
    assert host.docker("exec", host.container("grafana"), "cat", DATABASE) == SAVED
    with rig.internet.provider() as provider:
        requests = provider.stats()["requests"]
    sessions = [task.session.session_id for task in tasks]
    refunds = shop.producer.value("SELECT count(*) FROM wearon_worker.refunds WHERE session_id = ANY(%s)", sessions)
    assert requests == TASKS
    assert refunds == 0
    assert shop.wrong_credits() == []
    assert archive.stat().st_mode & 0o777 == 0o600
    rig.report.proved(
        f"backup with {TASKS} open tasks, {len(settled)} settled afterwards, the queue lost, restore",
        f"{TASKS} delivered by {requests} provider requests, {refunds} refunds, 0 wrong credits; Grafana's file, too",
        stand_ins=("redis", "certbot", "grafana", "python", "provider", "platform"),
    )


def write_database(host: Host, text: str) -> None:
    """As Grafana's own user, in its own volume; the stand-in has a text in the place of a database."""
    host.docker("exec", host.container("grafana"), "sh", "-c", f"echo '{text}' >{DATABASE}")


def redis_cli(host: Host, *words: str) -> str:
    """A command in the host's Redis, whose container knows the password."""
    return host.docker("exec", host.container("redis"), "redis-cli", *words)
