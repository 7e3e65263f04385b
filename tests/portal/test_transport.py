"""The way to the portal: every step at which it can break, and how long that takes."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
import urllib3
from expected import (
    AT_DOCUMENTED_MOMENT,
    DOCUMENTED_MOMENT,
    HEAD,
    OVER_THE_NETWORK,
    WITHOUT_DATE,
    Run,
    url_of,
)
from portal_simulator import DOCUMENTED, PortalSimulator
from raw_server import (
    answering,
    dripping,
    free_port,
    full_listener,
    raw_server,
    read_head,
    silent,
    tunnel,
)

from check_cqd_integration.portal import transport

CA = trustme.CA()
LOCALHOST = CA.issue_cert("localhost")


class Files(NamedTuple):
    """Certificates as an administrator has them: in PEM files."""

    ca: str
    client: str
    client_cert: str
    client_key: str
    encrypted_key: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    client = CA.issue_cert("client.example.com")
    paths = Files(*(str(folder / f"{name}.pem") for name in Files._fields))
    CA.cert_pem.write_to_path(paths.ca)
    client.private_key_and_cert_chain_pem.write_to_path(paths.client)
    client.cert_chain_pems[0].write_to_path(paths.client_cert)
    client.private_key_pem.write_to_path(paths.client_key)
    Path(paths.encrypted_key).write_bytes(encrypted(client.private_key_pem.bytes()))
    return paths


def encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as pem

    return pem.load_pem_private_key(key, None).private_bytes(
        pem.Encoding.PEM,
        pem.PrivateFormat.PKCS8,
        pem.BestAvailableEncryption(b"Passw0rd!"),
    )


def server_tls(certificate: trustme.LeafCert = LOCALHOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def https_portal(tls: ssl.SSLContext) -> Iterator[str]:
    with PortalSimulator(body=DOCUMENTED, clock=lambda: DOCUMENTED_MOMENT, tls=tls) as portal:
        yield url_of(portal)


def critical(message: str) -> tuple[int, str]:
    return 2, f"CQD CRITICAL - {message}\n"


def unknown(message: str) -> tuple[int, str]:
    return 3, f"CQD UNKNOWN - {message}\n"


def test_documented_answer_over_https(run: Run, files: Files) -> None:
    with https_portal(server_tls()) as url:
        options = ("-u", url, "--ca-file", files.ca, *AT_DOCUMENTED_MOMENT)
        assert run(*options) == (2, OVER_THE_NETWORK)


def test_store_of_the_operating_system_is_trusted(
    run: Run, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What OpenSSL reads in place of the system's file; requests' own variable must not count.
    with https_portal(server_tls()) as url:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", files.ca)
        assert run("-u", url)[0] == 2
        monkeypatch.setenv("SSL_CERT_FILE", files.ca)
        assert run("-u", url, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


def hash_of_subject(certificate: bytes) -> str:
    """What names a certificate in the index of a directory; see openssl-rehash(1)."""
    process = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash"],
        input=certificate,
        capture_output=True,
        check=True,
    )
    return process.stdout.decode().strip()


@pytest.mark.parametrize(
    ("in_bundle", "in_index", "is_trusted"),
    [
        (["ours"], ["ours"], True),
        (["other"], ["ours"], True),
        (["ours", "other"], ["other"], True),
        (["ours", "other"], [], True),
        (["other"], ["other"], False),
    ],
    ids=["same", "index-alone", "incomplete", "bundle-alone", "neither"],
)
def test_index_of_the_operating_system_is_read_if_it_is_complete(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_bundle: list[str],
    in_index: list[str],
    is_trusted: bool,
) -> None:
    certificates = {"ours": CA.cert_pem.bytes(), "other": trustme.CA().cert_pem.bytes()}
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(b"".join(certificates[name] for name in in_bundle))
    for name in in_index:
        link = tmp_path / f"{hash_of_subject(certificates[name])}.0"
        link.write_bytes(certificates[name])
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with https_portal(server_tls()) as url:
        _, out = run("-u", url, *AT_DOCUMENTED_MOMENT)
    assert (out == OVER_THE_NETWORK) == is_trusted


@pytest.mark.parametrize(
    ("in_bundle", "in_index", "is_same"),
    [
        ([b"a\n", b"b\n"], [b"b\n", b"a\n"], True),
        ([b"a\n", b"b\n"], [b"a\n", b"c\n"], False),
        ([b"a\n", b"b\n"], [b"a\n"], False),
        ([b"a\n"], [b"a\n", b"a\n"], False),
        ([b"a\n"], [b"a\n", None], False),  # a link to nowhere
    ],
    ids=["same", "another", "missing", "doubled", "dangling"],
)
def test_index_counts_only_if_it_holds_what_the_bundle_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_bundle: list[bytes],
    in_index: list[bytes | None],
    is_same: bool,
) -> None:
    (tmp_path / "bundle.crt").write_bytes(b"".join(in_bundle))
    for number, content in enumerate(in_index):
        link, file = tmp_path / f"0123456{number}.0", tmp_path / f"{number}.pem"
        link.symlink_to(file)
        if content is not None:
            file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.crt"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert transport._indexed_authorities() == (str(tmp_path) if is_same else None)


def test_bundle_elsewhere_is_read_whatever_the_index_holds(
    run: Run, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "01234567.0").write_bytes(trustme.CA().cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", files.ca)
    for directory in (tmp_path, tmp_path / "missing"):
        monkeypatch.setenv("SSL_CERT_DIR", str(directory))
        with https_portal(server_tls()) as url:
            assert run("-u", url, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


class PoolOfDebian(urllib3.HTTPSConnectionPool):
    """Debian's, up to 1.26: what it is given to trust is by default a file of the system's."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{"ca_certs": "/nonexistent", **more})


