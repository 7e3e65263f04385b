"""A network of one's own: a monitoring host, a cable, and a router that is the portal as well.

Both hosts are network namespaces of Linux: nothing of this machine's network is seen or changed,
and all is gone with the `with` block. Debian packages: iproute2 procps (sysctl), and util-linux
(unshare, nsenter, setpriv), which is always there.

    with NetworkLab(directory, {"portal.test": [PORTAL]}) as lab:
        with lab.router.inside():
            portal = PortalSimulator(bind=PORTAL, port=80)
        with portal:
            outcome = lab.check("-H", "portal.test", "--http")

On the monitoring host /etc holds only what says how names are looked up, and whom TLS trusts, and
/run nothing, so that no resolver outside is asked. All names are the lab's own.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NEEDED_PROGRAMS = ("ip", "nsenter", "setpriv", "sysctl", "unshare")
PLUGIN = Path(sysconfig.get_path("scripts"), "check_cqd_integration")
PATIENCE = 60  # seconds until a command that does not end fails the test

MONITOR, PORTAL = "192.0.2.1", "192.0.2.2"
MONITOR_6, PORTAL_6 = "2001:db8::1", "2001:db8::2"
NOBODY = "192.0.2.99"  # on the cable, and nobody answers ARP
# Beyond the router, and what it does with packets to there.
DROPPED, DROPPED_6 = "198.51.100.1", "2001:db8:1::1"
UNREACHABLE, UNREACHABLE_6 = "198.51.100.2", "2001:db8:1::2"
PROHIBITED, PROHIBITED_6 = "198.51.100.3", "2001:db8:1::3"

NAME_SERVER = "127.0.0.1"
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5  # RFC 1035, section 4.1.1


def missing_program() -> str | None:
    """The first program that the laboratory needs and the machine lacks."""
    return next((name for name in NEEDED_PROGRAMS if not shutil.which(name, path=PATH)), None)


class Outcome(NamedTuple):
    """What came of one check; ``took`` is in seconds, the start of Python included."""

    code: int
    out: str
    took: float


class Host:
    """A network and a mount namespace, and one for the host's name; they end with the block."""

    pid: int
    """Of the process that keeps the namespaces; it ends even if the tests are killed."""
    unshared: tuple[str, ...] = ("--net", "--mount", "--uts")
    """The options of unshare."""
    environment: Mapping[str, str] = {"PATH": PATH}

    def __enter__(self) -> Host:
        self._keeper = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "unshare", *self.unshared),
                *("sh", "-c", "echo; read end_of_input"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": PATH},
        )
        self.pid = self._keeper.pid
        assert self._keeper.stdout
        if not self._keeper.stdout.readline():
            self.__exit__()
            raise RuntimeError("unshare failed")
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.communicate(timeout=PATIENCE)  # closes its input

    def command(self, *command: str) -> list[str]:
        """Return the command that runs this one here."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--uts", *command]

    def run(self, *command: str, input: str = "") -> str:
        """Run a command and return what it prints; raises RuntimeError with that if it fails."""
        done = subprocess.run(
            self.command(*command),
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=self.environment,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"{command} {input}: {done.stdout}")
        return done.stdout

    def ip(self, *lines: str) -> None:
        """Do what these lines tell the program ip."""
        self.run("ip", "-batch", "-", input="\n".join(lines))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread, and threads that it starts meanwhile, make their sockets here."""
        with open("/proc/thread-self/ns/net") as before, open(f"/proc/{self.pid}/ns/net") as here:
            _enter(here.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())


