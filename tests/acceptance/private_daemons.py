"""The daemons around Icinga Web on one machine: MariaDB, Icinga 2, and whatever else is started.

Each is Debian's own, listens on 127.0.0.1, lives in one directory (nothing under /etc and /var) and
ends with the `with` block. Debian packages: icinga2-bin mariadb-server openssl.

    with PrivateDaemons(directory) as daemons:
        database = daemons.start_mariadb("director")
        icinga = daemons.start_icinga('object Host "portal" { check_command = "dummy" }')
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

DEADLINE = 60.0  # seconds, for anything that is waited for
SEND_AGAIN = 10.0  # seconds until what was sent, and is not there, is sent once more
NODE = "icinga.test"
USER, SECRET = "lab", "secret"  # of the databases and of Icinga's API, all on 127.0.0.1

TRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made once: no authorities are read
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE

Result = TypeVar("Result")


def missing_program(*programs: str) -> str | None:
    """The first of these programs that the machine lacks."""
    needed = ("icinga2", "mariadbd", "mariadb-install-db", "openssl", "setpriv", *programs)
    return next((name for name in needed if not shutil.which(name, path=_path())), None)


@dataclass(frozen=True)
class Database:
    """A running MariaDB with one database for each name."""

    port: int
    socket: Path

    def as_icingaweb_resource(self, name: str) -> str:
        return (
            f"[{name}]\ntype = db\ndb = mysql\nhost = 127.0.0.1\nport = {self.port}\n"
            f"dbname = {name}\nusername = {USER}\npassword = {SECRET}\ncharset = utf8mb4\n"
        )


@dataclass(frozen=True)
class Icinga:
    """A running Icinga 2 with its API, of which USER may ask."""

    port: int

    def ask(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """GET, or POST if there is a body; return the results."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/v1/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={
                "Accept": "application/json",
                "Authorization": "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode(),
            },
        )
        with urllib.request.urlopen(request, timeout=DEADLINE, context=TRUSTING) as answer:
            results: list[dict[str, Any]] = json.load(answer)["results"]
            return results

    def check(self, service: str) -> dict[str, Any]:
        """Have HOST!SERVICE checked now, whatever its schedule; return the result of that check."""
        wait_for(lambda: self._state_of(service))
        since = time.time()
        self.ask("actions/reschedule-check", type="Service", service=service, force=True)

        def result() -> dict[str, Any] | None:
            last: dict[str, Any] | None = self._state_of(service).get("last_check_result")
            return last if last and last["execution_start"] >= since else None

        return wait_for(result)

    def _state_of(self, service: str) -> dict[str, Any]:
        """Of a service: its attributes; none while Icinga reloads and does not know it yet."""
        try:
            [found] = self.ask(f"objects/services/{service}")
        except OSError:  # as are URLError and HTTPError
            return {}
        attributes: dict[str, Any] = found["attrs"]
        return attributes


