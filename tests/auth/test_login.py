"""Logging in: basic against a real server, NTLM against pyspnego's own server side."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest
import requests_mock
import spnego
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from expected import (
    AT_DOCUMENTED_MOMENT,
    DOCUMENTED_MOMENT,
    OVER_THE_NETWORK,
    URL,
    WITHOUT_DATE,
    Run,
    url_of,
)
from portal_simulator import DOCUMENTED, STATUS_PATH, PortalSimulator
from raw_server import raw_server, read_head, tunnel
from spnego.channel_bindings import GssChannelBindings

from check_cqd_integration.auth.channel_binding import channel_binding

CA = trustme.CA()
LOCALHOST = CA.issue_cert("localhost")
PASSWORD = "p\u00e4ss|w\u00f6rd \u20ac"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def basic_portal() -> Iterator[PortalSimulator]:
    """A portal that lets in monitor with Passw0rd! only."""
    with PortalSimulator("basic", clock=lambda: DOCUMENTED_MOMENT, zone=timezone.utc) as portal:
        yield portal


def unknown(message: str) -> tuple[int, str]:
    return 3, f"CQD UNKNOWN - {message}\n"


def authorizations(portal: PortalSimulator) -> list[str | None]:
    return [request.headers.get("Authorization") for request in portal.requests]


@pytest.mark.parametrize("auth", ["auto", "basic", ""])
def test_basic_login(run: Run, basic_portal: PortalSimulator, tmp_path: Path, auth: str) -> None:
    password = tmp_path / "password"
    password.write_text("Passw0rd!\n")
    password.chmod(0o600)
    options = ("-l", "monitor", "--password-file", str(password), "--insecure", "--auth", auth)
    code, out = run("-u", url_of(basic_portal), *options, "-vvv", *AT_DOCUMENTED_MOMENT)
    assert code == 0
    assert authorizations(basic_portal) == [None, basic("monitor", "Passw0rd!")]
    assert len({request.client_port for request in basic_portal.requests}) == 1
    for secret in ("Passw0rd!", basic("monitor", "Passw0rd!").split()[1]):
        assert secret not in out


def test_name_is_looked_up_once(
    run: Run, basic_portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    look_up = socket.getaddrinfo

    def counted(host: str, *more: Any, **named: Any) -> Any:
        asked.append(host)
        return look_up(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    monkeypatch.setenv("CQD_PASSWORD", "Passw0rd!")
    url = url_of(basic_portal).replace("127.0.0.1", "localhost")
    assert run("-u", url, "-l", "monitor", "--insecure", *AT_DOCUMENTED_MOMENT)[0] == 0
    assert asked == ["localhost"]


def test_password_is_not_sent_unless_asked_for(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)
    options = ("--auth", "basic", "-l", "monitor", *AT_DOCUMENTED_MOMENT)
    assert run("-u", url_of(portal), *options) == (2, OVER_THE_NETWORK)
    assert authorizations(portal) == [None]


def test_password_of_basic_is_utf_8(
    run: Run, basic_portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)
    run("-u", url_of(basic_portal), "-l", r"DOM\monitor", "--insecure")
    assert authorizations(basic_portal) == [None, basic(r"DOM\monitor", PASSWORD)]


def test_wrong_password_is_one_attempt(
    run: Run, basic_portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "wrong")
    assert run("-u", url_of(basic_portal), "-l", "monitor", "--insecure") == unknown(
        "logging in to 127.0.0.1 as monitor: HTTP 401 to Basic (of Basic); wrong password, "
        "locked or expired account, or group, see --auth"
    )
    assert authorizations(basic_portal) == [None, basic("monitor", "wrong")]


def test_basic_is_one_attempt_even_if_a_token_comes_back(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "wrong")
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=401, headers={"WWW-Authenticate": "Basic YQ=="})
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            "logging in to cqd.example.com as monitor: HTTP 401 to Basic (of Basic); wrong "
            "password, locked or expired account, or group, see --auth"
        )
        assert mocked.call_count == 2


def test_user_who_may_not_read(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "right")
    assert run("-u", url_of(portal, "http-403"), "-l", "monitor") == unknown(
        "HTTP 403: access is forbidden, and no login offered; does the site require HTTPS (leave "
        "out --http), a client certificate, or another address than this host's?"
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (bytes(1024 * 1024 + 1), "the answer is larger than 1 MiB, and is not read"),
        (b"\x1f\x8b", "the answer is compressed as 'br', which is not read"),
    ],
    ids=["large", "compressed"],
)
def test_page_of_a_401_that_cannot_be_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, body: bytes, reason: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "right")
    headers = {"WWW-Authenticate": "Basic"}
    if len(body) < 9:
        headers["Content-Encoding"] = "br"
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=401, headers=headers, content=body)
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            f"logging in to cqd.example.com as monitor: {reason}"
        )
        assert mocked.call_count == 1  # so no password was sent


def test_redirect_on_the_same_origin_logs_in_on_the_same_connection(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "Passw0rd!")
    with PortalSimulator(clock=lambda: DOCUMENTED_MOMENT, zone=timezone.utc) as portal:
        options = ("-l", "monitor", "--insecure", *AT_DOCUMENTED_MOMENT)
        code, _ = run("-u", url_of(portal, "redirect-same"), *options)
        first, second = portal.requests
    assert code == 0
    assert first.client_port == second.client_port
    assert second.path == f"/cqd{STATUS_PATH}"


def test_one_login_a_check_wherever_it_is_redirected(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "wrong")
    wanted: Any = {"status_code": 401, "headers": {"WWW-Authenticate": 'Basic realm="a, NTLM b"'}}
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, [wanted, {"status_code": 302, "headers": {"Location": "/login"}}])
        mocked.get("https://cqd.example.com/login", **wanted)
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            "HTTP 401: a redirect leads to where a login is wanted once more (Basic); give its "
            "address with --url"
        )
        sent = [request.headers.get("Authorization") for request in mocked.request_history]
        assert sent == [None, basic("monitor", "wrong"), None]
        # Some portals refuse a login so: it is remembered, and not sent again.
        mocked.get(URL, **wanted)
        code, told = run("-H", "cqd.example.com", "-l", "monitor")
        assert code == 3
        assert "refused 0s ago, tried again in 1h" in told
        assert "(--login-retry): HTTP 401: a redirect " in told
        assert mocked.request_history[-1].headers.get("Authorization") is None


def test_account_that_may_not_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some servers refuse it at once, and do not ask who it is."""
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=403, headers={"WWW-Authenticate": "NTLM, Negotiate"})
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            "HTTP 403: monitor is not allowed to read it; is it in the group of portal users? The "
            "portal offers Negotiate, NTLM, see --auth"
        )