def _enter(namespace: int) -> None:
    """os.setns, which Python has only from version 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")


class NetworkLab:
    """The two hosts; the monitoring host asks a name server of its own for these names.

    `names` are addresses by name, or a response code for every name, or None for a name server
    that never answers. `name_server=False` is for port 53 with nobody there.
    """

    def __init__(
        self,
        directory: Path,
        names: Mapping[str, Sequence[str]] | int | None = NXDOMAIN,
        *,
        name_server: bool = True,
        resolv_conf: str = f"nameserver {NAME_SERVER}\n",
    ) -> None:
        self.monitor, self.router = Host(), Host()
        self._etc = directory / "etc"
        self._names = names
        self._has_name_server = name_server
        self._resolv_conf = resolv_conf
        self._stack = ExitStack()

    def __enter__(self) -> NetworkLab:
        try:
            self._stack.enter_context(self.monitor)
            self._stack.enter_context(self.router)
            self._connect()
            self._hide_files()
            if self._has_name_server:
                with self.monitor.inside():
                    self._stack.enter_context(name_server(self._names))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def check(self, *options: str) -> Outcome:
        """Run the plugin on the monitoring host, as its process would be, and time it."""
        began = time.monotonic()
        done = subprocess.run(
            self.monitor.command(str(PLUGIN), *options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={"PATH": PATH},
            timeout=PATIENCE,
        )
        took = time.monotonic() - began
        assert done.stderr == ""
        return Outcome(done.returncode, done.stdout, took)

    def _connect(self) -> None:
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.monitor.ip(
            "link set lo up",
            f"link add cable type veth peer name cable netns {self.router.pid}",
            "link set cable up",
            f"address add {MONITOR}/24 dev cable",
            f"address add {MONITOR_6}/64 dev cable nodad",
        )
        self.router.ip(
            "link set lo up",
            "link set cable up",
            f"address add {PORTAL}/24 dev cable",
            f"address add {PORTAL_6}/64 dev cable nodad",
            *(f"route add blackhole {address}" for address in (DROPPED, DROPPED_6)),
            *(f"route add unreachable {address}" for address in (UNREACHABLE, UNREACHABLE_6)),
            *(f"route add prohibit {address}" for address in (PROHIBITED, PROHIBITED_6)),
        )
        self.monitor.ip(
            f"route add 198.51.100.0/24 via {PORTAL}",
            f"route add 2001:db8:1::/48 via {PORTAL_6}",
        )

    def _hide_files(self) -> None:
        self._etc.mkdir()
        for name, content in {
            "hosts": "127.0.0.1 localhost\n",
            "nsswitch.conf": "hosts: files dns\n",
            "resolv.conf": self._resolv_conf,
        }.items():
            (self._etc / name).write_text(content)
        (self._etc / "ssl").mkdir()
        self.monitor.run("mount", "--bind", "/etc/ssl", str(self._etc / "ssl"))
        self.monitor.run("mount", "--rbind", str(self._etc), "/etc")
        self.monitor.run("mount", "-t", "tmpfs", "none", "/run")


@contextmanager
def name_server(names: Mapping[str, Sequence[str]] | int | None) -> Iterator[None]:
    """Answer questions for A and AAAA (RFC 1035, 3596); see NetworkLab for `names`."""

    def reply(question: bytes) -> bytes:
        end, labels = 12, []
        while length := question[end]:
            labels.append(question[end + 1 : end + 1 + length].decode())
            end += 1 + length
        [kind] = struct.unpack_from(">H", question, end + 1)
        known = {} if isinstance(names, int) or names is None else names
        addresses = [
            address.packed
            for address in map(ipaddress.ip_address, known.get(".".join(labels), ()))
            if kind == {4: 1, 6: 28}[address.version]
        ]
        code = names if isinstance(names, int) else 0 if ".".join(labels) in known else NXDOMAIN
        head = question[:2] + struct.pack(">5H", 0x8580 | code, 1, len(addresses), 0, 0)
        records = (
            struct.pack(">3HIH", 0xC00C, kind, 1, 60, len(packed)) + packed for packed in addresses
        )
        return head + question[12 : end + 5] + b"".join(records)

    def serve() -> None:
        while True:
            question, client = server.recvfrom(512)
            if not question:
                return
            if names is not None:
                server.sendto(reply(question), client)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((NAME_SERVER, 53))
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            # A datagram of nothing, from where it listens: it ends the thread.
            server.sendto(b"", (NAME_SERVER, 53))
            thread.join()
