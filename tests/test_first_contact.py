"""The first contact with a portal: the messages alone lead from ``-H PORTAL`` to OK."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import spnego
from expected import SIMULATED_MOMENT, Run
from hang import Hang
from portal_simulator import answer
from raw_server import free_port, raw_server, read_head
from tls_portal import Files, server_tls

PASSWORD = "Passw0rd!"
AT_THAT_MOMENT = ("--now", SIMULATED_MOMENT.isoformat())


class FreshPortal:
    """A portal as it is after its installation: a Windows login (NTLM), and its log turned off."""

    def __init__(self, zone: str, tls: ssl.SSLContext | None) -> None:
        self.zone = ZoneInfo(zone)
        self.has_log = False
        self._tls = tls

    def __call__(self, connection: socket.socket, over: threading.Event) -> None:
        with contextlib.ExitStack() as stack:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                stack.enter_context(connection)
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        login = spnego.server(hostname="localhost", service="http", protocol="ntlm")
        while head := read_head(connection).decode():
            token = re.search("\r\nAuthorization: NTLM (.*)\r\n", head)
            reply = login.step(base64.b64decode(token[1])) if token else None
            body = b""
            if login.complete and self.has_log:
                body = json.dumps(answer("healthy", SIMULATED_MOMENT, self.zone)).encode()
            challenge = f" {base64.b64encode(reply).decode()}" if reply else ""
            offer = "" if login.complete else f"WWW-Authenticate: NTLM{challenge}\r\n"
            code = 200 if login.complete else 401
            headers = f"{offer}Content-Length: {len(body)}\r\n\r\n"
            connection.sendall(f"HTTP/1.1 {code} X\r\n{headers}".encode() + body)


class Administrator:
    """Does what a message says, and nothing else; no message says the same again."""

    def __init__(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run = run
        self._monkeypatch = monkeypatch
        self.remedies: dict[str, Callable[[], tuple[str, ...]]] = {}
        """What to do by the words that ask for it; returns the options to add."""

    def arrive(self, ports: dict[int, int], *options: str) -> list[str]:
        """Return the words that were followed, in their order, until the check was OK."""
        connect = socket.socket.connect

        def mapped(this: socket.socket, address: tuple[str, int]) -> None:
            connect(this, (address[0], ports[address[1]]))

        self._monkeypatch.setattr(socket.socket, "connect", mapped)
        self._monkeypatch.setenv("TZ", "UTC")
        followed: list[str] = []
        while True:
            code, out = self._run("-H", "localhost", *options, *AT_THAT_MOMENT)
            if code == 0:
                return followed
            words = [each for each in self.remedies if each in out]
            assert len(words) == 1, out
            assert words[0] not in followed, out
            followed += words
            options += self.remedies[words[0]]()


@pytest.fixture
def administrator(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Administrator:
    """One who has an account that may read the portal."""
    accounts = tmp_path / "accounts"
    accounts.write_text(f"CQD:monitor:{PASSWORD}\n", encoding="utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(accounts))  # of the portal
    return Administrator(run, monkeypatch)


def give_login(folder: Path) -> tuple[str, ...]:
    file = folder / "password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    file.chmod(0o600)
    return ("--username", "CQD\\monitor", "--password-file", str(file))


def turn_log_on(portal: FreshPortal) -> tuple[str, ...]:
    portal.has_log = True
    return ()


CA_FILE = "its certificate is not trusted; give its CA with --ca-file"
LOGIN = "give --username with --password-file"
LOG = "in QoEDataService/web.config of the portal set QoEDataLib.DebugMode to True"
AHEAD = "is --timezone the portal's zone"
BEHIND = "the timestamps would be fresh if the portal were in UTC-07:00; is --timezone right?"
PLAIN = "If it has no HTTPS, give --http"


def ready(
    administrator: Administrator, portal: FreshPortal, zone: str, words: str, folder: Path
) -> None:
    """Tell the administrator what each message asks for."""
    administrator.remedies |= {
        LOGIN: lambda: give_login(folder),
        LOG: lambda: turn_log_on(portal),
        words: lambda: ("--timezone", zone),
    }


@pytest.mark.parametrize(
    ("zone", "words", "options"),
    [("Asia/Kolkata", AHEAD, ()), ("America/Phoenix", BEHIND, ("-v",))],
)
def test_portal_with_https(
    administrator: Administrator,
    pem_files: Files,
    tmp_path: Path,
    zone: str,
    words: str,
    options: tuple[str, ...],
) -> None:
    portal = FreshPortal(zone, server_tls())
    ready(administrator, portal, zone, words, tmp_path)
    administrator.remedies[CA_FILE] = lambda: ("--ca-file", pem_files.ca)
    with raw_server(portal) as port:
        assert administrator.arrive({443: port}, *options) == [CA_FILE, LOGIN, LOG, words]


def test_portal_as_it_installs_itself(administrator: Administrator, tmp_path: Path) -> None:
    portal = FreshPortal("Asia/Kolkata", None)
    ready(administrator, portal, "Asia/Kolkata", AHEAD, tmp_path)
    administrator.remedies[PLAIN] = lambda: ("--http",)
    with raw_server(portal) as port:
        followed = administrator.arrive({443: free_port(), 80: port})
    assert followed == [PLAIN, LOGIN, LOG, AHEAD]


def lead_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection be made to this port."""
    connect = socket.socket.connect
    monkeypatch.setattr(
        socket.socket, "connect", lambda this, address: connect(this, (address[0], port))
    )


@pytest.mark.parametrize(("options", "advice"), [((), f". {PLAIN}"), (("-p", "443"), "")])
def test_plain_http_is_advised_where_a_firewall_drops_https(
    run: Run, hang: Hang, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], advice: str
) -> None:
    """As that of Windows does with what is for a port where nobody listens."""
    monkeypatch.setattr(socket.socket, "connect", hang)
    told = f"CQD CRITICAL - connecting to 127.0.0.1 port 443: no answer within 60s (-t){advice}\n"
    assert run("-H", "127.0.0.1", *options, "-t", "60") == (2, told)


@pytest.mark.parametrize("options", ["-p 443", "--http", "--proxy http://localhost:443"])
def test_plain_http_is_not_advised_to_who_chose_the_way(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    lead_to(free_port(), monkeypatch)
    code, out = run("-H", "localhost", *options.split())
    assert (code, out.rpartition(": ")[2]) == (2, "connection refused; is the server running?\n")
