"""The Supabase API of the sandbox: npm ``@supabase/lite`` over our own Postgres, corrected to answer like hosted.

It serves what the worker uses: tables and functions (PostgREST) and Storage. The corrections are in
``sandbox/node/like_hosted.cjs``; every start checks that they took effect, because without them the official
client fails in ways that look like faults of the worker.
"""

import json
import secrets
import shutil
import subprocess
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import httpx
import psycopg

from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.local_server import LocalServer
from sandbox.servers.node_packages import NODE_DIRECTORY, PACKAGES, ensure_node_packages, node_program
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.processes import ChildProcess, StartupFailed, start_child

BUCKET = "virtual-tryon-images"
"""The platform's private bucket for inputs and results."""

REPOSITORY = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).resolve().parents[1] / "platform" / "baseline.sql"
CORRECTIONS = NODE_DIRECTORY / "like_hosted.cjs"
BASELINE_MIGRATION = "20260101000000_platform_baseline.sql"
"""Sorts before every migration of the worker: migrations are applied in the order of their 14 digits."""

MIGRATION_TIMEOUT_SECONDS = 60.0
"""Four files take less than a second."""

REQUEST_TIMEOUT_SECONDS = 10.0
"""For the checks at start-up."""

MINIMUM_IDLE_SECONDS = 60
"""Hosted Supabase keeps an idle connection at least this long."""

PROBE_OBJECT = "sandbox-probe.txt"
"""Uploaded, signed, downloaded and deleted at every start."""

CHECK_VIOLATION = "23514"
"""SQLSTATE of a value that a CHECK refuses (PostgreSQL, appendix A)."""

# No schema files and no seed: everything comes from the migrations.
CONFIGURATION = """\
project_id = "wearon-sandbox"
[api]
port = {port}
[db]
driver = "postgres"
url = "env(SUPABASE_DB_URL)"
[db.migrations]
schema_paths = []
[db.seed]
enabled = false
sql_paths = []
[auth]
enabled = true
jwt_secret = "env(SUPABASE_JWT_SECRET)"
publishable_key = "env(SUPABASE_PUBLISHABLE_KEY)"
secret_key = "env(SUPABASE_SECRET_KEY)"
[storage]
enabled = true
file_size_limit = "50MiB"
"""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The API's secrets, made once per directory so that signed URLs outlive a restart."""

    jwt_secret: str
    publishable_key: str
    secret_key: str

    @classmethod
    def load_or_make(cls, path: Path) -> "ApiKeys":
        """Read them from ``path``, or make new ones and keep them there."""
        if path.exists():
            return cls(**json.loads(path.read_text()))
        keys = cls(
            jwt_secret=secrets.token_hex(32),
            publishable_key=f"sb_publishable_{secrets.token_hex(16)}",
            secret_key=f"sb_secret_{secrets.token_hex(16)}",
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(keys)))
        return keys


