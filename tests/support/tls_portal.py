"""Portals over TLS, and the files that an administrator has for them."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trustme
from expected import DOCUMENTED_MOMENT, url_of
from portal_simulator import DOCUMENTED, PortalSimulator

CA = trustme.CA()
LOCALHOST = CA.issue_cert("localhost")


class Files(NamedTuple):
    """Certificates as an administrator has them: in PEM files."""

    ca: str
    client: str
    client_cert: str
    client_key: str
    encrypted_key: str


def encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as pem

    return pem.load_pem_private_key(key, None).private_bytes(
        pem.Encoding.PEM,
        pem.PrivateFormat.PKCS8,
        pem.BestAvailableEncryption(b"Passw0rd!"),
    )


def write_pem_files(folder: Path) -> Files:
    """Write them, for a client of ``CA``; return where they are."""
    client = CA.issue_cert("client.example.com")
    paths = Files(*(str(folder / f"{name}.pem") for name in Files._fields))
    CA.cert_pem.write_to_path(paths.ca)
    client.private_key_and_cert_chain_pem.write_to_path(paths.client)
    client.cert_chain_pems[0].write_to_path(paths.client_cert)
    client.private_key_pem.write_to_path(paths.client_key)
    Path(paths.encrypted_key).write_bytes(encrypted(client.private_key_pem.bytes()))
    return paths


def hash_of_subject(certificate: bytes) -> str:
    """What names a certificate in the index of a directory; see openssl-rehash(1)."""
    process = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash"],
        input=certificate,
        capture_output=True,
        check=True,
    )
    return process.stdout.decode().strip()


def server_tls(certificate: trustme.LeafCert = LOCALHOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def https_portal(tls: ssl.SSLContext) -> Iterator[str]:
    with PortalSimulator(body=DOCUMENTED, clock=lambda: DOCUMENTED_MOMENT, tls=tls) as portal:
        yield url_of(portal)
