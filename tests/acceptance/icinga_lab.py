"""A private Icinga 2: no systemd, nothing in /etc, everything in one directory, on 127.0.0.1.

Debian packages: icinga2-bin openssl faketime, and util-linux (setpriv), which is always there.

    with Icinga(directory, "master", plugins=plugins, authority=authority) as icinga:
        icinga.create_host("lab", {"cqd_portals": {"portal": {...}}})
        result = icinga.check("lab!cqd-portal")

No check runs by itself: each test forces its own, and waits for nothing else.
"""

from __future__ import annotations

import getpass
import grp
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from private_daemons import free_port

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NEEDED_PROGRAMS = ("icinga2", "openssl", "setpriv")
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
DEADLINE = 30.0  # seconds, for a daemon or for a check
PAUSE = 0.02  # seconds between two looks
API_USER = ("tests", "of-the-api")


def missing_program() -> str | None:
    """The first thing that the laboratory needs and the machine lacks."""
    lacking = [name for name in NEEDED_PROGRAMS if not shutil.which(name, path=PATH)]
    return next(iter(lacking), None if FAKETIME else "faketime")


@dataclass(frozen=True)
class Result:
    """What Icinga knows of a check that it executed."""

    state: int
    output: str
    performance_data: list[str]
    command: list[str]
    check_source: str


class Authority:
    """Signs the certificates of the daemons that are to trust each other."""

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        self._make(self.certificate, self._key, "CA", "keyUsage=critical,keyCertSign,cRLSign", True)

    def issue(self, directory: Path, name: str) -> None:
        """Put NAME.crt, NAME.key and ca.crt into the directory, where Icinga looks for them."""
        directory.mkdir(parents=True)
        shutil.copy(self.certificate, directory)
        names = f"subjectAltName=DNS:{name},DNS:localhost"
        self._make(directory / f"{name}.crt", directory / f"{name}.key", name, names, False)

    def _make(self, certificate: Path, key: Path, name: str, extension: str, ca: bool) -> None:
        issuer = [] if ca else ["-CA", str(self.certificate), "-CAkey", str(self._key)]
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-config", "/dev/stdin", "-days", "30", "-nodes"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", f"/CN={name}"),
                *("-keyout", str(key), "-out", str(certificate), *issuer, "-addext", extension),
                *("-addext", f"basicConstraints=critical,CA:{str(ca).upper()}"),
                *("-addext", "subjectKeyIdentifier=hash"),
                *("-addext", "authorityKeyIdentifier=keyid"),
            ],
            input=b"[req]\ndistinguished_name = name\n[name]\n",
            capture_output=True,
            check=True,
        )


class Icinga:
    """One Icinga 2, whose node and zone are called `name`.

    plugins        PluginContribDir
    configuration  goes to the end of icinga2.conf
    zones          the files for zones.d/ZONE, of each zone
    parent         the daemon that this one connects to as an agent
    clock          a file that says what its time is ahead, in seconds such as "+301"

    Entering starts the daemon, leaving ends it; both may be done more than once.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        plugins: Path,
        authority: Authority,
        configuration: str = "",
        zones: Mapping[str, Sequence[Path]] | None = None,
        parent: Icinga | None = None,
        clock: Path | None = None,
    ) -> None:
        self.directory = directory
        self.name = name
        self.port = free_port()
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        authority.issue(directory / "data" / "certs", name)
        for folder in ("etc", "log", "cache", "run", "spool/perfdata", "spool/tmp"):
            (directory / folder).mkdir(parents=True)
        for zone, files in (zones or {}).items():
            (directory / "etc" / "zones.d" / zone).mkdir(parents=True)
            for file in files:
                shutil.copy(file, directory / "etc" / "zones.d" / zone)
        (directory / "etc" / "icinga2.conf").write_text(
            f"""