@pytest.mark.parametrize(
    ("headers", "offers"),
    [({"WWW-Authenticate": "NTLM, Negotiate"}, "Negotiate, NTLM"), ({}, "no scheme")],
)
def test_one_login_a_check_although_it_was_redirected_before(
    run: Run, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], offers: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "wrong")
    wanted: Any = {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=302, headers={"Location": "/login"})
        back = {"status_code": 302, "headers": {"Location": "/denied"}}
        mocked.get("https://cqd.example.com/login", [wanted, back])
        mocked.get("https://cqd.example.com/denied", status_code=401, headers=headers)
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            f"HTTP 401: a redirect leads to where a login is wanted once more ({offers}); give its "
            f"address with --url"
        )
        sent = [request.headers.get("Authorization") for request in mocked.request_history]
    assert sent == [None, None, basic("monitor", "wrong"), None]


@pytest.mark.parametrize("option", ["--username", "CQD_PASSWORD"])
def test_credentials_that_are_not_utf_8(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "\udcff" if option == "CQD_PASSWORD" else "x")
    name = "\udcff" if option == "--username" else "x"
    assert run("-H", "cqd.example.com", "-l", name) == unknown(f"{option} is not UTF-8 text")


def test_credentials_go_to_no_other_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    plain = f"http://cqd.example.com{STATUS_PATH}"
    with requests_mock.Mocker() as mocked:
        mocked.get(plain, status_code=301, headers={"Location": URL})
        options = ("--http", "-l", "monitor", "--insecure")
        assert run("-H", "cqd.example.com", *options) == (
            3,
            "CQD UNKNOWN - the portal redirects to https://cqd.example.com, which is not followed "
            "with a login; leave out --http, or give https in --url\n",
        )
        assert mocked.call_count == 1


