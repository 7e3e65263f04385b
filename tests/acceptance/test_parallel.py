"""A thousand checks, 32 at a time, against one portal: none gets another's answer, none is left.

What a monitoring system that starts many checks at once may count on.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from expected import AT_SIMULATED_MOMENT, SIMULATED, SIMULATED_MOMENT, masked, perfdata
from portal_simulator import STATUS_PATH, PortalSimulator

CHECKS = 1000
AT_ONCE = 32
PATIENCE = 120  # seconds, for one check on a busy machine
SETTLING = 10  # seconds in which the simulator notices that its clients have gone
PLUGIN = os.path.join(sysconfig.get_path("scripts"), "check_cqd_integration")
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

DISABLED = "in QoEDataService/web.config of the portal set QoEDataLib.DebugMode to True"


def graded(scenario: str, text: str) -> str:
    """Return the line of a scenario that can be graded; the response time reads 0.001s."""
    return f"{text} | {perfdata(SIMULATED[scenario])}"


EXPECTED = {
    "healthy": (
        0,
        graded(
            "healthy",
            "OK - integration: last success 6m 59s ago / cube: last success 5m 29s ago / data: 6m "
            "59s old",
        ),
    ),
    "late": (
        1,
        graded(
            "late",
            "WARNING - integration: last success 36m 52s ago (limit 30m), no failures since / cube "
            "ok, last success 50m 13s ago, running for 36m 49s",
        ),
    ),
    "failing": (
        2,
        graded(
            "failing",
            "CRITICAL - cube: last success 5h 5m ago (limit 2h), at least 5 failures since (limit "
            "2), newest failure 56s ago (within 30m) / integration ok, last success 6m 59s ago",
        ),
    ),
    "recovered": (
        1,
        graded(
            "recovered",
            "WARNING - cube: newest failure 15m 50s ago (within 30m), last success 5m 29s ago, "
            "no failures since / integration ok, last success 6m 59s ago",
        ),
    ),
    "clock-behind": (
        1,
        graded(
            "clock-behind",
            "WARNING - clock: this host is 10m ahead of the portal (limit 5m) / integration ok, "
            "last success 21m 53s ago / cube ok, last success 20m 27s ago",
        ),
    ),
    "disabled": (3, f"UNKNOWN - the portal's integration log is disabled; {DISABLED}"),
    "html": (
        3,
        "UNKNOWN - the answer is a web page, not JSON; is this the CQD portal, and its address "
        "right?",
    ),
    "broken-json": (
        3,
        "UNKNOWN - the answer is broken JSON at line 1 column 52: Expecting value",
    ),
    "huge": (3, "UNKNOWN - the answer is larger than 1 MiB, and is not read"),
    "http-401": (
        3,
        "UNKNOWN - HTTP 401: the portal wants a login and offers Negotiate, NTLM; give --username "
        "with --password-file (NTLM) or --keytab (Kerberos)",
    ),
    "http-503": (2, "CRITICAL - HTTP 503 Service Unavailable: the portal cannot answer now"),
    "close": (
        2,
        "CRITICAL - waiting for the answer of 127.0.0.1: the connection was closed by the other "
        "side",
    ),
    "slow": (2, "CRITICAL - reading the answer of 127.0.0.1: no answer within 10s (-t)"),
}
TIMEOUT = {"slow": "10"}


class Held(NamedTuple):
    """What this process, in which the simulator runs as well, holds."""

    descriptors: int
    threads: int
    children: int


def held() -> Held:
    return Held(len(os.listdir("/proc/self/fd")), threading.active_count(), len(list(children())))


def children() -> Iterator[str]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has just ended
            continue
        if parent == str(os.getpid()):
            yield stat.parent.name


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Become the parent of what a child starts and leaves behind, so that it is counted."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def scenario_of(number: int) -> str:
    return list(EXPECTED)[number % len(EXPECTED)]


def check(portal: PortalSimulator, number: int) -> tuple[str, int, str, str]:
    """Run one check in a process of its own; return the scenario, and what came of it."""
    scenario = scenario_of(number)
    done = subprocess.run(
        [
            *(PLUGIN, "-u", f"{portal.url}/{scenario}{STATUS_PATH}?check={number}"),
            *("-t", TIMEOUT.get(scenario, "60")),
            *AT_SIMULATED_MOMENT,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={"PATH": os.environ["PATH"]},
        timeout=PATIENCE,
    )
    return scenario, done.returncode, masked(done.stdout), done.stderr


def test_a_thousand_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[Any] = []
    accept = PortalSimulator.get_request

    def counted(self: PortalSimulator) -> tuple[Any, Any]:
        connection, client = accept(self)
        connections.append(client)
        return connection, client

    monkeypatch.setattr(PortalSimulator, "get_request", counted)
    with (
        adopting_orphans(),
        PortalSimulator(clock=lambda: SIMULATED_MOMENT, zone=timezone.utc) as portal,
    ):
        before = held()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = Counter(pool.map(lambda number: check(portal, number), range(CHECKS)))
        deadline = time.monotonic() + SETTLING
        while held() != before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert held() == before
        requests = list(portal.requests)

    assert outcomes == Counter(
        (scenario, code, f"CQD {line}\n", "")
        for scenario in map(scenario_of, range(CHECKS))
        for code, line in [EXPECTED[scenario]]
    )
    # Each asked once, on one connection, and nobody asked for another.
    assert len(connections) == len(requests) == CHECKS
    assert sorted(int(urlsplit(r.path).query.removeprefix("check=")) for r in requests) == list(
        range(CHECKS)
    )