def test_nobody_is_trusted_beside_the_ca_file(
    run: Run, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib3, "HTTPSConnectionPool", PoolOfDebian)
    with https_portal(server_tls()) as url, raw_server(tunnel) as port:
        options = ("-u", url, "--ca-file", files.ca, *AT_DOCUMENTED_MOMENT)
        assert run(*options) == (2, OVER_THE_NETWORK)
        assert run(*options, "--proxy", f"http://127.0.0.1:{port}") == (2, OVER_THE_NETWORK)


def test_insecure_believes_everybody(run: Run) -> None:
    with https_portal(server_tls(trustme.CA().issue_cert("elsewhere"))) as url:
        assert run("-u", url, "--insecure", *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (
            trustme.CA().issue_cert("localhost"),
            "the authority of its certificate is not trusted; give it with --ca-file",
        ),
        (CA.issue_cert("elsewhere.example.com"), "its certificate is for another name"),
        (CA.issue_cert("localhost", not_after=PAST), "its certificate has expired"),
    ],
    ids=["unknown authority", "another name", "expired"],
)
def test_certificate_that_is_not_trusted(
    run: Run, files: Files, certificate: trustme.LeafCert, reason: str
) -> None:
    with https_portal(server_tls(certificate)) as url:
        assert run("-u", url, "--ca-file", files.ca) == critical(f"TLS with localhost: {reason}")


def test_certificate_for_another_address(run: Run, files: Files) -> None:
    with https_portal(server_tls()) as url:
        assert run("-u", url.replace("localhost", "127.0.0.1"), "--ca-file", files.ca) == critical(
            "TLS with 127.0.0.1: its certificate is for another name"
        )


def test_client_certificate(run: Run, files: Files) -> None:
    tls = server_tls()
    tls.verify_mode = ssl.CERT_REQUIRED
    CA.configure_trust(tls)
    with https_portal(tls) as url:
        options = ("-u", url, "--ca-file", files.ca, *AT_DOCUMENTED_MOMENT)
        assert run(*options, "--client-cert", files.client) == (2, OVER_THE_NETWORK)
        pair = ("--client-cert", files.client_cert, "--client-key", files.client_key)
        assert run(*options, *pair) == (2, OVER_THE_NETWORK)
        code, out = run(*options)
    assert code == 2
    assert out in (
        # With TLS 1.3 the server's refusal comes after the handshake.
        "CQD CRITICAL - waiting for the answer of localhost: the handshake was refused; does the "
        "server want a --client-cert?\n",
        "CQD CRITICAL - waiting for the answer of localhost: the connection was closed by the "
        "other side\n",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--ca-file {missing}", "--ca-file {missing}: No such file or directory"),
        (
            "--ca-file {client_key}",
            "--ca-file {client_key}: no certificate in PEM format",
        ),
        (
            "--client-cert {missing}",
            "--client-cert {missing}: No such file or directory",
        ),
        (
            "--client-cert {ca} --client-key {client_key}",
            "--client-cert {ca} with {client_key}: no certificate in PEM format with its key",
        ),
        (
            "--client-cert {client_cert} --client-key {encrypted_key}",
            "the key of the client certificate is encrypted; give one without passphrase",
        ),
    ],
)
def test_file_that_cannot_be_used(run: Run, files: Files, options: str, message: str) -> None:
    paths = {**files._asdict(), "missing": "/nonexistent.pem"}
    code, out = run("-H", "localhost", *options.format(**paths).split())
    assert (code, out[:150]) == (3, f"CQD UNKNOWN - {message.format(**paths)}\n"[:150])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (ssl.SSLError("unknown error"), "it cannot be used"),
    ],
)
def test_openssl_that_cannot_be_used(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(ssl, "create_default_context", fail)
    assert run("-H", "cqd.example.com") == unknown(f"this host's OpenSSL: {reason}")


NO_AUTHORITIES = unknown(
    "this host has no authorities to trust; install ca-certificates, or give --ca-file"
)


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("missing", NO_AUTHORITIES),
        ("empty", NO_AUTHORITIES),
        ("full", critical("looking up cqd.example.com: there is no host of this name")),
    ],
)
def test_host_without_authorities(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    directory: str,
    expected: tuple[int, str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "0123abcd.0").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / directory))
    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(socket.EAI_NONAME))
    assert run("-H", "cqd.example.com") == expected


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
        "TLS with 127.0.0.1: what answers there is not TLS; is it --http?"
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


