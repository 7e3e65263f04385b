"""Icinga 2 executes the plugin with the shipped configuration, and knows what the plugin says."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from itertools import cycle
from pathlib import Path

import pytest
from icinga_lab import Authority, Icinga, Result, missing_program, processes
from portal_simulator import PASSWORD, STATUS_PATH, USERNAME, PortalSimulator

from check_cqd_integration.options import build_parser

SHIPPED = Path(__file__).parent.parent.parent / "contrib" / "icinga"
COMMAND, SERVICES, AGENT_HOST = (
    SHIPPED / name for name in ("cqd_integration.conf", "services.conf", "agent.conf")
)
AGENT = "agent.example.com"  # as in services.conf
NOW = datetime(2026, 11, 24, 9, 7, tzinfo=timezone.utc)
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
AT_NOW = {"now": NOW.isoformat(), "timezone": "UTC"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    missing = missing_program()
    if missing:
        pytest.skip(f"{missing} is not installed")
    with tempfile.TemporaryDirectory(prefix="icinga-lab-") as place:
        yield Path(place)
        assert processes(place) == []


@pytest.fixture(scope="module")
def plugin(directory: Path) -> Path:
    """The plugin where Icinga looks for it."""
    (directory / "plugins").mkdir()
    link = directory / "plugins" / "check_cqd_integration"
    link.symlink_to(Path(sys.executable).with_name("check_cqd_integration"))
    return link


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    return Authority(directory)


@pytest.fixture(scope="module")
def clock(directory: Path) -> Path:
    """What the clocks of master and agent are ahead by; faketime looks here."""
    file = directory / "clock"
    file.write_text("+0")
    return file


@pytest.fixture(scope="module")
def icinga(directory: Path, plugin: Path, authority: Authority, clock: Path) -> Iterator[Icinga]:
    """The master of a distributed Icinga, with the shipped files where its README puts them."""
    master = Icinga(
        directory / "master",
        "master",
        plugins=plugin.parent,
        authority=authority,
        configuration=f'''
            object Endpoint "{AGENT}" {{ }}
            object Zone "{AGENT}" {{ endpoints = [ "{AGENT}" ]; parent = "master" }}
        ''',
        zones={"global-templates": [COMMAND], "master": [SERVICES, AGENT_HOST]},
        environment=with_clock(clock),
    )
    with master:
        yield master


@pytest.fixture(scope="module")
def portal() -> Iterator[PortalSimulator]:
    with PortalSimulator(clock=lambda: NOW, zone=timezone.utc) as simulator:
        yield simulator


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:  # kept from others, but nobody listens
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A host's name that no other test has."""
    return re.sub(r"\W+", "-", request.node.name).strip("-")


def with_clock(file: Path) -> dict[str, str]:
    """Return the environment of a process whose clock is ahead by what the file says."""
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def variables(options: dict[str, object]) -> dict[str, object]:
    """Return the variables that give the command these options."""
    return {f"cqd_integration_{key.replace('-', '_')}": value for key, value in options.items()}


def by_hand(plugin: Path, options: dict[str, object]) -> Result:
    """Run the plugin with these options, as a person does, and read what it says as Icinga does."""
    arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    done = subprocess.run([plugin, *arguments, "-v"], stdout=subprocess.PIPE, encoding="utf-8")
    first_line, _, rest = done.stdout.rstrip("\n").partition("\n")
    text, _, performance_data = first_line.partition(" | ")
    output = f"{text}\n{rest}" if rest else text
    return Result(done.returncode, output, performance_data.split(), [], "")


def told(result: Result) -> tuple[int, str, list[str]]:
    """Return what must be equal: without the command, and with one response time."""

    def same(text: str) -> str:
        return re.sub(r"[0-9]+\.[0-9]{3}s", "0.001s", text)

    return result.state, same(result.output), [same(item) for item in result.performance_data]


def test_shipped_files_are_accepted_without_a_warning(icinga: Icinga) -> None:
    said = icinga.validate()
    assert "Finished validating the configuration file(s)." in said
    assert [line for line in said.splitlines() if "information/" not in line] == []
