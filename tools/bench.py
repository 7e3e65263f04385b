"""`make bench`: what a check costs, as ratios taken in one run.

    python tools/bench.py VENV [--write]

Whole processes of a virtual environment that holds what a user's does, measured from outside and in
turn, so that a noisy machine disturbs all alike; the median of the rounds counts. `--write` puts
the tables into docs/performance.md as well.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import certifi
import trustme
from faults import FAULTS, run
from portal_simulator import DOCUMENTED, STATUS_PATH, PortalSimulator
from tls_portal import hash_of_subject

sys.path.append(str(Path(__file__).parents[1] / "tests" / "acceptance"))
from windows_login_lab import PASSWORDS, WindowsLoginLab, missing_program

ROUNDS = int(os.environ.get("CQD_BENCH_ROUNDS", "15"))
ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
PYZ = ROOT / "dist" / "check_cqd_integration.pyz"
SAMPLE = ROOT / "tests" / "data" / "status-documented.txt"
PLUGIN_NAME = "check_cqd_integration"
BIN = Path(sys.argv[1], "bin").absolute()
PYTHON, PLUGIN, CHECK_JSON = (str(BIN / name) for name in ("python", PLUGIN_NAME, "check_json"))
CHECK_HTTP_JSON = os.environ.get("CHECK_HTTP_JSON")
NAGIOSPLUGIN, FLOOR = "import nagiosplugin", "import nagiosplugin, requests"
PEERS = ("check_json", "check_http_json.py")
GET = "requests.get over https"

_MEASURE = """
import os, sys, time
begin = time.perf_counter()
pid = os.fork()
if not pid:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.execvp(sys.argv[1], sys.argv[1:])
_, _, usage = os.wait4(pid, 0)
print(usage.ru_utime + usage.ru_stime, time.perf_counter() - begin, usage.ru_maxrss)
"""


_VERSIONS = """
import platform
from importlib.metadata import version
packages = [f"{name} {version(name)}" for name in ("nagiosplugin", "requests", "urllib3")]
print(", ".join([f"Python {platform.python_version()}", *packages]))
"""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    cpu: float
    """Seconds, user and system."""
    wall: float
    """Seconds."""
    memory: float
    """The peak, in MiB."""


@dataclass(frozen=True)
class Command:
    """What is measured, and what it may cost."""

    line: Sequence[str]
    environment: dict[str, str] | None = None
    at_most: tuple[float, str] | None = None
    """How many times the CPU time of another command."""


def measure(command: Command) -> Cost:
    """Run a command from a process that is small: a child's peak begins with its parent's size."""
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _MEASURE, *command.line],
        env={**os.environ, **(command.environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    cpu, wall, kibibytes = map(float, process.stdout.split())
    return Cost(cpu, wall, kibibytes / 1024)


def medians(commands: dict[str, Command]) -> dict[str, Cost]:
    taken: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            taken[name].append(measure(command))
    return {
        name: Cost(
            *(
                statistics.median(getattr(cost, what) for cost in costs)
                for what in ("cpu", "wall", "memory")
            )
        )
        for name, costs in taken.items()
    }


def has_bytecode() -> bool:
    """Whether the single file holds some for the Python that is measured."""
    magic = "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"
    of_python = bytes.fromhex(subprocess.check_output([PYTHON, "-c", magic], text=True))
    with zipfile.ZipFile(PYZ) as archive:
        has = archive.read(f"{PLUGIN_NAME}/cli.pyc").startswith(of_python)
    if not has:
        print("skipped: the single file, which another Python built")
    return has


# --- what is measured -----------------------------------------------------------------------------


def local_commands(portal: PortalSimulator) -> dict[str, Command]:
    url = portal.url + STATUS_PATH
    of_nagiosplugin = (1.6, NAGIOSPLUGIN)
    commands = {
        "bare Python": Command([PYTHON, "-c", ""]),
        NAGIOSPLUGIN: Command([PYTHON, "-c", NAGIOSPLUGIN]),
        FLOOR: Command([PYTHON, "-c", FLOOR]),
        "--version": Command([PLUGIN, "--version"], None, of_nagiosplugin),
        "usage error": Command([PLUGIN, "--no-such-option"], None, of_nagiosplugin),
        "--input": Command([PLUGIN, "--input", str(SAMPLE)], None, of_nagiosplugin),
        "poll over http": Command([PLUGIN, "-u", url], None, (1.1, FLOOR)),
    }
    if has_bytecode():
        of_file = {"pyz: --input": ["--input", str(SAMPLE)], "pyz: poll over http": ["-u", url]}
        for name, options in of_file.items():
            goal = (1.3, name.partition(": ")[2])
            commands[name] = Command([PYTHON, str(PYZ), *options], None, goal)
    if os.path.exists(CHECK_JSON):
        checks = ["-f", "successes", ".LastSuccessIntegrations | length", "c1:"]
        commands["check_json"] = Command([CHECK_JSON, *checks, url])
    if CHECK_HTTP_JSON:
        where = ["-H", portal.host, "-P", str(portal.port), "-p", STATUS_PATH.lstrip("/")]
        line = [PYTHON, CHECK_HTTP_JSON, *where, "-e", "LastSuccessIntegrations"]
        commands["check_http_json.py"] = Command(line)
    return commands


def https_commands(stack: ExitStack, folder: Path) -> dict[str, Command]:
    """Both sides trust as they do by default, the system's authorities and those of requests."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    portal = stack.enter_context(PortalSimulator(tls=tls))
    ours = authority.cert_pem.bytes()
    # A copy of the system's authorities, as `update-ca-certificates` leaves them, and of requests'.
    certs = folder / "certs"
    subprocess.run(["cp", "--recursive", "--dereference", "/etc/ssl/certs", certs], check=True)
    (certs / f"{hash_of_subject(ours)}.0").write_bytes(ours)
    bundles = {"SSL_CERT_FILE": certs / "ca-certificates.crt", "REQUESTS_CA_BUNDLE": folder / "ca"}
    shutil.copy(certifi.where(), bundles["REQUESTS_CA_BUNDLE"])
    for bundle in bundles.values():
        with bundle.open("ab") as file:
            file.write(ours)
    environment = {name: str(path) for name, path in bundles.items()}
    environment["SSL_CERT_DIR"] = str(certs)
    url = portal.url.replace("127.0.0.1", "localhost") + STATUS_PATH
    get = f"import requests; requests.get({url!r}).raise_for_status()"
    return {
        GET: Command([PYTHON, "-c", get], environment),
        "poll over https": Command([PLUGIN, "-u", url], environment, (1.0, GET)),
    }


