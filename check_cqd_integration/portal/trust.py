"""Whom TLS believes, and what it shows: the options -> the settings of all TLS connections."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from pathlib import Path
from typing import NamedTuple, NoReturn

from ..errors import UsageError, words_of

_IS_WINDOWS = os.name == "nt"
_INDEXED = re.compile("[0-9a-f]{8}[.][0-9]+")
"""A name that `openssl rehash` gives: the hash of the subject, and a number."""


class Trust(NamedTuple):
    """Whom TLS believes, and the certificate that this client shows. All files are PEM."""

    ca_file: str | None = None
    """CA certificates in place of the operating system's."""
    client_cert: str | None = None
    client_key: str | None = None
    """None if the key is in the file of the certificate."""
    insecure: bool = False
    """Believe everybody."""

    def context(self) -> ssl.SSLContext:
        """Return the TLS settings; raises UsageError for files or a host that cannot be used."""
        try:
            context = self._believing()
        except OSError as error:
            what, misread = "this host's OpenSSL", "it cannot be used"
            if self.ca_file:
                what, misread = f"--ca-file {self.ca_file}", "no certificate in PEM format"
            reason = misread if isinstance(error, ssl.SSLError) else words_of(error)
            raise UsageError(f"{what}: {reason}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self.client_cert:
            files = " with ".join(filter(None, (self.client_cert, self.client_key)))
            try:
                context.load_cert_chain(self.client_cert, self.client_key, _refuse_passphrase)
            except ssl.SSLError as error:
                raise UsageError(
                    f"--client-cert {files}: no certificate in PEM format with its key"
                ) from error
            except OSError as error:
                raise UsageError(f"--client-cert {files}: {words_of(error)}") from error
            # TLS 1.3 has no renegotiation: what wants it for one path alone asks so.
            context.post_handshake_auth = True
        return context

    def _believing(self) -> ssl.SSLContext:
        if self.insecure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        indexed = None if self.ca_file else _indexed_certificates()
        context = ssl.create_default_context(cafile=self.ca_file, capath=indexed)
        if not (self.ca_file or indexed or _has_ca_certificates(context)):
            raise UsageError(
                "Windows' certificate store holds no CA certificates; give --ca-file"
                if _IS_WINDOWS
                else "this host has no CA certificates; install ca-certificates, or give --ca-file"
            )
        return context


def _indexed_certificates() -> str | None:
    """Return the operating system's directory of CA certificates, if its index holds its bundle.

    OpenSSL then reads the one that signed what it is shown. Otherwise it reads the bundle as well,
    which takes longer than the whole request.
    """
    system = ssl.get_default_verify_paths()
    if not system.cafile or not system.capath:
        return None
    if os.path.dirname(os.path.realpath(system.cafile)) != os.path.realpath(system.capath):
        return None
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(system.capath) if _INDEXED.fullmatch(name)]
        indexed = [Path(system.capath, name).read_bytes() for name in names]
        bundle = Path(system.cafile).read_bytes()
        if sum(map(len, indexed)) == len(bundle) and all(each in bundle for each in indexed):
            return system.capath
    return None


def _has_ca_certificates(context: ssl.SSLContext) -> bool:
    """Tell whether any was read from a file, or may be read from a directory when it is needed."""
    directory = ssl.get_default_verify_paths().capath
    return context.cert_store_stats()["x509"] > 0 or bool(directory and os.listdir(directory))


def _refuse_passphrase() -> NoReturn:
    raise UsageError("the key of the client certificate is encrypted; give one without passphrase")
