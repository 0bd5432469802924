"""A value in ``.env`` is the same inside the worker's container, byte for byte, or is refused before (ADR 0110)."""

import hashlib
import json
from collections.abc import Iterator

import pytest

from tests.infra.conftest import FirstDeploy
from tests.infra.engine.host import Host
from tests.infra.engine.rig import REPOSITORY, Rig
from tests.support.env_values import ARRIVES

PROJECT = "values"
PREFIX = "VALUE_"

HASHES = f"""
import hashlib, json, os
print(json.dumps({{
    name.decode(): hashlib.sha256(value).hexdigest()
    for name, value in os.environb.items() if name.startswith(b"{PREFIX}")
}}))
"""
"""Hashes: a value with a line end of some kind in it would be torn apart on the way back."""


@pytest.fixture
def tenant(rig: Rig, first_deploy: FirstDeploy) -> Iterator[Host]:
    """A project of its own, of which nothing runs."""
    host = Host(rig.place / PROJECT, rig.docker, rig.images, rig.internet, project=PROJECT)
    host.unpack(REPOSITORY)
    yield host
    host.remove()


def test_every_value_that_may_stand_in_env_arrives_in_the_workers_container_byte_for_byte(
    rig: Rig, tenant: Host
) -> None:
    values = {f"{PREFIX}{number}": value for number, value in enumerate(ARRIVES.values())}
    tenant.configure(tenant.settings(**values))
    output = tenant.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "worker", "-c", HASHES)
    arrived = json.loads(output.splitlines()[-1])
    assert arrived == {name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}
    rig.report.proved(
        "values with # ' \" space = \\ % and 4,096 characters, from .env to the worker's environment",
        f"{len(arrived)} of {len(values)} byte for byte",
        stand_ins=("python",),
    )


def test_a_dollar_in_env_stops_a_deploy_before_anything_changes(rig: Rig, host: Host) -> None:
    env, worker = host.home / ".env", host.container("worker")
    before = env.read_bytes()
    env.write_bytes(before + b"ANYTHING=a$b\n")
    try:
        status, output = host.attempt_script("deploy.sh")
    finally:
        env.write_bytes(before)
    assert status != 0
    assert "ANYTHING" in output
    assert "a$b" not in output
    assert host.container("worker") == worker
    rig.report.proved(
        "a value with $ in .env: the deploy names the line and stops", f"exit status {status}", stand_ins=("python",)
    )