class LocalSupabase(LocalServer):
    """The REST and Storage API on loopback; ``postgres`` must run whenever this does.

    ``baseline`` is the platform's SQL and ``corrections`` what makes the API answer like hosted; other files in tests.
    """

    name: ClassVar[str] = "supabase"

    def __init__(
        self,
        directory: Path,
        postgres: LocalPostgres,
        port: int = 0,
        *,
        baseline: Path = BASELINE,
        corrections: Path = CORRECTIONS,
    ) -> None:
        super().__init__(directory, port)
        self._baseline = baseline
        self._corrections = corrections
        self._postgres = postgres
        self._project = self.directory / "supabase"
        self._keys = ApiKeys.load_or_make(self.directory / "keys.json")
        self._is_prepared = False

    @property
    def url(self) -> str:
        """Base URL, as ``SUPABASE_URL`` wants it."""
        return f"http://{self.host}:{self.port}"

    @property
    def service_role_key(self) -> str:
        """The key that may do everything (``SUPABASE_SERVICE_ROLE_KEY``)."""
        return self._keys.secret_key

    @property
    def anon_key(self) -> str:
        """The key every browser has."""
        return self._keys.publishable_key

    @property
    def objects_directory(self) -> Path:
        """Where the bucket's objects lie as plain files."""
        return self._project / ".temp" / "storage"

    def start(self) -> None:
        """Install what is missing, apply the migrations (the first time), serve, and check the answers."""
        if self.is_running:
            return
        if not self._is_prepared:
            self.apply_migrations()
            self._is_prepared = True
        super().start()
        with httpx.Client(
            base_url=self.url,
            headers=self._headers,
            timeout=REQUEST_TIMEOUT_SECONDS,
            trust_env=False,
            verify=NO_AUTHORITIES,
        ) as api:
            try:
                self._ensure_bucket(api)
                self._check_answers_like_hosted(api)
            except (StartupFailed, httpx.HTTPError):
                self.kill()
                raise

    def apply_migrations(self) -> None:
        """The platform's baseline, then ``supabase/migrations/`` in order; a file changed since is applied again."""
        ensure_node_packages()
        self._write_configuration()
        applied = self._project / "migrations"
        applied.mkdir(parents=True, exist_ok=True)
        changed: list[tuple[Path, Path]] = []
        for name, source in self._migrations().items():
            if not (applied / name).exists():
                shutil.copyfile(source, applied / name)
            elif (applied / name).read_bytes() != source.read_bytes():
                changed.append((source, applied / name))
        self._migrate()
        # The API goes by name alone; the files are safe to apply again, so a developer's edit simply takes hold.
        with psycopg.connect(self._postgres.dsn, autocommit=True) as connection:
            for source, copy in changed:
                connection.execute(source.read_bytes())
                shutil.copyfile(source, copy)

    def _migrations(self) -> dict[str, Path]:
        own = sorted((REPOSITORY / "supabase" / "migrations").glob("*.sql"))
        return {BASELINE_MIGRATION: self._baseline} | {path.name: path for path in own}

    def _migrate(self) -> None:
        result = subprocess.run(
            self._command("migration", "up"),
            check=False,
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd=self.directory,
            timeout=MIGRATION_TIMEOUT_SECONDS,
        )
        if result.returncode != 0:
            raise StartupFailed(self.name, f"a migration failed:\n{result.stdout}{result.stderr}")

    @property
    def _headers(self) -> dict[str, str]:
        return {"apikey": self.service_role_key, "authorization": f"Bearer {self.service_role_key}"}

    def _launch(self) -> ChildProcess:
        self._write_configuration()
        # Without --no-admin a request without any key would be served as service_role.
        return start_child(
            self._command("start", "--no-admin"), log_path=self.log_path, env=self._environment(), cwd=self.directory
        )

    def _command(self, *arguments: str) -> list[str | Path]:
        program = PACKAGES / "@supabase" / "lite" / "dist" / "cli" / "index.js"
        return [node_program(), "--require", self._corrections, program, *arguments]

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.directory),  # it keeps a directory of its own there
            "EXPERIMENTAL_STORAGE": "1",
            "LITE_TELEMETRY": "0",
            "DO_NOT_TRACK": "1",
            "SUPABASE_DB_URL": self._postgres.dsn,
            "SUPABASE_JWT_SECRET": self._keys.jwt_secret,
            "SUPABASE_PUBLISHABLE_KEY": self._keys.publishable_key,
            "SUPABASE_SECRET_KEY": self._keys.secret_key,
        }

    def _write_configuration(self) -> None:
        self._project.mkdir(parents=True, exist_ok=True)
        (self._project / "config.toml").write_text(CONFIGURATION.format(port=self.port))

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(
                f"{self.url}/rest/v1/stores?limit=1", headers=self._headers, trust_env=False, verify=NO_AUTHORITIES
            )
        except httpx.TransportError:
            return False
        return answer.is_success

    def _ensure_bucket(self, api: httpx.Client) -> None:
        answer = api.post("/storage/v1/bucket", json={"id": BUCKET, "name": BUCKET, "public": False})
        if answer.is_error and answer.json().get("error") != "Duplicate":
            raise StartupFailed(self.name, f"no bucket: {answer.text}", log_path=self.log_path)

    def _check_answers_like_hosted(self, api: httpx.Client) -> None:
        """Ask the running server for each difference that ``like_hosted.cjs`` corrects. Raises ``StartupFailed``."""
        probe = f"{BUCKET}/{PROBE_OBJECT}"
        api.post(f"/storage/v1/object/{probe}", content=b"probe", headers={"x-upsert": "true"}).raise_for_status()
        signed = api.post(f"/storage/v1/object/sign/{probe}", json={"expiresIn": 60})
        signed_url = signed.json().get("signedURL", "")
        idle = signed.headers.get("keep-alive", "").removeprefix("timeout=")
        run_out = api.post(f"/storage/v1/object/sign/{probe}", json={"expiresIn": -1}).json().get("signedURL", "")
        refused = api.post("/rest/v1/generation_sessions", json={"user_id": str(uuid4()), "status": "?"})
        is_wrong = {
            "the sign answer": not signed_url.startswith("/object/sign/"),
            "a signed URL": api.get(f"/storage/v1{signed_url}").content != b"probe",
            "a link that ran out": api.get(f"/storage/v1{run_out}").status_code != HTTPStatus.BAD_REQUEST,
            "the idle time": not idle.isdigit() or int(idle) < MINIMUM_IDLE_SECONDS,
            "a refused row": (refused.status_code, refused.json().get("code")) != (400, CHECK_VIOLATION),
        }
        api.request("DELETE", f"/storage/v1/object/{BUCKET}", json={"prefixes": [PROBE_OBJECT]}).raise_for_status()
        if any(is_wrong.values()):
            what = ", ".join(name for name, wrong in is_wrong.items() if wrong)
            raise StartupFailed(self.name, f"not like hosted Supabase: {what}; see sandbox/node/like_hosted.cjs")