@pytest.mark.parametrize(
    ("options", "password", "message"),
    [
        (
            "--auth basic",
            "x",
            "--auth basic needs --username, and --password-file or CQD_PASSWORD in the environment",
        ),
        (
            "--auth ntlm -l monitor",
            "",
            "--auth ntlm needs --username, and --password-file or CQD_PASSWORD in the environment",
        ),
        ("--password-file x", "", "--password-file needs --username"),
        ("--keytab x", "", "--keytab needs --username"),
        ("--auth none --keytab x", "", "--keytab needs --username"),
    ],
)
def test_credentials_that_are_not_enough(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: str, password: str, message: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", password)
    assert run("-H", "cqd.example.com", *options.split()) == unknown(message)


LOGGING_IN = "logging in to cqd.example.com as monitor: "
PLAIN = (
    "a basic login over plain HTTP shows the password to the network; use https, or --insecure if "
    "you want that"
)


@pytest.mark.parametrize(
    ("options", "offered", "reason"),
    [
        ("--auth ntlm", "Basic", "the portal offers Basic, but --auth ntlm was given"),
        ("--auth basic", "NTLM", "the portal offers NTLM, but --auth basic was given"),
        ("--auth kerberos", "NTLM", "the portal offers NTLM, but --auth kerberos was given"),
        (
            "",
            "Digest",
            "the portal offers Digest, but a password is tried with NTLM and Basic only",
        ),
        ("", "", "the portal offers no scheme, but a password is tried with NTLM and Basic only"),
        (
            "--keytab x",
            "Digest",
            "the portal offers Digest, but a keytab is for Kerberos (Negotiate), a password for "
            "NTLM and Basic",
        ),
        ("--http", "Basic", PLAIN),
        ("--http --auth basic", "Basic", PLAIN),
    ],
)
def test_login_that_cannot_be_begun(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: str, offered: str, reason: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    headers = {"WWW-Authenticate": offered} if offered else {}
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, status_code=401, headers=headers)
        code, out = run("-H", "cqd.example.com", "-l", "monitor", *options.split())
        assert (code, out[:185]) == (3, f"CQD UNKNOWN - {LOGGING_IN}{reason}\n"[:185])
        assert mocked.call_count == 1


def test_without_a_password_only_kerberos_is_tried(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=401, headers={"WWW-Authenticate": "NTLM, Basic"})
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            LOGGING_IN + "the portal offers NTLM, Basic, but without --password-file or --keytab "
            "only a ticket (Negotiate) is tried"
        )


def test_key_table_is_for_kerberos_only(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=401, headers={"WWW-Authenticate": "NTLM, Basic"})
        assert run("-H", "cqd.example.com", "-l", "monitor", "--keytab", "x") == unknown(
            LOGGING_IN + "the portal offers NTLM, Basic, but a keytab is for Kerberos "
            "(Negotiate) only"
        )


def test_auth_none_sends_no_credentials(
    run: Run, basic_portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "Passw0rd!")
    assert run("-u", url_of(basic_portal), "--auth", "none", "-l", "monitor")[0] == 3
    assert authorizations(basic_portal) == [None]


