"""A private Nagios 4 and a private NRPE: own directory, loopback, no systemd, nothing in /etc.

Debian packages: nagios4-core nagios-nrpe-server nagios-nrpe-plugin monitoring-plugins-basic.

    with running_nagios(directory, objects, macros) as nagios:
        outcome = nagios.check("host", "service")
    with running_nrpe(directory, "command[check]=/bin/echo OK") as nrpe:
        outcome = nrpe.check("check")
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from private_daemons import free_port

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CHECK_NRPE = Path("/usr/lib/nagios/plugins/check_nrpe")
NEEDED_PROGRAMS = ("nagios4", "nrpe", "setpriv", str(CHECK_NRPE))
DEADLINE = 20.0  # seconds for a daemon to listen, to check or to end

# What Debian gives to every Nagios: the templates, contacts and commands that objects may use.
DEBIAN_OBJECTS = (
    "/etc/nagios-plugins/config/ping.cfg",
    *(
        f"/etc/nagios4/objects/{name}.cfg"
        for name in ("commands", "contacts", "templates", "timeperiods")
    ),
)


def missing_program() -> str | None:
    """The first thing that the laboratory needs and the machine lacks."""
    return next((name for name in NEEDED_PROGRAMS if not shutil.which(name, path=PATH)), None)


class Outcome(NamedTuple):
    """What a check gave, as a monitoring system takes it apart."""

    state: int
    output: str
    long_output: str
    perfdata: str

    @classmethod
    def printed(cls, state: int, text: str) -> Outcome:
        """Take apart what a plugin printed."""
        line, _, long_output = text.rstrip("\n").partition("\n")
        output, _, perfdata = line.partition("|")
        return cls(state, output.strip(), long_output, perfdata.strip())


class Nagios:
    """A running Nagios, which checks nothing unless it is told to."""

    def __init__(self, directory: Path) -> None:
        self._command_file = directory / "nagios.cmd"
        self._status_file = directory / "status.dat"

    def is_up(self) -> bool:
        return self._command_file.is_fifo() and self._status_file.exists()

    def check(self, host: str, service: str) -> Outcome:
        """Force a check through the command file, and read its result in status.dat."""
        last = self._last_check(host, service)
        wait_until(lambda: time.time() >= last + 1)  # Nagios counts in whole seconds
        now = int(time.time())
        command = f"[{now}] SCHEDULE_FORCED_SVC_CHECK;{host};{service};{now}\n"
        self._command_file.write_text(command, encoding="utf-8")
        wait_until(lambda: self._last_check(host, service) >= now)
        status = self._status(host, service)
        return Outcome(
            int(status["current_state"]),
            status["plugin_output"],
            status["long_plugin_output"].replace(r"\n", "\n").replace(r"\\", "\\"),
            status["performance_data"],
        )

    def _last_check(self, host: str, service: str) -> int:
        return int(self._status(host, service)["last_check"])

    def _status(self, host: str, service: str) -> dict[str, str]:
        text = self._status_file.read_text("utf-8")
        for body in re.findall(r"^servicestatus \{\n(.*?)^\t\}", text, re.MULTILINE | re.DOTALL):
            values = dict(line.strip().split("=", 1) for line in body.splitlines())
            if (values["host_name"], values["service_description"]) == (host, service):
                return values
        raise LookupError(f"{host}, {service}")


def write_nagios_configuration(
    directory: Path, objects: tuple[Path, ...], macros: Mapping[str, object], *settings: str
) -> Path:
    """Write a nagios.cfg for these files of objects; macros are those of the resource file."""
    for name in ("checkresults", "archives", "tmp"):
        (directory / name).mkdir()
    resources = [f"${name}$={value}" for name, value in macros.items()]
    _write(directory / "resource.cfg", *resources)
    main_file = directory / "nagios.cfg"
    _write(
        main_file,
        *(f"cfg_file={file}" for file in (*DEBIAN_OBJECTS, *objects)),
        f"resource_file={directory}/resource.cfg",
        f"log_file={directory}/nagios.log",
        f"object_cache_file={directory}/objects.cache",
        f"precached_object_file={directory}/objects.precache",
        f"status_file={directory}/status.dat",
        f"temp_file={directory}/nagios.tmp",
        f"temp_path={directory}/tmp",
        f"lock_file={directory}/nagios.pid",
        f"command_file={directory}/nagios.cmd",
        f"query_socket={directory}/nagios.qh",
        f"check_result_path={directory}/checkresults",
        f"state_retention_file={directory}/retention.dat",
        f"log_archive_path={directory}/archives",
        f"debug_file={directory}/nagios.debug",
        f"nagios_user={pwd.getpwuid(os.geteuid()).pw_name}",
        f"nagios_group={grp.getgrgid(os.getegid()).gr_name}",
        "use_syslog=0",
        "check_external_commands=1",
        "check_for_updates=0",
        "check_workers=1",
        "check_result_reaper_frequency=1",
        "status_update_interval=1",
        "execute_host_checks=0",
        "execute_service_checks=0",  # but for forced ones
        "enable_notifications=0",
        "service_check_timeout=60",
        "illegal_object_name_chars=`~!$%^&*|'\"<>?,()=",
        "illegal_macro_output_chars=`~$&|'\"<>",
        *settings,
    )
    return main_file


def verify(main_file: Path) -> str:
    """What `nagios4 -v` says of a configuration."""
    command = ["nagios4", "-v", str(main_file)]
    done = subprocess.run(command, env={"PATH": PATH}, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@contextmanager
def running_nagios(
    directory: Path, objects: tuple[Path, ...], macros: Mapping[str, object], *settings: str
) -> Iterator[Nagios]:
    main_file = write_nagios_configuration(directory, objects, macros, *settings)
    nagios = Nagios(directory)
    with _running(["nagios4", str(main_file)], directory / "nagios.out", nagios.is_up):
        yield nagios


class Nrpe:
    """A running NRPE."""

    def __init__(self, port: int) -> None:
        self.port = port

    def is_up(self) -> bool:
        return self._ask().returncode == 0

    def check(self, command: str) -> Outcome:
        """Let it run a command of its configuration."""
        done = self._ask("-t", "20", "-c", command)
        return Outcome.printed(done.returncode, done.stdout)

    def _ask(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [str(CHECK_NRPE), "-H", "127.0.0.1", "-p", str(self.port), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def running_nrpe(directory: Path, commands: str) -> Iterator[Nrpe]:
    as_user: list[str] = []
    if os.geteuid() == 0:
        # NRPE does not run as root. The capability is for a checkout that only root can enter.
        as_user += ["--reuid", "nagios", "--regid", "nagios", "--init-groups"]
        as_user += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    nrpe = Nrpe(free_port())
    settings = directory / "nrpe.cfg"
    _write(
        settings,
        f"pid_file={directory}/nrpe.pid",
        f"log_file={directory}/nrpe.log",
        "disable_syslog=1",
        "server_address=127.0.0.1",
        f"server_port={nrpe.port}",
        "allowed_hosts=127.0.0.1",
        "dont_blame_nrpe=0",
        commands,
    )
    command = [*as_user, "nrpe", "-c", str(settings), "-f"]
    with _running(command, directory / "nrpe.out", nrpe.is_up):
        yield nrpe


@contextmanager
def _running(command: list[str], output: Path, is_up: Callable[[], bool]) -> Iterator[None]:
    """Run a daemon in the foreground, from when it is up until the block ends."""
    with output.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],  # ends even if the tests are killed
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    try:

        def is_up_or_ended() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended: {output.read_text('utf-8')}")
            return is_up()

        wait_until(is_up_or_ended)
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {DEADLINE:.0f}s")
        time.sleep(0.02)


def _write(file: Path, *lines: str) -> None:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file.chmod(0o644)  # whatever the umask, for the user nagios