class PrivateDaemons:
    """Starts what it is asked for; all of it ends when the block is left."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._stack = ExitStack()

    def __enter__(self) -> PrivateDaemons:
        for name in ("home", "tmp"):
            (self.directory / name).mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """Of all processes: nothing of the user's, and nothing to be left in /tmp or at home."""
        return {
            "PATH": _path(),
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "ICINGA2_USER": "root",
            "ICINGA2_GROUP": "root",
        }

    def start_mariadb(self, *names: str) -> Database:
        database = Database(free_port(), self.directory / "mariadb.socket")
        place = f"--datadir={self.directory / 'mariadb'}"
        self.run(
            *("mariadb-install-db", "--no-defaults", place, "--user=root", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
            "--rpm",  # else it takes the package's auth_pam_tool_dir from the user mysql
        )
        server = self.start(
            *("mariadbd", "--no-defaults", place, "--user=root", "--skip-name-resolve"),
            *("--bind-address=127.0.0.1", f"--port={database.port}"),
            *(f"--socket={database.socket}", f"--pid-file={self.directory / 'mariadb.pid'}"),
            "--innodb-flush-log-at-trx-commit=0",
        )
        self.wait_for_port(server, database.port)
        self.sql(
            database,
            f"CREATE USER {USER}@127.0.0.1 IDENTIFIED BY '{SECRET}'; "
            f"GRANT ALL ON *.* TO {USER}@127.0.0.1; "
            + "".join(f"CREATE DATABASE {name} CHARACTER SET utf8mb4; " for name in names),
        )
        return database

    def sql(self, database: Database, statements: str, name: str = "") -> str:
        client = ("mariadb", "--no-defaults", f"--socket={database.socket}", "-uroot", "-N")
        return self.run(*client, *([name] if name else []), input=statements)

    def start_icinga(self, objects: str) -> Icinga:
        """Start Icinga 2 with Icinga's template library, a checker, the API and these objects.

        PluginContribDir is where this Python's command check_cqd_integration is.
        """
        port, home = free_port(), self.directory / "icinga"
        certificates = home / "lib" / "certs"
        certificates.mkdir(parents=True)
        self.run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", f"/CN={NODE}", "-days", "30"),
            *("-keyout", f"{certificates}/{NODE}.key", "-out", f"{certificates}/{NODE}.crt"),
        )
        shutil.copy(certificates / f"{NODE}.crt", certificates / "ca.crt")
        (home / "icinga2.conf").write_text(
            f"""
            const NodeName = "{NODE}"
            const ZoneName = "master"
            const PluginDir = "/usr/lib/nagios/plugins"
            const PluginContribDir = "{sysconfig.get_path("scripts")}"
            const ManubulonPluginDir = PluginDir
            include <itl>
            include <plugins>
            object Endpoint NodeName {{ host = "127.0.0.1"; port = "{port}" }}
            object Zone ZoneName {{ endpoints = [ NodeName ] }}
            object Zone "director-global" {{ global = true }}
            object CheckerComponent "checker" {{ }}
            object ApiListener "api" {{ bind_host = "127.0.0.1"; bind_port = {port} }}
            object ApiUser "{USER}" {{ password = "{SECRET}"; permissions = [ "*" ] }}
            {objects}
            """,
            encoding="utf-8",
        )
        places = {"ConfigDir": "", "DataDir": "lib", "LogDir": "log", "CacheDir": "cache"}
        places |= {"SpoolDir": "spool", "InitRunDir": "run"}
        for place in places.values():
            (home / place).mkdir(exist_ok=True)
        server = self.start(
            *("icinga2", "daemon", "-c", str(home / "icinga2.conf")),
            *(f"-D{constant}={home / place}" for constant, place in places.items()),
        )
        self.wait_for_port(server, port)
        return Icinga(port)

    def run(self, *command: str, input: str = "", **environment: str) -> str:
        """Run to the end and return the output, both streams of it."""
        done = subprocess.run(
            command,
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env={**self.environment, **environment},
            timeout=DEADLINE,
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}")
        return done.stdout

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a daemon; what it says goes to NAME.log."""
        with (self.directory / f"{Path(command[0]).name}.log").open("w") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],  # ends even if the tests are killed
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environment, **environment},
                start_new_session=True,
            )
        self._stack.callback(_stop, process)
        return process

    def wait_for_port(self, process: subprocess.Popen[bytes], port: int) -> None:
        def is_open() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} ended{self.logs()}")
            try:
                socket.create_connection(("127.0.0.1", port), DEADLINE).close()
            except ConnectionRefusedError:
                return False
            return True

        self.wait_for(is_open)

    def wait_for(
        self, find: Callable[[], Result | None], send: Callable[[], object] | None = None
    ) -> Result:
        """The same as wait_for; if it was in vain, the error holds what the daemons said."""
        try:
            return wait_for(find, send)
        except TimeoutError as error:
            raise TimeoutError(f"{error}{self.logs()}") from error

    def logs(self) -> str:
        """How each log of the daemons ends."""
        ends = []
        for log in sorted(self.directory.rglob("*.log")):
            lines = log.read_text("utf-8", "replace").splitlines()[-25:]
            name = log.relative_to(self.directory)
            ends.append("\n".join([f"--- {name}", *(line[:400] for line in lines)]))
        return "\n".join(["", *ends])


def wait_for(find: Callable[[], Result | None], send: Callable[[], object] | None = None) -> Result:
    """Return what is found, as soon as it is something.

    ``send``: what is done again and again meanwhile, for what may get lost on its way.
    """
    began = time.monotonic()
    again = began + SEND_AGAIN
    while True:
        found = find()
        if found:
            return found
        now = time.monotonic()
        if now > began + DEADLINE:
            raise TimeoutError(f"waited {DEADLINE:g}s for {find.__qualname__}")
        if send and now > again:
            send()
            again = time.monotonic() + SEND_AGAIN
        time.sleep(0.05)


def free_port() -> int:
    """Free a moment ago: the daemons cannot choose one and tell."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(DEADLINE)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