class NtlmPortal:
    """What each connection of an NTLM portal does; it logs who was let in or refused."""

    def __init__(
        self,
        *,
        tls: bool = True,
        certificate: trustme.LeafCert = LOCALHOST,
        bound_to: trustme.LeafCert | None = LOCALHOST,
    ) -> None:
        self.logins: list[str] = []
        self.connections = 0
        self.scheme = "NTLM"
        self.challenge: bytes | None = None
        self.closes = ""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._tls:
            certificate.configure_cert(self._tls)
        self._binding = None
        if tls and bound_to:
            der = ssl.PEM_cert_to_DER_cert(bound_to.cert_chain_pems[0].bytes().decode())
            self._binding = GssChannelBindings(application_data=channel_binding(der))

    def __call__(self, connection: socket.socket, over: threading.Event) -> None:
        self.connections += 1
        if self._tls:
            with self._tls.wrap_socket(connection, server_side=True) as encrypted:
                self._serve(encrypted)
        else:
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        context = spnego.server(
            hostname="localhost", service="http", protocol="ntlm", channel_bindings=self._binding
        )
        while head := read_head(connection).decode():
            token = head.partition(f"Authorization: {self.scheme} ")[2].partition("\r\n")[0]
            if not token:
                self._answer(connection, 401, self.scheme)
                if self.closes == "offer":
                    return
                continue
            if self.closes == "handshake":
                return
            try:
                reply = context.step(base64.b64decode(token))
            except (spnego.exceptions.SpnegoError, ValueError):
                self.logins.append("refused")
                self._answer(connection, 401, self.scheme)
                continue
            if context.complete:
                self.logins.append(f"granted to {context.client_principal}")
                self._answer(connection, 200, "")
            else:
                reply = reply if self.challenge is None else self.challenge
                challenge = base64.b64encode(reply or b"").decode()
                self._answer(connection, 401, f"{self.scheme} {challenge}")
                if self.closes == "challenge":
                    return

    def _answer(self, connection: socket.socket, code: int, challenge: str) -> None:
        body = DOCUMENTED if code == 200 else b"<html>401</html>"
        header = f"WWW-Authenticate: {challenge}\r\n" if challenge else ""
        if self.closes == "offer" or (self.closes == "challenge" and challenge != self.scheme):
            header += "Connection: close\r\n"  # announced, so that no request can race it
        head = f"HTTP/1.1 {code} X\r\n{header}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts that the NTLM portal knows."""
    path = tmp_path / "users"
    lines = [f"{domain}:monitor:{PASSWORD}" for domain in ("DOM", "")]
    lines.append(f":monitor@dom.test:{PASSWORD}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(path))
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(path)
    return str(path)


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("user", "name"),
    [
        (r"DOM\monitor", r"DOM\monitor"),
        ("monitor", "monitor"),
        ("monitor@dom.test", "monitor@dom.test"),
    ],
)
@pytest.mark.parametrize("auth", ["auto", "ntlm"])
def test_ntlm_login_is_bound_and_stays_on_one_connection(
    run: Run, ca_file: str, user: str, name: str, auth: str
) -> None:
    portal = NtlmPortal()
    with raw_server(portal) as port:
        options = ("--ca-file", ca_file, "-l", user, "--auth", auth, *AT_DOCUMENTED_MOMENT)
        outcome = run("-u", f"https://localhost:{port}/", *options)
    assert outcome == (2, WITHOUT_DATE)
    assert portal.logins == [f"granted to {name}"]
    assert portal.connections == 1


@pytest.mark.usefixtures("users")
def test_ntlm_login_over_plain_http(run: Run) -> None:
    portal = NtlmPortal(tls=False)
    with raw_server(portal) as port:
        options = ("-l", r"DOM\monitor", *AT_DOCUMENTED_MOMENT)
        assert run("-u", f"http://localhost:{port}/", *options) == (2, WITHOUT_DATE)
    assert portal.logins == [r"granted to DOM\monitor"]


@pytest.mark.usefixtures("users")
def test_ntlm_login_under_the_name_negotiate(run: Run) -> None:
    portal = NtlmPortal(tls=False)
    portal.scheme = "Negotiate"
    with raw_server(portal) as port:
        options = ("-l", r"DOM\monitor", *AT_DOCUMENTED_MOMENT)
        assert run("-u", f"http://localhost:{port}/", *options) == (2, WITHOUT_DATE)


@pytest.mark.usefixtures("users")
def test_ntlm_login_is_bound_to_the_portal_through_a_tunnel(run: Run, ca_file: str) -> None:
    portal = NtlmPortal()
    with raw_server(portal) as port, raw_server(tunnel) as proxy:
        options = ("--ca-file", ca_file, "-l", "monitor", "--proxy", f"http://127.0.0.1:{proxy}")
        outcome = run("-u", f"https://localhost:{port}/", *options, *AT_DOCUMENTED_MOMENT)
    assert outcome == (2, WITHOUT_DATE)
    assert portal.logins == ["granted to monitor"]


