"""Who may call what, and that applying the SQL again changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from postgrest.exceptions import APIError
from psycopg import sql as query

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.platform.producer import Producer
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.supabase import BASELINE, REPOSITORY, LocalSupabase
from services.platform.supabase_client import SCHEMA_VERSION
from supabase import Client, create_client
from tests.support.worker_sql import API_FUNCTIONS, Superuser, WorkerSql

MIGRATIONS = sorted((REPOSITORY / "supabase" / "migrations").glob("*.sql"))
BROWSER_ROLES = ("anon", "authenticated")

SESSION: dict[str, object] = {"p_channel": "b2c", "p_session_id": str(uuid4())}
SOMEBODY = str(uuid4())
ARGUMENTS: dict[str, dict[str, object]] = {
    "wearon_worker_schema_version": {},
    "wearon_worker_heartbeat": {"p_executor": SOMEBODY, "p_host": "browser", "p_lease_seconds": 1e9},
    "wearon_worker_claim": {**SESSION, "p_executor": SOMEBODY, "p_fence": SOMEBODY, "p_attempt_limit": 2},
    "wearon_worker_release": {**SESSION, "p_fence": SOMEBODY, "p_rate_limited": False},
    "wearon_worker_complete": {
        **SESSION,
        "p_fence": SOMEBODY,
        "p_generated_image_url": "https://evil.test/",
        "p_processing_time_ms": 1,
        "p_input_tokens": 1,
        "p_output_tokens": 1,
        "p_estimated_cost_usd": 1,
    },
    "wearon_worker_fail": {**SESSION, "p_fence": None, "p_error_message": "m", "p_reason": "r"},
    "wearon_worker_recover": {"p_executor": SOMEBODY, "p_lease_seconds": 0, "p_holders": [SOMEBODY]},
    "wearon_worker_retire": {"p_executor": SOMEBODY},
    "wearon_worker_unowned_sessions": {
        "p_grace_seconds": 0,
        "p_after": "1970-01-01T00:00:00Z",
        "p_after_id": str(UUID(int=0)),
        "p_limit": 10,
    },
    "wearon_worker_overage_reversals": {"p_since": "1970-01-01T00:00:00Z"},
    "wearon_worker_unproven_charges": {"p_since": "1970-01-01T00:00:00Z"},
    "wearon_worker_audit": {"p_since": "1970-01-01T00:00:00Z"},
    "wearon_worker_forget": {"p_limit": 10},
    "wearon_worker_activity": {"p_since": "1970-01-01T00:00:00Z"},
    "wearon_worker_story": {"p_session_id": SOMEBODY},
    "wearon_worker_costs": {"p_since": "1970-01-01T00:00:00Z"},
}
ARGUMENTS |= {f"wearon_worker_{name}_v2": ARGUMENTS[f"wearon_worker_{name}"] for name in ("claim", "complete", "fail")}
"""A valid call of every function."""

OUR_FUNCTIONS = """
SELECT n.nspname, p.proname, p.oid, p.prosecdef, p.proconfig, p.proacl
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'wearon_worker' OR p.proname LIKE 'wearon\\_worker\\_%%'
"""


def test_the_api_is_exactly_these_functions(root: Superuser) -> None:
    public = [name for schema, name, *_ in root.rows(OUR_FUNCTIONS) if schema == "public"]
    assert sorted(public) == sorted(API_FUNCTIONS) == sorted(ARGUMENTS), "no overloads, nothing forgotten"


class TestFunctions:
    def test_every_one_has_its_search_path_pinned_to_nothing(self, root: Superuser) -> None:
        """Else a caller's own schema could slip other tables under a function that runs with its owner's rights."""
        functions = root.rows(OUR_FUNCTIONS)
        assert functions
        assert {name: config for _, name, _, _, config, _ in functions if 'search_path=""' not in config} == {}

    def test_those_that_an_operator_asks_have_a_time_limit(self, root: Superuser) -> None:
        limited = {name for _, name, _, _, config, _ in root.rows(OUR_FUNCTIONS) if "statement_timeout=5s" in config}
        assert limited == {"wearon_worker_activity", "wearon_worker_story", "wearon_worker_costs"}

    def test_only_those_of_the_api_run_with_their_owner_s_rights(self, root: Superuser) -> None:
        definers = {name for _, name, _, is_definer, *_ in root.rows(OUR_FUNCTIONS) if is_definer}
        assert definers == API_FUNCTIONS - {"wearon_worker_schema_version"}

    @pytest.mark.parametrize("role", [*BROWSER_ROLES, "public"])
    def test_a_browser_s_role_may_execute_none(self, root: Superuser, role: str) -> None:
        allowed = root.rows(
            f"SELECT f.proname FROM ({OUR_FUNCTIONS}) f WHERE has_function_privilege(%s, f.oid, 'execute')",  # noqa: S608 - constants
            role,
        )
        assert allowed == []

    def test_the_worker_s_role_may_execute_exactly_the_api(self, root: Superuser) -> None:
        allowed = root.rows(
            f"SELECT f.proname FROM ({OUR_FUNCTIONS}) f WHERE has_function_privilege('service_role', f.oid, 'execute')"  # noqa: S608 - constants
        )
        assert {name for (name,) in allowed} == API_FUNCTIONS

    @pytest.mark.parametrize("role", [*BROWSER_ROLES, "service_role"])
    @pytest.mark.parametrize("name", ["give_back", "try_fail", "clock", "set_status", "release_claims_of", "lock_row"])
    def test_nobody_reaches_the_internal_ones(
        self, postgres: LocalPostgres, role: str, name: str, root: Superuser
    ) -> None:
        with (
            psycopg.connect(postgres.dsn, autocommit=True, options=f"-c role={role}") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="schema wearon_worker"),
        ):
            connection.execute(query.SQL("SELECT wearon_worker.{}(NULL)").format(query.Identifier(name)))

    @pytest.mark.parametrize("role", BROWSER_ROLES)
    @pytest.mark.parametrize("function", sorted(API_FUNCTIONS))
    def test_a_browser_s_role_is_refused_each_call(
        self, postgres: LocalPostgres, root: Superuser, role: str, function: str
    ) -> None:
        arguments = ARGUMENTS[function]
        call = query.SQL("SELECT public.{}({})").format(
            query.Identifier(function),
            query.SQL(", ").join(
                query.SQL("{} => {}").format(query.Identifier(name), query.Literal(value))
                for name, value in arguments.items()
            ),
        )
        with (
            psycopg.connect(postgres.dsn, autocommit=True, options=f"-c role={role}") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"function {function}"),
        ):
            connection.execute(call)


class TestTables:
    @pytest.mark.parametrize("role", [*BROWSER_ROLES, "service_role", "public"])
    def test_nobody_has_any_right_on_the_worker_s_own_schema(self, root: Superuser, role: str) -> None:
        [(usage, create)] = root.rows(
            "SELECT has_schema_privilege(%s, 'wearon_worker', 'usage'),"
            " has_schema_privilege(%s, 'wearon_worker', 'create')",
            *[role] * 2,
        )
        assert (usage, create) == (False, False)
        tables = root.rows(
            "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'wearon_worker'"
        )
        assert len(tables) == 3
        rights = "select, insert, update, delete, truncate, references, trigger"
        allowed = [
            table
            for (table,) in tables
            if root.rows("SELECT has_table_privilege(%s, %s, %s)", role, table, rights) != [(False,)]
        ]
        assert allowed == []


@pytest.fixture(scope="module")
def anon(platform: Producer, supabase: LocalSupabase) -> Client:
    """The official client with the key that every browser has."""
    return create_client(supabase.url, supabase.anon_key)


class TestOverHttp:
    @pytest.mark.parametrize("function", sorted(API_FUNCTIONS))
    def test_a_browser_may_call_nothing(self, anon: Client, root: Superuser, function: str) -> None:
        before = root.everything()
        with pytest.raises(APIError, match=f"permission denied for function {function}") as refused:
            anon.rpc(function, ARGUMENTS[function]).execute()
        assert refused.value.code == "42501"
        assert root.everything() == before

    @pytest.mark.parametrize("function", sorted(API_FUNCTIONS))
    def test_the_worker_s_key_may_call_everything(
        self, platform: Producer, supabase: LocalSupabase, function: str
    ) -> None:
        create_client(supabase.url, supabase.service_role_key).rpc(function, ARGUMENTS[function]).execute()

    @pytest.mark.parametrize("table", ["executors", "claims", "refunds"])
    def test_no_key_reads_the_worker_s_tables(self, platform: Producer, supabase: LocalSupabase, table: str) -> None:
        for key in (supabase.anon_key, supabase.service_role_key):
            answer = httpx.get(
                f"{supabase.url}/rest/v1/{table}",
                headers={"apikey": key, "authorization": f"Bearer {key}", "accept-profile": "wearon_worker"},
                timeout=30.0,
                verify=NO_AUTHORITIES,
            )
            assert answer.is_client_error


def apply_all(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for path in (BASELINE, *MIGRATIONS):
        connection.execute(path.read_bytes())


@pytest.fixture
def bare(postgres: LocalPostgres, platform: Producer) -> Iterator[str]:
    """The URL of a database that has nothing of ours."""
    name = f"bare_{uuid4().hex}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(query.SQL("CREATE DATABASE {} TEMPLATE template0").format(query.Identifier(name)))
        yield postgres.dsn.rpartition("/")[0] + f"/{name}"
        connection.execute(query.SQL("DROP DATABASE {} WITH (FORCE)").format(query.Identifier(name)))


class TestApplyingTheSql:
    def test_again_changes_nothing(self, root: Superuser, sql: WorkerSql, platform: Producer) -> None:
        sql.claimed(platform.submit_b2c([], push=False).session)
        sql.fail(platform.submit_b2b([], push=False).session, None)
        before = root.catalogue(), root.everything()
        apply_all(root.connection)
        assert (root.catalogue(), root.everything()) == before

    def test_to_a_bare_postgres_gives_the_same_database(self, root: Superuser, bare: str) -> None:
        with Superuser(bare) as fresh:
            apply_all(fresh.connection)
            assert fresh.catalogue() == root.catalogue()
        with WorkerSql(bare) as worker:
            assert worker.call("schema_version") == [{"wearon_worker_schema_version": SCHEMA_VERSION}]

    def test_adds_objects_and_changes_none_of_the_platform_s(self, bare: str) -> None:
        with Superuser(bare) as fresh:
            fresh.connection.execute(BASELINE.read_bytes())
            platform_only = fresh.catalogue()
            for path in MIGRATIONS:
                fresh.connection.execute(path.read_bytes())
            both = fresh.catalogue()
        assert set(platform_only) <= set(both)
        added = set(both) - set(platform_only)
        assert [line for line in added if "wearon_worker" not in line] == []

    @pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.name)
    def test_again_closes_a_function_that_somebody_opened(self, root: Superuser, path: Path) -> None:
        root.execute("GRANT EXECUTE ON FUNCTION public.wearon_worker_retire(uuid) TO PUBLIC, anon, authenticated")
        root.connection.execute(path.read_bytes())
        rights = root.rows(
            "SELECT has_function_privilege(r, 'public.wearon_worker_retire(uuid)', 'execute')"
            " FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) r"
        )
        apply_all(root.connection)  # an older file by itself brings its own functions back
        assert rights == [(False,), (False,), (True,)]
