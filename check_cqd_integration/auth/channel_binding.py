"""What ties a login to its TLS connection: the channel binding ``tls-server-end-point``.

RFC 5929, section 4.1: the hash of the server's certificate, by the hash function of its signature,
or SHA-256 where that is MD5 or SHA-1. Windows calls what checks it Extended Protection.
"""

from __future__ import annotations

import hashlib

_SIGNATURES = {
    "sha224": ("2a864886f70d01010e", "2a8648ce3d040301", "608648016503040204"),
    "sha384": ("2a864886f70d01010c", "2a8648ce3d040303", "608648016503040202"),
    "sha512": ("2a864886f70d01010d", "2a8648ce3d040304", "608648016503040203"),
}
"""Object identifiers: RSA (PKCS #1), ECDSA, and the bare hash, which RSA-PSS names."""


def channel_binding(certificate: bytes) -> bytes:
    """Return the binding for a connection to a server that showed this certificate (DER)."""
    signature = _signature_algorithm(certificate)
    name = next(
        (
            name
            for name, identifiers in _SIGNATURES.items()
            if any(bytes.fromhex(identifier) in signature for identifier in identifiers)
        ),
        "sha256",
    )
    return b"tls-server-end-point:" + hashlib.new(name, certificate).digest()


def _signature_algorithm(certificate: bytes) -> bytes:
    """Return the second element of the sequence that a certificate is (RFC 5280, section 4.1)."""
    content, _ = _element(certificate, 0)
    _, end_of_first = _element(certificate, content)
    start, end = _element(certificate, end_of_first)
    return certificate[start:end]


def _element(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the element at a place begins and ends."""
    length, start = der[at + 1], at + 2
    if length >= 0x80:
        size = length - 0x80
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    return start, start + length
