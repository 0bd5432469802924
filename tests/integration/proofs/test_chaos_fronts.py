"""What chaos puts between the workers and the servers: a Redis that fails over, a gateway that answers itself."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from proofs.chaos.api_edge import INSTEAD, ApiEdge, EdgeFault
from proofs.chaos.redis_pair import RedisPair
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.redis import LocalRedis
from sandbox.servers.supabase import BUCKET, LocalSupabase


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[RedisPair]:
    with LocalRedis(tmp_path / "first") as first:
        both = RedisPair(first, tmp_path / "second")
        both.set_up()
        try:
            yield both
        finally:
            both.close()


@pytest.fixture
def edge(supabase: LocalSupabase) -> Iterator[ApiEdge]:
    gateway = ApiEdge(supabase.url)
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture
def caller(edge: ApiEdge, supabase: LocalSupabase) -> Iterator[httpx.Client]:
    key = supabase.service_role_key
    headers = {"apikey": key, "authorization": f"Bearer {key}", "content-type": "image/jpeg", "x-upsert": "true"}
    with httpx.Client(
        base_url=edge.url, headers=headers, trust_env=False, timeout=30.0, verify=NO_AUTHORITIES
    ) as client:
        yield client


def test_a_failover_loses_nothing_and_leaves_old_connections_with_a_server_that_takes_no_writes(
    pair: RedisPair,
) -> None:
    with redis.Redis.from_url(pair.url) as before, redis.Redis.from_url(pair.url) as after:
        before.lpush("list", "a")
        pair.fail_over()
        with pytest.raises(redis.exceptions.ReadOnlyError):
            before.lpush("list", "b")
        assert before.lrange("list", 0, -1) == [b"a"], "reading still works there"
        after.lpush("list", "c")
        assert after.lrange("list", 0, -1) == [b"c", b"a"]


def test_primary_and_replica_change_places_as_often_as_they_are_told_to(pair: RedisPair) -> None:
    for number in range(3):
        with redis.Redis.from_url(pair.url) as client:
            client.lpush("list", number)
        pair.fail_over()
    with redis.Redis.from_url(pair.url) as client:
        assert client.lrange("list", 0, -1) == [b"2", b"1", b"0"]


def test_a_killed_primary_comes_back_as_the_primary(pair: RedisPair) -> None:
    pair.fail_over()
    with redis.Redis.from_url(pair.url) as client:
        client.lpush("list", "a")
    pair.kill()
    pair.start()
    with redis.Redis.from_url(pair.url) as client:
        client.lpush("list", "b")
        assert client.lrange("list", 0, -1) == [b"b", b"a"]


def test_the_gateway_passes_requests_and_answers_on_unchanged(caller: httpx.Client, supabase: LocalSupabase) -> None:
    path = f"/storage/v1/object/{BUCKET}/stores/a%20b/c.jpg"
    assert caller.post(path, content=b"\xff\xd8picture").is_success
    assert caller.get(path).content == b"\xff\xd8picture"
    direct = httpx.get(
        f"{supabase.url}/rest/v1/stores?select=id&limit=1",
        headers=caller.headers,
        trust_env=False,
        timeout=30.0,
        verify=NO_AUTHORITIES,
    )
    through = caller.get("/rest/v1/stores?select=id&limit=1")
    assert (through.status_code, through.content) == (direct.status_code, direct.content)


@pytest.mark.parametrize("fault", EdgeFault)
def test_the_gateway_answers_in_the_place_of_the_api_and_stops_when_told(
    edge: ApiEdge, caller: httpx.Client, fault: EdgeFault
) -> None:
    upload, function = f"/storage/v1/object/{BUCKET}/x.jpg", "/rest/v1/rpc/wearon_worker_schema_version"
    edge.fault = fault
    statuses = {caller.post(path, content=b"{}").status_code for path in (upload, function)}
    assert INSTEAD[fault].status in statuses
    edge.fault = None
    assert caller.post(upload, content=b"picture").is_success
