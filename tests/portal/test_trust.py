"""Whom TLS believes: the host's CA certificates, those of a file, or everybody."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from expected import (
    AT_DOCUMENTED_MOMENT,
    HEAD,
    OVER_THE_NETWORK,
    WITHOUT_DATE,
    Run,
    critical,
    unknown,
)
from portal_simulator import DOCUMENTED
from raw_server import PATIENCE, lookup_fails, raw_server, read_head
from tls_portal import CA, Files, hash_of_subject, https_portal, server_tls

from check_cqd_integration.portal import trust


def test_store_of_the_operating_system_is_trusted(
    run: Run, pem_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What OpenSSL reads in place of the system's file; requests' own variable must not count.
    with https_portal(server_tls()) as url:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", pem_files.ca)
        assert run("-u", url)[0] == 2
        monkeypatch.setenv("SSL_CERT_FILE", pem_files.ca)
        assert run("-u", url, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


@pytest.mark.skipif(os.name == "nt", reason="Windows has a store in place of files")
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has a store in place of files")
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
        link, file = tmp_path / f"89abcde{number}.0", tmp_path / f"{number}.pem"
        link.symlink_to(file)
        if content is not None:
            file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.crt"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trust._indexed_certificates() == (str(tmp_path) if is_same else None)


@pytest.mark.skipif(os.name == "nt", reason="Windows has a store in place of files")
def test_complete_index_is_read_in_place_of_the_bundle_but_not_beside_a_ca_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = CA.cert_pem.bytes(), trustme.CA().cert_pem.bytes()
    (tmp_path / "bundle.crt").write_bytes(ours)
    (tmp_path / f"{hash_of_subject(ours)}.0").write_bytes(ours)
    (tmp_path / "other.pem").write_bytes(other)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.crt"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    context = trust.Trust().context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509"] == 0  # until one is needed
    with https_portal(server_tls()) as url:
        assert run("-u", url, "--ca-file", str(tmp_path / "other.pem")) == critical(
            "TLS with localhost: its certificate is not trusted; give its CA with --ca-file"
        )


def test_bundle_elsewhere_is_read_whatever_the_index_holds(
    run: Run, pem_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "01234567.0").write_bytes(trustme.CA().cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", pem_files.ca)
    for directory in (tmp_path, tmp_path / "missing"):
        monkeypatch.setenv("SSL_CERT_DIR", str(directory))
        with https_portal(server_tls()) as url:
            assert run("-u", url, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


def test_insecure_believes_everybody(run: Run) -> None:
    with https_portal(server_tls(trustme.CA().issue_cert("elsewhere"))) as url:
        assert run("-u", url, "--insecure", *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


def test_server_is_told_that_it_is_http_1_1(run: Run, pem_files: Files) -> None:
    spoken = []
    tls = server_tls()
    tls.set_alpn_protocols(["h2", "http/1.1"])

    def handler(connection: socket.socket, over: threading.Event) -> None:
        with tls.wrap_socket(connection, server_side=True) as encrypted:
            spoken.append(encrypted.selected_alpn_protocol())

    with raw_server(handler) as port:
        run("-u", f"https://localhost:{port}/", "--ca-file", pem_files.ca)
    assert spoken == ["http/1.1"]


def test_client_certificate_that_is_asked_for_after_the_handshake(
    run: Run, pem_files: Files
) -> None:
    tls = server_tls()
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_verify_locations(pem_files.ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.post_handshake_auth = True  # a server with this does not ask in the handshake
    shown: list[Any] = []

    def portal(connection: socket.socket, over: threading.Event) -> None:
        with tls.wrap_socket(connection, server_side=True) as encrypted:
            read_head(encrypted)
            encrypted.verify_client_post_handshake()
            encrypted.setblocking(False)
            while not shown:
                with contextlib.suppress(ssl.SSLWantReadError):
                    encrypted.recv(1)  # asks, and then takes what is shown
                with contextlib.suppress(ValueError):  # not yet
                    shown.extend(filter(None, [encrypted.getpeercert()]))
                if not shown and not select.select([encrypted], [], [], PATIENCE)[0]:
                    return
            encrypted.settimeout(PATIENCE)
            encrypted.sendall(HEAD + b"\r\n" + DOCUMENTED)

    with raw_server(portal) as port:
        options = ("--ca-file", pem_files.ca, "--client-cert", pem_files.client)
        outcome = run("-u", f"https://localhost:{port}/", *options, *AT_DOCUMENTED_MOMENT)
    assert outcome == (2, WITHOUT_DATE)
    assert [each["subjectAltName"] for each in shown] == [(("DNS", "client.example.com"),)]


def test_client_certificate(run: Run, pem_files: Files) -> None:
    tls = server_tls()
    tls.verify_mode = ssl.CERT_REQUIRED
    CA.configure_trust(tls)
    with https_portal(tls) as url:
        options = ("-u", url, "--ca-file", pem_files.ca, *AT_DOCUMENTED_MOMENT)
        assert run(*options, "--client-cert", pem_files.client) == (2, OVER_THE_NETWORK)
        pair = ("--client-cert", pem_files.client_cert, "--client-key", pem_files.client_key)
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
def test_file_that_cannot_be_used(run: Run, pem_files: Files, options: str, message: str) -> None:
    paths = {**pem_files._asdict(), "missing": "/nonexistent.pem"}
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


def test_certificate_store_of_windows_that_is_empty(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No package of a distribution fills it."""
    monkeypatch.setattr(trust, "_IS_WINDOWS", True)
    monkeypatch.setattr(trust, "_has_ca_certificates", lambda context: False)
    monkeypatch.setattr(trust, "_indexed_certificates", lambda: None)
    assert run("-H", "cqd.example.com") == unknown(
        "Windows' certificate store holds no CA certificates; give --ca-file"
    )


NO_AUTHORITIES = unknown(
    "this host has no CA certificates; install ca-certificates, or give --ca-file"
)


@pytest.mark.skipif(os.name == "nt", reason="Windows has a store in place of files")
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