HINT = ", or a TLS proxy (--no-channel-binding)"


@pytest.mark.usefixtures("users")
def test_proxy_that_ends_tls(run: Run, ca_file: str) -> None:
    portal = NtlmPortal(bound_to=CA.issue_cert("elsewhere"))
    with raw_server(portal) as port:
        options = ("-u", f"https://localhost:{port}/", "--ca-file", ca_file, "-l", "monitor")
        assert run(*options) == unknown(
            "logging in to localhost as monitor: HTTP 401 to NTLM (of NTLM); wrong password, "
            "locked or expired account, or group" + HINT
        )
    assert portal.logins == ["refused"]


@pytest.mark.usefixtures("users")
def test_no_channel_binding(run: Run, ca_file: str) -> None:
    portal = NtlmPortal(bound_to=None)
    with raw_server(portal) as port:
        options = ("--ca-file", ca_file, "-l", "monitor", "--no-channel-binding")
        outcome = run("-u", f"https://localhost:{port}/", *options, *AT_DOCUMENTED_MOMENT)
    assert outcome == (2, WITHOUT_DATE)
    assert portal.logins == ["granted to monitor"]


@pytest.mark.usefixtures("users")
def test_wrong_ntlm_password_is_one_attempt_however_often_it_is_checked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    portal = NtlmPortal(tls=False)
    with raw_server(portal) as port:
        url = f"http://localhost:{port}/"
        outputs = [run("-u", url, "-l", "monitor")[1] for _ in range(3)]
        monkeypatch.setenv("CQD_PASSWORD", PASSWORD)
        assert run("-u", url, "-l", "monitor", *AT_DOCUMENTED_MOMENT) == (2, WITHOUT_DATE)
    for output in outputs[1:]:
        assert output.startswith("CQD UNKNOWN - logging in to localhost as monitor: refused ")
    assert portal.logins == ["refused", "granted to monitor"]


@pytest.mark.usefixtures("users")
def test_wrong_ntlm_password_is_one_attempt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    portal = NtlmPortal(tls=False)
    with raw_server(portal) as port:
        code, out = run("-u", f"http://localhost:{port}/", "-l", "monitor", "-vvv")
    assert (code, portal.logins, portal.connections) == (3, ["refused"], 1)
    first, _, _, *exchange = out.splitlines()
    assert first == (
        "CQD UNKNOWN - logging in to localhost as monitor: HTTP 401 to NTLM (of NTLM); wrong "
        "password, locked or expired account, or group, see --auth"
    )
    url = f"http://localhost:{port}/"
    assert [line for line in exchange if "Content-" not in line] == [
        *(f"GET {url}", "HTTP 401", "WWW-Authenticate: NTLM"),
        *(f"GET {url} with a token", "HTTP 401", "WWW-Authenticate: NTLM"),
        *(f"GET {url} with a token", "HTTP 401", "WWW-Authenticate: NTLM"),
    ]


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("closes", "reason"),
    [
        ("handshake", "the connection was closed by the other side"),
        ("challenge", "the connection was closed in the handshake"),
    ],
)
@pytest.mark.parametrize(("scheme", "hint"), [("http", ""), ("https", HINT)])
def test_connection_closed_in_the_handshake(
    run: Run, ca_file: str, closes: str, reason: str, scheme: str, hint: str
) -> None:
    portal = NtlmPortal(tls=scheme == "https")
    portal.closes = closes
    with raw_server(portal) as port:
        options = ("-l", "monitor", "--ca-file", ca_file)
        code, out = run("-u", f"{scheme}://localhost:{port}/", *options)
    told = f"logging in to localhost as monitor: {reason}{hint}"
    assert (code, out) == (2, f"CQD CRITICAL - {told}\n")
    # No answer to a challenge goes over another connection: it could count as a failed login.
    assert (portal.connections, portal.logins) == (1, [])