const PluginDir = "/usr/lib/nagios/plugins"
const PluginContribDir = "{plugins}"
const NodeName = "{name}"
const ZoneName = NodeName
include <itl>
include <plugins>
object IcingaApplication "app" {{ enable_host_checks = false; enable_service_checks = false }}
object CheckerComponent "checker" {{ }}
object FileLogger "file" {{ severity = "information"; path = LogDir + "/icinga2.log" }}
object PerfdataWriter "perfdata" {{ rotation_interval = 1s }}
object ApiListener "api" {{
  bind_host = "127.0.0.1"
  bind_port = {self.port}
  accept_commands = true
  accept_config = true
}}
object ApiUser "{API_USER[0]}" {{ password = "{API_USER[1]}"; permissions = [ "*" ] }}
object Zone "global-templates" {{ global = true }}
object Endpoint NodeName {{ }}
object Zone ZoneName {{
  endpoints = [ NodeName ]
  {f'parent = "{parent.name}"' if parent else ""}
}}
{parent._as_parent() if parent else ""}
{configuration}
""",
            encoding="utf-8",
        )
        self._api = requests.Session()
        self._api.trust_env = False
        self._api.auth = API_USER
        self._api.verify = str(authority.certificate)
        self._api.headers["Accept"] = "application/json"

    def _as_parent(self) -> str:
        """How a child knows this one: the child connects."""
        return (
            f'object Endpoint "{self.name}" {{ host = "127.0.0.1"; port = {self.port} }}\n'
            f'object Zone "{self.name}" {{ endpoints = [ "{self.name}" ] }}'
        )

    # Beginning and end

    def validate(self) -> str:
        """Return what `icinga2 daemon -C` says of the configuration."""
        done = subprocess.run(
            [*self._command(), "-C"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env={**self._environment(), "LD_PRELOAD": ""},  # its clock matters to no check
            timeout=DEADLINE,
        )
        return done.stdout

    def __enter__(self) -> Icinga:
        with (self.directory / "daemon.out").open("wb") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self._command()],  # ends with the tests
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            self.wait_for(self._answers, "its API")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._api.close()
        self._process.terminate()
        self._process.wait(DEADLINE)
        for kind in ("faketime_shm", "sem.faketime_sem"):  # Icinga ends without its destructors
            Path(f"/dev/shm/{kind}_{self._process.pid}").unlink(missing_ok=True)

    def _answers(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise RuntimeError((self.directory / "daemon.out").read_text(encoding="utf-8"))
        try:
            self._ask("GET", "status/IcingaApplication")
        except requests.ConnectionError:
            return False
        return True

    def _command(self) -> list[str]:
        folders = {
            "ConfigDir": "etc",
            "ZonesDir": "etc/zones.d",
            "DataDir": "data",
            "LogDir": "log",
            "CacheDir": "cache",
            "SpoolDir": "spool",
            "InitRunDir": "run",
        }
        constants = [f"-D{name}={self.directory / folder}" for name, folder in folders.items()]
        return ["icinga2", "daemon", "-c", str(self.directory / "etc" / "icinga2.conf"), *constants]

    def _environment(self) -> dict[str, str]:
        environment = {
            "PATH": PATH,
            "LC_ALL": "C.UTF-8",
            "ICINGA2_USER": getpass.getuser(),  # else it wants to be nagios
            "ICINGA2_GROUP": grp.getgrgid(os.getgid()).gr_name,
        }
        if self._clock:
            environment["LD_PRELOAD"] = str(FAKETIME)
            environment["FAKETIME_TIMESTAMP_FILE"] = str(self._clock)
            environment["FAKETIME_NO_CACHE"] = "1"
            environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        return environment

    # What a test asks of it

    def create_host(self, name: str, variables: dict[str, Any]) -> None:
        """Make a host with these variables: apply rules give it its services."""
        attributes = {"check_command": "dummy", "vars": variables}
        self._ask("PUT", f"objects/hosts/{name}", {"attrs": attributes})

    def request_check(self, service: str) -> Callable[[], bool]:
        """Force a check; return what tells whether its result has come."""
        before = self._service(service)["last_check"]
        self._ask(
            "POST",
            "actions/reschedule-check",
            {"type": "Service", "service": service, "force": True},
        )
        return lambda: bool(self._service(service)["last_check"] != before)

    def check(self, service: str) -> Result:
        """Force a check and return its result."""
        self.wait_for(self.request_check(service), f"the result of {service}")
        return self.result(service)

    def result(self, service: str) -> Result:
        """The result of the newest check."""
        told = self._service(service)["last_check_result"]
        return Result(
            state=int(told["state"]),
            output=told["output"],
            performance_data=told["performance_data"],
            command=told["command"],
            check_source=told["check_source"],
        )

    def has(self, kind: str, name: str) -> bool:
        """Tell whether there is such an object: one from another zone may be still under way."""
        try:
            return bool(self._ask("GET", f"objects/{kind}/{name}"))
        except (requests.ConnectionError, RuntimeError):
            return False

    def is_connected(self, endpoint: str) -> bool:
        [answer] = self._ask("GET", f"objects/endpoints/{endpoint}?attrs=connected")
        return bool(answer["attrs"]["connected"])

    def modify(self, kind: str, which: str, **attributes: object) -> None:
        """Change attributes of the objects that the filter `which` finds."""
        self._ask("POST", f"objects/{kind}", {"filter": which, "attrs": attributes})

    def schedule_check(self, service: str, moment: float) -> None:
        """Let the next check be at this moment, in seconds since 1970."""
        self._ask(
            "POST",
            "actions/reschedule-check",
            {"type": "Service", "service": service, "next_check": moment},
        )

    def status(self, component: str) -> dict[str, Any]:
        """What Icinga tells of itself, for instance in its CIB."""
        [answer] = self._ask("GET", f"status/{component}")
        told: dict[str, Any] = answer["status"]
        return told

    def execute(self, script: str) -> Any:
        """What a script in Icinga's language results in."""
        [answer] = self._ask("POST", "console/execute-script", {"command": script})
        return answer["result"]

    def parse_performance_data(self, item: str) -> dict[str, Any]:
        """What Icinga itself reads in one item of performance data."""
        quoted = item.replace("\\", "\\\\").replace('"', '\\"')
        parsed: dict[str, Any] = self.execute(f'parse_performance_data("{quoted}")')
        return parsed

    def written_performance_data(self, host: str) -> list[str]:
        """What Icinga's PerfdataWriter has written of this host's services."""
        lines = [
            line
            for file in (self.directory / "spool" / "perfdata").glob("service-perfdata.*")
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
        fields = [dict(field.partition("::")[::2] for field in line.split("\t")) for line in lines]
        return [found["SERVICEPERFDATA"] for found in fields if found["HOSTNAME"] == host]

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Look until it is so, or the deadline has passed."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} waited for {what}; see {self.directory}/log")
            time.sleep(PAUSE)

    def _service(self, name: str) -> dict[str, Any]:
        host, _, service = name.partition("!")
        [answer] = self._ask("GET", f"objects/services/{host}!{service}")
        attributes: dict[str, Any] = answer["attrs"]
        return attributes

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Sequence[Any]:
        url = f"https://localhost:{self.port}/v1/{path}"
        answer = self._api.request(method, url, json=body, timeout=DEADLINE)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.text}")
        results: Sequence[Any] = answer.json()["results"]
        return results


def processes(word: str) -> list[int]:
    """Return the ids of all processes whose command line, as ps shows it, holds the word."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if word.encode() in arguments:
            found.append(int(process.name))
    return found