def login_commands(stack: ExitStack, packages: Path) -> dict[str, Command]:
    if os.getuid() != 0 or missing_program():
        print("skipped: logins; their laboratory needs root, and what `make acceptance` installs")
        return {}
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    lab = stack.enter_context(WindowsLoginLab(Path(folder), DOCUMENTED.decode()))
    for name in ("gssapi", "decorator.py"):  # Debian's, without the rest of its packages
        (packages / name).symlink_to(Path("/usr/lib/python3/dist-packages", name))
    password = {**lab.environment, "CQD_PASSWORD": PASSWORDS["monitor"]}
    gssapi = {"PYTHONPATH": str(packages)}
    commands: dict[str, Command] = {}
    acceptors = {
        "http": lab.acceptor(certificate=None),
        "https": lab.acceptor(extended_protection="accept"),
    }
    for scheme, acceptor in acceptors.items():
        line = [PLUGIN, "-u", acceptor.url, "--ca-file", str(lab.ca_file), "-l"]
        key = [*line, "monitor@CQD.TEST", "--keytab", str(lab.keytab)]
        commands |= {
            f"NTLM by pyspnego over {scheme}": Command(
                [*line, r"CQD\monitor"], password, (1.9, FLOOR)
            ),
            f"NTLM by GSSAPI over {scheme}": Command(
                [*line, r"CQD\monitor"], password | gssapi, (1.55, FLOOR)
            ),
            f"Kerberos over {scheme}": Command(key, lab.environment | gssapi, (1.45, FLOOR)),
        }
    return commands


