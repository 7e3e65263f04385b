"""Faults of a real network: name servers, routes, IPv6, and a connection that goes dead.

Each test has a network of its own; what the plugin then prints is compared as a whole.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from expected import (
    AT_DOCUMENTED_MOMENT,
    AT_SIMULATED_MOMENT,
    SIMULATED,
    SIMULATED_MOMENT,
    item,
    masked,
    perfdata,
)
from network_lab import (
    DROPPED,
    DROPPED_6,
    MONITOR,
    NAME_SERVER,
    NOBODY,
    NXDOMAIN,
    PATH,
    PORTAL,
    PORTAL_6,
    PROHIBITED,
    PROHIBITED_6,
    REFUSED,
    SERVFAIL,
    UNREACHABLE,
    UNREACHABLE_6,
    NetworkLab,
    Outcome,
    missing_program,
)
from portal_simulator import DOCUMENTED, PortalSimulator
from raw_server import answering, raw_server, read_head

if missing := missing_program():
    pytest.skip(f"{missing} is not installed", allow_module_level=True)
if os.geteuid() != 0:
    pytest.skip("only root may make a network namespace", allow_module_level=True)

NAME = "portal.test"
ELSEWHERE, ELSEWHERE_6 = "203.0.113.1", "2001:db9::1"  # no route leads there
ASK = ("-H", NAME, "--http")
HEALTHY = (
    "CQD OK - integration: last success 6m 59s ago / cube: last success 5m 29s ago / data: 6m "
    f"59s old | {perfdata(SIMULATED['healthy'])}\n"
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENTED)

LIMIT = 2
MARGIN = 4  # a busy machine takes its time; what nothing bounds takes 10 seconds and more
IN_TIME = ("-t", str(LIMIT))
RAN_OUT = f"no answer within {LIMIT}s (-t)"
NO_NAME_SERVER = "the name servers fail, or do not answer"
NO_ROUTE = "no route to host; is it up, does a firewall forbid it?"
DENIED = "permission denied; does a firewall or SELinux forbid it?"
NO_WAY = "no way from here; a blackhole route, or an address without its zone?"
NO_ADDRESS = "no address or port to connect from; is this host's IPv6 off?"
NO_NETWORK = os.strerror(101)
GONE_DEAD = [
    ("router", "link set cable down"),
    ("monitor", "link set cable down"),
    ("monitor", f"address delete {MONITOR}/24 dev cable"),
    ("router", f"route add blackhole {MONITOR}"),
]

Record = Callable[[str, object], None]


def resolver(options: str = "", server: str = NAME_SERVER) -> str:
    return f"nameserver {server}\n{options}\n"


@contextmanager
def portal(lab: NetworkLab, bind: str = PORTAL) -> Iterator[PortalSimulator]:
    """The healthy portal, at port 80 of the router."""
    with lab.router.inside():
        simulator = PortalSimulator(bind=bind, port=80, clock=lambda: SIMULATED_MOMENT)
    with simulator:
        yield simulator


def without_ipv6(lab: NetworkLab) -> None:
    lab.monitor.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")


def is_critical(outcome: Outcome, message: str) -> None:
    assert outcome[:2] == (2, f"CQD CRITICAL - {message}\n")


def is_unknown(outcome: Outcome, message: str) -> None:
    assert outcome[:2] == (3, f"CQD UNKNOWN - {message}\n")


def is_healthy(outcome: Outcome) -> None:
    assert (outcome.code, masked(outcome.out)) == (0, HEALTHY)


def is_read(outcome: Outcome) -> None:
    """The documented answer was."""
    assert (outcome.code, f" {item('integration_age', 47)} " in outcome.out) == (2, True)


def runs_out(outcome: Outcome, step: str, record: Record) -> None:
    """In time: neither before -t nor long after it."""
    is_critical(outcome, f"{step}: {RAN_OUT}")
    record("overrun", outcome.took - LIMIT)
    assert LIMIT <= outcome.took < LIMIT + MARGIN


# --- the laboratory -------------------------------------------------------------------------------


def this_machine() -> tuple[str, ...]:
    """What a laboratory might have changed of this machine."""
    commands = ("ip address", "ip route", "ip -6 route", "sysctl net.ipv4.ip_forward")
    told = [subprocess.check_output(c.split(), env={"PATH": PATH}, text=True) for c in commands]
    told = [re.sub("(lft|expires) [0-9]+sec", "", text) for text in told]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    told += [place for place in mounts if place in ("/etc", "/run")]
    return (*told, *(os.readlink(f"/proc/thread-self/ns/{kind}") for kind in ("net", "mnt")))


def test_portal_is_found_and_nothing_is_left(tmp_path: Path) -> None:
    before = this_machine()
    with NetworkLab(tmp_path, {NAME: [PORTAL]}) as lab, portal(lab) as asked:
        is_healthy(lab.check(*ASK, *AT_SIMULATED_MOMENT))
        assert len(asked.requests) == 1
        assert this_machine() == before
        keepers = [lab.monitor.pid, lab.router.pid]
    assert this_machine() == before
    assert not [pid for pid in keepers if Path(f"/proc/{pid}").exists()]


def test_portal_is_found_by_ipv6(tmp_path: Path) -> None:
    with (
        NetworkLab(tmp_path, {NAME: [PORTAL_6]}) as lab,
        lab.router.inside(),
        raw_server(answering(HEAD, DOCUMENTED), PORTAL_6, 80),
    ):
        is_read(lab.check(*ASK, *AT_DOCUMENTED_MOMENT))


# --- name lookup ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (NXDOMAIN, "there is no host of this name"),
        (SERVFAIL, NO_NAME_SERVER),
        (REFUSED, NO_NAME_SERVER),
    ],
    ids=["nxdomain", "servfail", "refused"],
)
def test_name_server_that_does_not_tell(tmp_path: Path, code: int, reason: str) -> None:
    with NetworkLab(tmp_path, code) as lab:
        outcome = lab.check(*ASK)
    is_critical(outcome, f"looking up {NAME}: {reason}")
    assert outcome.took < MARGIN


def test_name_without_an_address(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, {NAME: []}) as lab:
        is_critical(lab.check(*ASK), f"looking up {NAME}: there is no host of this name")


def test_name_of_the_proxy(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, {NAME: [PORTAL]}) as lab, portal(lab):
        options = ("--proxy", "http://proxy.test:3128")
        message = "looking up the proxy proxy.test: there is no host of this name"
        is_critical(lab.check(*ASK, *options), message)
        # Whoever gives a proxy need not be able to look up the portal.
        is_healthy(
            lab.check("-H", "x.test", "--http", "--proxy", f"http://{NAME}", *AT_SIMULATED_MOMENT)
        )


@pytest.mark.parametrize(
    "resolv_conf",
    [resolver(), "", resolver(server=ELSEWHERE)],
    ids=["nobody listens", "none given", "no route to it"],
)
def test_no_name_server(tmp_path: Path, resolv_conf: str) -> None:
    with NetworkLab(tmp_path, name_server=False, resolv_conf=resolv_conf) as lab:
        outcome = lab.check(*ASK)
    is_critical(outcome, f"looking up {NAME}: {NO_NAME_SERVER}")
    assert outcome.took < MARGIN


@pytest.mark.parametrize(
    "resolv_conf",
    [
        resolver(),
        resolver(server=DROPPED),
        resolver(server=UNREACHABLE),  # the C library takes no notice of this
        3 * resolver(server=DROPPED),
        resolver("options use-vc", DROPPED),
    ],
    ids=["silent", "dropped", "unreachable", "three", "tcp"],
)
def test_name_server_that_never_answers(
    tmp_path: Path, resolv_conf: str, record_property: Record
) -> None:
    with NetworkLab(tmp_path, None, resolv_conf=resolv_conf) as lab:
        outcome = lab.check(*ASK, *IN_TIME)
    runs_out(outcome, f"looking up {NAME}", record_property)


def test_resolver_that_gives_up_before_the_limit(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, None, resolv_conf=resolver("options timeout:1 attempts:1")) as lab:
        is_critical(lab.check(*ASK, "-t", "60"), f"looking up {NAME}: {NO_NAME_SERVER}")


def test_second_name_server_answers(tmp_path: Path) -> None:
    servers = resolver("options timeout:1", DROPPED) + resolver()
    with NetworkLab(tmp_path, {NAME: [PORTAL]}, resolv_conf=servers) as lab, portal(lab):
        is_healthy(lab.check(*ASK, *AT_SIMULATED_MOMENT, "-t", "60"))


# --- several addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize("dead", [DROPPED_6, UNREACHABLE_6, PROHIBITED_6, ELSEWHERE_6, PORTAL_6])
def test_ipv4_if_ipv6_fails(tmp_path: Path, dead: str) -> None:
    # Nobody listens at PORTAL_6.
    with NetworkLab(tmp_path, {NAME: [dead, PORTAL]}) as lab, portal(lab):
        outcome = lab.check(*ASK, *AT_SIMULATED_MOMENT, "-t", "8")
    is_healthy(outcome)
    if dead == DROPPED_6:  # it was asked first, and had half of the time
        assert 3.9 < outcome.took < 8


def test_host_without_ipv6(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, {NAME: [PORTAL_6, PORTAL], "6.test": [PORTAL_6]}) as lab:
        without_ipv6(lab)
        # Not that IPv6 is off, which is no fault while there is IPv4.
        reason = "connection refused; is the server running?"
        is_critical(lab.check(*ASK), f"connecting to {NAME} port 80: {reason}")
        is_unknown(lab.check("-H", "6.test"), f"connecting to 6.test port 443: {NO_ADDRESS}")
        with portal(lab):
            outcome = lab.check(*ASK, *AT_SIMULATED_MOMENT)
    is_healthy(outcome)
    assert outcome.took < MARGIN


def test_share_of_an_address_while_ipv6_is_off(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, {NAME: [PORTAL_6, DROPPED]}) as lab:
        without_ipv6(lab)
        outcome = lab.check(*ASK, *IN_TIME)
    is_critical(outcome, f"connecting to {NAME} port 80: connection timed out")


def test_host_without_a_free_port(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, {NAME: [PORTAL]}) as lab, portal(lab):
        lab.monitor.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001")
        with ExitStack() as taken:
            with lab.monitor.inside():
                for port in (40000, 40001):
                    taken.enter_context(socket.create_server(("", port)))
            is_unknown(lab.check(*ASK), f"connecting to {NAME} port 80: {NO_ADDRESS}")
        is_healthy(lab.check(*ASK, *AT_SIMULATED_MOMENT))


def test_many_dead_addresses(tmp_path: Path, record_property: Record) -> None:
    dead = [f"{prefix}{n}" for prefix in ("198.51.100.", "2001:db8:1::") for n in range(101, 111)]
    with NetworkLab(tmp_path, {NAME: dead}) as lab:
        lab.router.ip("route add blackhole 198.51.100.0/24", "route add blackhole 2001:db8:1::/64")
        outcome = lab.check(*ASK, *IN_TIME)
    runs_out(outcome, f"connecting to {NAME} port 80", record_property)


# --- the way --------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [DROPPED, DROPPED_6])
def test_packets_that_are_dropped(tmp_path: Path, address: str, record_property: Record) -> None:
    with NetworkLab(tmp_path, {NAME: [address]}) as lab:
        outcome = lab.check(*ASK, *IN_TIME)
    runs_out(outcome, f"connecting to {NAME} port 80", record_property)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (UNREACHABLE, NO_ROUTE),
        (UNREACHABLE_6, NO_NETWORK),
        (PROHIBITED, NO_ROUTE),
        (PROHIBITED_6, DENIED),
        (NOBODY, NO_ROUTE),
        (ELSEWHERE, NO_NETWORK),
        (ELSEWHERE_6, NO_NETWORK),
    ],
)
def test_address_that_cannot_be_reached(tmp_path: Path, address: str, reason: str) -> None:
    with NetworkLab(tmp_path, {NAME: [address]}) as lab:
        outcome = lab.check(*ASK, "-t", "30")
    is_critical(outcome, f"connecting to {NAME} port 80: {reason}")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("unreachable", NO_ROUTE),
        ("prohibit", DENIED),
        ("blackhole", NO_WAY),
        ("throw", NO_NETWORK),
    ],
)
@pytest.mark.parametrize("address", [ELSEWHERE, ELSEWHERE_6])
def test_route_of_this_host(tmp_path: Path, address: str, kind: str, reason: str) -> None:
    with NetworkLab(tmp_path, {NAME: [address]}) as lab:
        lab.monitor.ip(f"route add {kind} {address}")
        outcome = lab.check(*ASK)
    is_critical(outcome, f"connecting to {NAME} port 80: {reason}")
    assert outcome.took < MARGIN


def test_link_local_address_without_its_zone(tmp_path: Path) -> None:
    with NetworkLab(tmp_path) as lab:
        is_critical(lab.check("-H", "fe80::1"), f"connecting to fe80::1 port 443: {NO_WAY}")


def test_limit_of_the_system_is_shorter(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, {NAME: [DROPPED]}) as lab:
        lab.monitor.run("sysctl", "-qw", "net.ipv4.tcp_syn_retries=1")
        outcome = lab.check(*ASK, "-t", "60")
    is_critical(outcome, f"connecting to {NAME} port 80: connection timed out")


def test_no_network_at_all(tmp_path: Path) -> None:
    with NetworkLab(tmp_path, {NAME: [PORTAL]}) as lab:
        lab.monitor.ip("link set cable down")
        is_critical(lab.check(*ASK), f"connecting to {NAME} port 80: {NO_NETWORK}")


# --- a connection that goes dead ------------------------------------------------------------------


@pytest.mark.parametrize("fault", GONE_DEAD, ids=[" ".join(fault) for fault in GONE_DEAD])
@pytest.mark.parametrize(
    ("before", "step"),
    [
        (HEAD + DOCUMENTED[:200], "reading the answer of"),
        (HEAD[:20], "waiting for the answer of"),
        (b"", "waiting for the answer of"),
    ],
    ids=["body", "head", "request"],
)
def test_connection_that_goes_dead(
    tmp_path: Path, before: bytes, step: str, fault: tuple[str, str], record_property: Record
) -> None:
    died = threading.Event()

    def handler(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(before)
        while unacknowledged(connection):
            time.sleep(0.01)
        host, line = fault
        {"router": lab.router, "monitor": lab.monitor}[host].ip(line)
        died.set()
        connection.sendall((HEAD + DOCUMENTED)[len(before) :])  # nobody gets it
        over.wait()

    with (
        NetworkLab(tmp_path, {NAME: [PORTAL]}) as lab,
        lab.router.inside(),
        raw_server(handler, PORTAL, 80),
    ):
        outcome = lab.check(*ASK, *IN_TIME)
    assert died.is_set()
    runs_out(outcome, f"{step} {NAME}", record_property)


def test_connection_that_goes_dead_before_tls(tmp_path: Path, record_property: Record) -> None:
    def handler(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(1)
        lab.router.ip("link set cable down")
        over.wait()

    with (
        NetworkLab(tmp_path, {NAME: [PORTAL]}) as lab,
        lab.router.inside(),
        raw_server(handler, PORTAL, 443),
    ):
        outcome = lab.check("-H", NAME, *IN_TIME)
    runs_out(outcome, f"TLS with {NAME}", record_property)


def test_connection_that_comes_back_in_time(tmp_path: Path) -> None:
    def handler(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        lab.router.ip("link set cable down")
        connection.sendall(HEAD + DOCUMENTED)  # TCP sends it again
        time.sleep(1)
        lab.router.ip("link set cable up")
        over.wait()

    with (
        NetworkLab(tmp_path, {NAME: [PORTAL]}) as lab,
        lab.router.inside(),
        raw_server(handler, PORTAL, 80),
    ):
        outcome = lab.check(*ASK, *AT_DOCUMENTED_MOMENT, "-t", "60")
    is_read(outcome)


def unacknowledged(connection: socket.socket) -> int:
    """How many bytes the other side has not confirmed yet (SIOCOUTQ, see tcp(7))."""
    count: int = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
    return count