@pytest.mark.usefixtures("users")
def test_login_is_not_carried_over_to_a_server_with_another_certificate(run: Run) -> None:
    portal, others = NtlmPortal(), NtlmPortal(certificate=CA.issue_cert("localhost"))
    portal.closes = "offer"

    def serve(connection: socket.socket, over: threading.Event) -> None:
        (others if portal.connections else portal)(connection, over)

    with raw_server(serve) as port:
        options = ("-u", f"https://localhost:{port}/", "--insecure", "-l", "monitor")
        assert run(*options) == (
            2,
            "CQD CRITICAL - TLS with localhost: another certificate than before\n",
        )
    assert portal.logins + others.logins == []


@pytest.mark.parametrize("level", ["9", "x", ""])
def test_ntlm_that_this_host_forbids(run: Run, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=401, headers={"WWW-Authenticate": "NTLM"})
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            LOGGING_IN + "LM_COMPAT_LEVEL of the environment is not a number from 0 to 5"
        )


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("challenge", [b"x", b"NTLMSSP\0\x02\0\0\0", bytes(100)])
def test_challenge_that_is_none(run: Run, challenge: bytes) -> None:
    portal = NtlmPortal(tls=False)
    portal.challenge = challenge
    with raw_server(portal) as port:
        assert run("-u", f"http://localhost:{port}/", "-l", "monitor") == unknown(
            "logging in to localhost as monitor: the NTLM challenge cannot be understood"
        )
    assert portal.logins == []


def test_challenge_that_is_not_base64_is_a_refusal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    with requests_mock.Mocker() as mocked:
        offers = [
            {"status_code": 401, "headers": {"WWW-Authenticate": offer}}
            for offer in ("NTLM", "NTLM abcde")
        ]
        mocked.get(URL, offers)
        assert run("-H", "cqd.example.com", "-l", "monitor") == unknown(
            LOGGING_IN + "HTTP 401 to NTLM (of NTLM); it sends no challenge, see --auth"
        )
        assert mocked.call_count == 2


@pytest.mark.parametrize("signature", ["RSA", "ECDSA", "PSS"])
@pytest.mark.parametrize("name", ["SHA224", "SHA256", "SHA384", "SHA512"])
def test_channel_binding_is_the_hash_of_the_signature(signature: str, name: str) -> None:
    algorithm = getattr(hashes, name)()
    key: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if signature == "ECDSA"
        else rsa.generate_private_key(65537, 2048)
    )
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 60)])
    padded: Any = (
        {"rsa_padding": padding.PSS(padding.MGF1(algorithm), 32)} if signature == "PSS" else {}
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(DOCUMENTED_MOMENT)
        .not_valid_after(DOCUMENTED_MOMENT)
        .sign(key, algorithm, **padded)
    )
    der = certificate.public_bytes(Encoding.DER)
    expected = b"tls-server-end-point:" + certificate.fingerprint(algorithm)
    assert channel_binding(der) == expected


def test_a_check_without_a_login_imports_no_login_library(portal: PortalSimulator) -> None:
    script = f"""
import sys
from check_cqd_integration.cli import main
main(["-u", {url_of(portal)!r}])
sys.exit(", ".join({{"gssapi", "spnego", "cryptography"}} & set(sys.modules)) or 0)
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (
            "spnego",
            ("--auth", "ntlm"),
            "a login by NTLM needs a library that this installation lacks: /opt/cqd/bin/pip "
            "install pyspnego",
        ),
        (
            "gssapi",
            ("--auth", "kerberos"),
            "a login by Kerberos needs a library that this installation lacks: /opt/cqd/bin/pip "
            "install gssapi",
        ),
    ],
)
def test_login_library_that_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, module: str, options: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "x")
    monkeypatch.setitem(sys.modules, module, None)
    for name in ("pyspnego", "gss"):
        monkeypatch.delitem(sys.modules, f"check_cqd_integration.auth.{name}", raising=False)
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=401, headers={"WWW-Authenticate": "Negotiate, NTLM"})
        assert run("-H", "cqd.example.com", "-l", "monitor", *options) == unknown(message)