def sized_commands(folder: Path) -> Iterator[tuple[str, Command]]:
    """Answers of growing length, up to about the limit of 1 MiB."""
    now = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
    for count in (5, 50, 500, 5_000, 20_000, 43_000):
        moments = (now - timedelta(minutes=15 * number) for number in range(count))
        timestamps = [moment.strftime("%m/%d/%Y %H:%M:%S") for moment in moments]
        answer = {
            "LastSuccessIntegrations": timestamps,
            "LastSuccessCubeProcessings": timestamps[:1],
            "LastFailedIntegrations": [],
            "LastFailedCubeProcessings": [],
            "LastDataIntegrationStart": None,
            "LastCubeProcessingStart": None,
        }
        path = folder / f"{count}.json"
        path.write_text(json.dumps(answer))
        line = [PLUGIN, "--input", str(path), "--now", now.isoformat(), "--timezone", "UTC"]
        yield f"{count:,} timestamps, {path.stat().st_size / 1024:.1f} KiB", Command(line)


# --- what is told ---------------------------------------------------------------------------------


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = rows
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rest)]


def of_commands(commands: dict[str, Command]) -> list[str]:
    costs = medians(commands)
    peers = [peer for peer in PEERS if peer in costs]
    rows = [["", "CPU", "elapsed", "peak memory", "CPU / the two imports", "memory / them"]]
    rows[0] += [f"CPU / {peer}" for peer in peers] + ["goal"]
    for name, cost in costs.items():
        ratios = [cost.cpu / costs[other].cpu for other in (FLOOR, *peers)]
        ratios.insert(1, cost.memory / costs[FLOOR].memory)
        rows.append(
            [f"`{name}`" if name.startswith(("import", "--")) else name]
            + [f"{cost.cpu * 1000:.0f} ms", f"{cost.wall * 1000:.0f} ms", f"{cost.memory:.0f} MiB"]
            + [f"{ratio:.2f}" for ratio in ratios]
            + [goal(commands[name], cost, costs)]
        )
    return table(rows)


def goal(command: Command, cost: Cost, costs: dict[str, Cost]) -> str:
    if command.at_most is None:
        return ""
    limit, other = command.at_most
    return f"{cost.cpu / costs[other].cpu:.2f} of at most {limit:g} x {other}"


def of_sizes(commands: dict[str, Command]) -> list[str]:
    costs = medians(commands)
    rows = [["", "CPU", "peak memory"]]
    rows += [
        [name, f"{cost.cpu * 1000:.0f} ms", f"{cost.memory:.0f} MiB"]
        for name, cost in costs.items()
    ]
    return table(rows)


def of_faults() -> str:
    outcomes = [(fault, run(fault)[0]) for fault in FAULTS]
    beyond = max(each.seconds - fault.timeout for fault, each in outcomes if fault.lasts)
    ended = max(each.seconds for fault, each in outcomes if not fault.lasts)
    memory = max(each.mebibytes for _, each in outcomes)
    return (
        f"{len(FAULTS)} faults of `tests/support/faults.py`: those that last ended at "
        f"most {beyond:.2f} s after -t, the others within {ended:.2f} s; none took more "
        f"than {memory:.0f} MiB."
    )


def machine() -> str:
    with open("/proc/cpuinfo") as file:
        model = next((line for line in file if line.startswith("model name")), ": unknown")
    versions = subprocess.check_output([PYTHON, "-c", _VERSIONS], text=True).strip()
    cores = f"{model.partition(': ')[2].strip()}, {os.cpu_count()} cores"
    return f"{cores}, {versions}; medians of {ROUNDS} rounds."


def tell(parts: Sequence[str], document: Path, target: str) -> None:
    """Print these lines and, with --write, put them into the document, below its mark."""
    print("\n".join(parts))
    if "--write" in sys.argv:
        text = document.read_text(encoding="utf-8")
        between = f"(?<=<!-- {target} -->\n).*?(?=<!-- end -->)"
        told = "\n" + "\n".join(parts) + "\n\n"
        document.write_text(re.sub(between, lambda _: told, text, flags=re.S), encoding="utf-8")


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        portal = stack.enter_context(PortalSimulator())
        commands = local_commands(portal)
        commands |= https_commands(stack, folder)
        commands |= login_commands(stack, folder)
        parts = [machine(), "", *of_commands(commands), ""]
        parts += [*of_sizes(dict(sized_commands(folder))), "", of_faults()]
    tell(parts, DOCUMENT, "make bench")


if __name__ == "__main__":
    main()
