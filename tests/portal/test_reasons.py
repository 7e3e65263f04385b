"""What is told of each way in which the network, the host or TLS fails."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
import warnings
from datetime import datetime, timezone
from typing import Any

import pytest
import trustme
from expected import Run, critical, unknown, url_of
from portal_simulator import PortalSimulator
from raw_server import free_port, lookup_fails, raw_server
from tls_portal import CA, Files, https_portal, server_tls

from check_cqd_integration.errors import UnreachableError
from check_cqd_integration.portal import reasons
from check_cqd_integration.portal.deadline import Deadline

PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (
            trustme.CA().issue_cert("localhost"),
            "its certificate is not trusted; give its CA with --ca-file",
        ),
        (CA.issue_cert("elsewhere.example.com"), "its certificate is for another name"),
        (CA.issue_cert("localhost", not_after=PAST), "its certificate has expired"),
    ],
    ids=["unknown authority", "another name", "expired"],
)
def test_certificate_that_is_not_trusted(
    run: Run, pem_files: Files, certificate: trustme.LeafCert, reason: str
) -> None:
    with https_portal(server_tls(certificate)) as url:
        assert run("-u", url, "--ca-file", pem_files.ca) == critical(
            f"TLS with localhost: {reason}"
        )


def test_certificate_for_another_address(run: Run, pem_files: Files) -> None:
    with https_portal(server_tls()) as url:
        assert run(
            "-u", url.replace("localhost", "127.0.0.1"), "--ca-file", pem_files.ca
        ) == critical("TLS with 127.0.0.1: its certificate is for another name")


def test_server_without_modern_tls(run: Run) -> None:
    tls = server_tls()
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is old, that is the point
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1
    with https_portal(tls) as url:
        assert run("-u", url) == critical(
            "TLS with localhost: the server offers nothing newer than TLS 1.1"
        )


def test_plain_http_where_https_is_expected(run: Run, portal: PortalSimulator) -> None:
    assert run("-u", url_of(portal).replace("http:", "https:")) == critical(
        "TLS with 127.0.0.1: what answers there is not TLS; does it need --http?"
    )


def test_https_where_plain_http_is_expected(run: Run) -> None:
    with https_portal(server_tls()) as url:
        assert run("-u", url.replace("https:", "http:")) == critical(
            "waiting for the answer of localhost: the connection was closed by the other side"
        )


def test_connection_closed_in_the_handshake(run: Run) -> None:
    with raw_server(lambda connection, over: None) as port:
        assert run("-u", f"https://127.0.0.1:{port}/") == critical(
            "TLS with 127.0.0.1: the connection was closed by the other side"
        )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (40, "the handshake was refused; does the server want a --client-cert?"),
        (70, "the server offers nothing newer than TLS 1.1"),
        (80, "the handshake failed (tlsv1 alert internal error)"),
    ],
    ids=["handshake failure", "protocol version", "internal error"],
)
def test_alert_in_the_handshake(run: Run, code: int, reason: str) -> None:
    alert = bytes([0x15, 0x03, 0x03, 0, 2, 2, code])  # fatal, see RFC 8446, section 6

    def handler(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(alert)

    with raw_server(handler) as port:
        assert run("-u", f"https://127.0.0.1:{port}/") == critical(f"TLS with 127.0.0.1: {reason}")


NOT_TRUSTED = "its certificate is not trusted; give its CA with --ca-file"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, "its certificate is not valid yet; is this host's clock right?"),
        (10, "its certificate has expired"),
        (18, "its certificate is self-signed and not trusted; give it with --ca-file"),
        (19, NOT_TRUSTED),
        (20, NOT_TRUSTED),
        (23, "its certificate is not valid (why not)"),
        (62, "its certificate is for another name"),
        (64, "its certificate is for another name"),
    ],
)
def test_certificate_that_openssl_finds_wrong(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    error = ssl.SSLCertVerificationError(1, "text of OpenSSL")
    error.verify_code, error.verify_message = code, "why not"
    assert _handshake_fails(run, portal, monkeypatch, error) == critical(
        f"TLS with 127.0.0.1: {reason}"
    )


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "the handshake was refused; does the server want a --client-cert?",
        ),
        ("UNSUPPORTED_PROTOCOL", "the server offers nothing newer than TLS 1.1"),
        ("HTTP_REQUEST", "what answers there is not TLS; does it need --http?"),
        ("RECORD_LAYER_FAILURE", "what answers there is not TLS; does it need --http?"),
        ("VERSION_TOO_LOW", "the handshake failed (version too low)"),
        (None, "the handshake failed (closed)"),
    ],
)
def test_handshake_that_openssl_finds_wrong(
    run: Run,
    portal: PortalSimulator,
    monkeypatch: pytest.MonkeyPatch,
    found: str | None,
    reason: str,
) -> None:
    error = ssl.SSLError(1, "text of OpenSSL")
    error.reason = found  # type: ignore[assignment]
    assert _handshake_fails(run, portal, monkeypatch, error) == critical(
        f"TLS with 127.0.0.1: {reason}"
    )


def _handshake_fails(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch, error: ssl.SSLError
) -> tuple[int, str]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", fail)
    return run("-u", url_of(portal).replace("http:", "https:"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (socket.EAI_NONAME, "there is no host of this name"),
        (socket.EAI_AGAIN, "the name servers fail, or do not answer"),
        (socket.EAI_FAIL, "the name servers fail, or do not answer"),
    ],
)
def test_name_that_is_not_found(
    run: Run, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(code))
    assert run("-H", "cqd.example.com") == critical(f"looking up cqd.example.com: {reason}")


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_name_that_is_not_found_for_want_of_a_descriptor(
    run: Run, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(code, "")

    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(socket.EAI_NONAME))
    monkeypatch.setattr(os, "open", refused)
    outcome = run("-H", "cqd.example.com", "--http")
    monkeypatch.undo()
    assert outcome == unknown(f"looking up cqd.example.com: {os.strerror(code)}")


def test_handshake_for_which_there_is_no_memory(
    run: Run, monkeypatch: pytest.MonkeyPatch, pem_files: Files
) -> None:
    """OpenSSL has other words for it: the connection was closed, or the certificate is too weak."""

    def refused(size: int) -> None:
        raise MemoryError

    monkeypatch.setattr(reasons, "bytes", refused, raising=False)
    with https_portal(server_tls(trustme.CA().issue_cert("localhost"))) as url:
        assert run("-u", url, "--ca-file", pem_files.ca) == unknown(
            "TLS with localhost: Cannot allocate memory"
        )


def test_lookup_for_which_there_is_no_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(socket.EAI_MEMORY))
    assert run("-H", "cqd.example.com", "--http") == unknown(
        "looking up cqd.example.com: Cannot allocate memory"
    )


def test_lookup_without_winsock(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(10093))
    assert run("-H", "cqd.example.com", "--http") == unknown(
        "looking up cqd.example.com: Windows has no network; is SystemRoot in the environment?"
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (11001, "there is no host of this name"),
        (11004, "there is no host of this name"),
        (11002, "the name servers fail, or do not answer"),
        (11003, "the name servers fail, or do not answer"),
    ],
    ids=["WSAHOST_NOT_FOUND", "WSANO_DATA", "WSATRY_AGAIN", "WSANO_RECOVERY"],
)
def test_name_that_winsock_does_not_find(
    run: Run, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    """There EAI_NONAME, EAI_AGAIN and EAI_FAIL are numbers of Winsock."""
    for name, number in (("EAI_NONAME", 11001), ("EAI_AGAIN", 11002), ("EAI_FAIL", 11003)):
        monkeypatch.setattr(socket, name, number)
    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(code))
    assert run("-H", "cqd.example.com") == critical(f"looking up cqd.example.com: {reason}")


def test_name_that_is_too_long(run: Run) -> None:
    host = 64 * "a"
    assert run("-H", host) == critical(f"looking up {host}: there is no host of this name")


def test_connection_refused(run: Run) -> None:
    port = free_port()
    assert run("-u", f"http://127.0.0.1:{port}/") == critical(
        f"connecting to 127.0.0.1 port {port}: connection refused; is the server running?"
    )


NO_ADDRESS = "no address or port to connect from; is this host's IPv6 off?"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (
            errno.EHOSTUNREACH,
            critical("{step}: no route to host; is it up, does a firewall forbid it?"),
        ),
        (errno.ENETUNREACH, critical("{step}: Network is unreachable")),
        (
            errno.EACCES,
            critical("{step}: permission denied; does a firewall or SELinux forbid it?"),
        ),
        (
            errno.EINVAL,
            critical(
                "{step}: no way from here; a blackhole route, or an address without its zone?"
            ),
        ),
        (errno.EADDRNOTAVAIL, unknown(f"{{step}}: {NO_ADDRESS}")),
        (errno.EAFNOSUPPORT, unknown(f"{{step}}: {NO_ADDRESS}")),
        # The system's own limit, not that of -t.
        (errno.ETIMEDOUT, critical("{step}: connection timed out")),
        (errno.ENOTCONN, critical("{step}: the connection was closed by the other side")),
        *(
            (code, unknown("{step}: Windows has no network; is SystemRoot in the environment?"))
            for code in (10091, 10092, 10093, 10106, 10107)
        ),
        (errno.EMFILE, unknown("{step}: Too many open files")),
        (errno.ENFILE, unknown("{step}: Too many open files in system")),
        (errno.ENOMEM, unknown("{step}: Cannot allocate memory")),
        (errno.ENOBUFS, unknown("{step}: No buffer space available")),
    ],
    ids=lambda value: errno.errorcode.get(value, str(value)) if isinstance(value, int) else "",
)
def test_connecting_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch, code: int, outcome: tuple[int, str]
) -> None:
    def connect(*_: Any) -> None:
        raise OSError(code, "text of the C library")

    monkeypatch.setattr(socket.socket, "connect", connect)
    step = "connecting to 127.0.0.1 port 80"
    assert run("-u", "http://127.0.0.1/") == (outcome[0], outcome[1].format(step=step))


@pytest.mark.parametrize("missing", [0, 1], ids=["first", "last"])
def test_host_without_ipv6_hides_no_other_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    found: list[Any] = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", free_port()))]
    found.insert(missing, (99, socket.SOCK_STREAM, 0, "", ("::1", 80)))  # no such family here
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert run("-u", "http://127.0.0.1/") == critical(
        "connecting to 127.0.0.1 port 80: connection refused; is the server running?"
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError(), reasons.ClosedError),
        (ssl.SSLEOFError(), reasons.ClosedError),
        (OSError(errno.EHOSTUNREACH, ""), UnreachableError),
        (TimeoutError(), UnreachableError),
    ],
    ids=str,
)
def test_only_what_is_closed_may_be_a_proxy_that_refuses_a_login(
    error: Exception, kind: type[Exception]
) -> None:
    assert type(reasons.explain(error, Deadline(10))) is kind