def lookup_fails(code: int) -> Any:
    def getaddrinfo(*_: Any, **__: Any) -> None:
        raise socket.gaierror(code, "text of the C library")

    return getaddrinfo


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


def test_lookup_for_which_there_is_no_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(socket.EAI_MEMORY))
    assert run("-H", "cqd.example.com", "--http") == unknown(
        "looking up cqd.example.com: Cannot allocate memory"
    )


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
        (errno.EMFILE, unknown("{step}: Too many open files")),
        (errno.ENFILE, unknown("{step}: Too many open files in system")),
        (errno.ENOMEM, unknown("{step}: Cannot allocate memory")),
        (errno.ENOBUFS, unknown("{step}: No buffer space available")),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
def test_connecting_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch, code: int, outcome: tuple[int, str]
) -> None:
    def connect(*_: Any) -> None:
        raise OSError(code, "text of the C library")

    monkeypatch.setattr(socket.socket, "connect", connect)
    step = "connecting to 127.0.0.1 port 80"
    assert run("-u", "http://127.0.0.1/") == (outcome[0], outcome[1].format(step=step))


def addresses(*found: tuple[str, int]) -> Any:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in found]

    return getaddrinfo


def test_next_address_if_one_refuses(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (("127.0.0.1", free_port()), ("127.0.0.1", portal.port))
    monkeypatch.setattr(socket, "getaddrinfo", addresses(*found))
    assert run("-u", url_of(portal), *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)
    assert len(portal.requests) == 1


def test_next_address_on_a_host_without_ipv6(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", portal.port))
    found = [(99, socket.SOCK_STREAM, 0, "", ("::1", 80, 0, 0)), good]  # no such family here
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert run("-u", url_of(portal), *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


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


def test_share_of_the_time_that_is_used_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as port:
        silent = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
        found = [silent, (99, socket.SOCK_STREAM, 0, "", ("::1", 80))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert run("-u", "http://127.0.0.1/", "-t", "2") == critical(
            "connecting to 127.0.0.1 port 80: connection timed out"
        )


def test_zone_of_a_link_local_address_is_looked_up_as_it_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    run("-H", "fe80::1%eth0")
    run("-u", "http://[fe80::1%25eth0]/")
    assert asked == ["fe80::1%eth0"] * 2


def test_next_address_in_time_if_one_is_silent(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_listener() as port:
        found = (("127.0.0.1", port), ("127.0.0.1", portal.port))
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*found))
        assert run("-u", url_of(portal), *AT_DOCUMENTED_MOMENT, "-t", "2")[0] == 2
    assert len(portal.requests) == 1


@contextlib.contextmanager
def hanging_lookup() -> Iterator[Any]:
    over = threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> None:
        over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield 80
        over.set()


LIMIT = 1
MARGIN = 5  # a busy machine takes its time; what is not bounded takes ten times as long


@pytest.mark.parametrize(
    ("server", "scheme", "step"),
    [
        (hanging_lookup(), "http", "looking up 127.0.0.1"),
        (full_listener(), "http", "connecting to 127.0.0.1 port {port}"),
        (raw_server(silent), "https", "TLS with 127.0.0.1"),
        (raw_server(dripping(bytes(99), read=False)), "https", "TLS with 127.0.0.1"),
        (raw_server(silent), "http", "waiting for the answer of 127.0.0.1"),
        (
            raw_server(dripping(b"HTTP/1.1 200 OK\r\n")),
            "http",
            "waiting for the answer of 127.0.0.1",
        ),
        (
            raw_server(dripping(99 * b"HTTP/1.1 100 Continue\r\n\r\n")),
            "http",
            "waiting for the answer of 127.0.0.1",
        ),
    ],
    ids=["lookup", "connect", "tls", "tls-drips", "answer", "answer-drips", "continue"],
)
def test_time_runs_out(
    run: Run, server: contextlib.AbstractContextManager[int], scheme: str, step: str
) -> None:
    with server as port:
        begin = time.monotonic()
        outcome = run("-u", f"{scheme}://127.0.0.1:{port}/", "-t", str(LIMIT))
        took = time.monotonic() - begin
    assert outcome == critical(f"{step.format(port=port)}: no answer within {LIMIT}s (-t)")
    assert LIMIT <= took < LIMIT + MARGIN


def test_time_runs_out_while_reading(run: Run) -> None:
    def head_then_drip(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(HEAD + b"\r\n")
        dripping(DOCUMENTED, read=False)(connection, over)

    with raw_server(head_then_drip) as port:
        assert run("-u", f"http://127.0.0.1:{port}/", "-t", str(LIMIT)) == critical(
            f"reading the answer of 127.0.0.1: no answer within {LIMIT}s (-t)"
        )


@pytest.mark.parametrize(
    ("answer", "step", "reason"),
    [
        (b"", "waiting for", "the connection was closed by the other side"),
        (b"220 smtp.example.com ESMTP\r\n", "waiting for", "what came is not proper HTTP"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
            "waiting for",
            "what came is not proper HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nX: " + bytes(100_000),
            "waiting for",
            "what came is not proper HTTP",
        ),
        (
            HEAD + b"Content-Length: 9999\r\n\r\n" + DOCUMENTED,
            "reading",
            "the answer ended too early",
        ),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            "reading",
            "what came is not proper HTTP",
        ),
    ],
    ids=[
        "nothing",
        "not-http",
        "many-headers",
        "long-header",
        "short-body",
        "broken-chunk",
    ],
)
def test_answer_that_is_not_proper_http(run: Run, answer: bytes, step: str, reason: str) -> None:
    with raw_server(answering(answer)) as port:
        assert run("-u", f"http://127.0.0.1:{port}/") == critical(
            f"{step} the answer of 127.0.0.1: {reason}"
        )


def test_chunk_of_a_negative_size(run: Run) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n-5\r\n"
    with raw_server(answering(HEAD, chunked)) as port:
        outcome = run("-u", f"http://127.0.0.1:{port}/")
    step = "reading the answer of 127.0.0.1"
    assert outcome in (  # by the version of urllib3
        critical(f"{step}: what came is not proper HTTP"),
        critical(f"{step}: the answer ended too early"),
    )


def test_through_a_proxy(run: Run, portal: PortalSimulator) -> None:
    proxy = f"http://127.0.0.1:{portal.port}"  # it answers to any host name
    options = ("-H", "cqd.example.com", "--http", "--proxy", proxy)
    assert run(*options, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)
    assert portal.requests[0].path.startswith("http://cqd.example.com/QoEDataService/")


def test_through_a_tunnel(run: Run, files: Files) -> None:
    with https_portal(server_tls()) as url, raw_server(tunnel) as port:
        options = ("--ca-file", files.ca, "--proxy", f"http://127.0.0.1:{port}")
        assert run("-u", url, *options, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_is_an_ipv6_address(
    run: Run, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lookup_fails(socket.EAI_FAIL))
    assert run("-u", f"{scheme}://cqd.example.com/", "--proxy", "http://[::1]:9") == critical(
        "looking up the proxy ::1: the name servers fail, or do not answer"
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            unknown("asking the proxy for a way to cqd.example.com: the proxy refuses (HTTP 407)"),
        ),
        (
            b"HTTP/1.1 429 Too Many Requests\r\n\r\n",
            critical("asking the proxy for a way to cqd.example.com: the proxy refuses (HTTP 429)"),
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            critical("asking the proxy for a way to cqd.example.com: the proxy refuses (HTTP 502)"),
        ),
    ],
    ids=["unknown-407", "critical-429", "critical-502"],
)
def test_proxy_that_refuses(run: Run, answer: bytes, expected: tuple[int, str]) -> None:
    with raw_server(answering(answer)) as port:
        assert run("-H", "cqd.example.com", "--proxy", f"http://127.0.0.1:{port}") == expected


def test_proxy_that_is_not_there(run: Run) -> None:
    port = free_port()
    assert run("-H", "cqd.example.com", "--proxy", f"http://127.0.0.1:{port}") == critical(
        f"connecting to the proxy 127.0.0.1 port {port}: connection refused; is the server running?"
    )


def test_answer_without_a_date(run: Run) -> None:
    with raw_server(answering(HEAD, b"\r\n", DOCUMENTED)) as port:
        url = f"http://127.0.0.1:{port}/"
        assert run("-u", url, *AT_DOCUMENTED_MOMENT) == (2, WITHOUT_DATE)
