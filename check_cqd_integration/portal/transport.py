"""The way to the portal: requests' transport with our TLS settings, and a note of each step.

requests offers an adapter's methods, and urllib3 a connection's, for subclassing. What failed on
the way is told here in words, without addresses, tokens or anything else that the libraries put
into their messages.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from ..errors import AnswerError, PluginError, PortalError, UnreachableError, UsageError
from .answer import MAX_BYTES, TooLargeError
from .deadline import Deadline

_URLLIB3_COMPARES_NAMES = not hasattr(urllib3.exceptions, "NameResolutionError")
"""Before version 2, where OpenSSL would fail for an address in place of a name."""

_INDEXED = re.compile("[0-9a-f]{8}[.][0-9]+")
"""A name that `openssl rehash` gives: the hash of the subject, and a number."""


class Trust(NamedTuple):
    """Whom TLS believes, and the certificate that this client shows. All files are PEM."""

    ca_file: str | None = None
    """Authorities in place of the operating system's."""
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
            reason = misread if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(f"{what}: {reason}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if _URLLIB3_COMPARES_NAMES:  # pragma: no cover (urllib3 before 2)
            context.check_hostname = False
        if self.client_cert:
            files = " with ".join(filter(None, (self.client_cert, self.client_key)))
            try:
                context.load_cert_chain(self.client_cert, self.client_key, _refuse_passphrase)
            except ssl.SSLError as error:
                raise UsageError(
                    f"--client-cert {files}: no certificate in PEM format with its key"
                ) from error
            except OSError as error:
                raise UsageError(f"--client-cert {files}: {error.strerror}") from error
        return context

    def _believing(self) -> ssl.SSLContext:
        if self.insecure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        indexed = None if self.ca_file else _indexed_authorities()
        context = ssl.create_default_context(cafile=self.ca_file, capath=indexed)
        if not (self.ca_file or indexed or _has_authorities(context)):
            raise UsageError(
                "this host has no authorities to trust; install ca-certificates, or give --ca-file"
            )
        return context


def _indexed_authorities() -> str | None:
    """Return the operating system's directory of authorities, if its index holds its bundle.

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


def _has_authorities(context: ssl.SSLContext) -> bool:
    """Tell whether any was read from a file, or may be read from a directory when it is needed."""
    directory = ssl.get_default_verify_paths().capath
    return context.cert_store_stats()["x509"] > 0 or bool(directory and os.listdir(directory))


def _refuse_passphrase() -> NoReturn:
    raise UsageError("the key of the client certificate is encrypted; give one without passphrase")


class Transport(HTTPAdapter):
    """One TLS context for all connections, each of which tells the deadline its steps."""

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self.certificates: list[bytes | None] = []
        """What the other side showed (DER; None without TLS), once for each connection made."""
        notes = (deadline, self.certificates)
        self._pools = {
            "http": _pool_with(urllib3.HTTPConnectionPool, partial(_Plain, *notes)),
            "https": _pool_with(urllib3.HTTPSConnectionPool, partial(_Secure, *notes)),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        # Nobody beside those of the TLS settings: Debian's urllib3 would add the system's bundle.
        kwargs |= {"ssl_context": self._tls, "ca_certs": None}
        super().init_poolmanager(*args, **kwargs)  # type: ignore[no-untyped-call, unused-ignore]
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        kwargs |= {"ssl_context": self._tls, "ca_certs": None}
        manager = super().proxy_manager_for(proxy, **kwargs)  # type: ignore[no-untyped-call, unused-ignore]
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave trust to the TLS settings: requests would add the bundle of certifi to them."""


def _pool_with(
    pool_class: type[urllib3.HTTPConnectionPool], connect: Callable[..., HTTPConnection]
) -> Callable[..., urllib3.HTTPConnectionPool]:
    def pool(*args: Any, **kwargs: Any) -> urllib3.HTTPConnectionPool:
        made = pool_class(*args, **kwargs)
        made.ConnectionCls = connect  # type: ignore[assignment]
        return made

    return pool


class _Limited(io.RawIOBase):
    """What comes over a connection, up to twice ``MAX_BYTES``: an answer of that and its headers.

    Counted here, below http.client, which reads a line or a chunk of any length into memory.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._left = 2 * MAX_BYTES
        self.cut: Exception | None = http.client.RemoteDisconnected("")
        """What it means if the connection ends here; None where that is the answer's own end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise TooLargeError
        if not count and self.cut:
            raise self.cut
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _LimitedResponse(http.client.HTTPResponse):
    """A response without cookies, that can tell a head that was cut from a whole one."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self._limited = _Limited(sock.makefile("rb", buffering=0))
        self.fp = io.BufferedReader(self._limited)

    def begin(self) -> None:
        super().begin()
        # No cookie is wanted, and requests may take minutes to read one.
        del self.headers["Set-Cookie"], self.headers["Set-Cookie2"]
        self._limited.cut = http.client.IncompleteRead(b"") if self.chunked else None


class _NotesSteps:
    """What both kinds of connection do: note each step, and share the time among all addresses."""

    response_class: Any = _LimitedResponse

    def __init__(
        self, deadline: Deadline, certificates: list[bytes | None], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = deadline
        self._certificates = certificates

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise explain(error, self._deadline) from error
        connection = self.sock  # type: ignore[attr-defined]
        shown = connection.getpeercert(True) if isinstance(connection, ssl.SSLSocket) else None
        if self._certificates and shown != self._certificates[-1]:
            # A login is bound to the certificate of the connection that asked for it.
            connection.close()
            raise UnreachableError(f"{self._deadline.step}: another certificate than before")
        self._certificates.append(shown)
        self._deadline.step = f"waiting for the answer of {self._peer()}"

    def _new_conn(self) -> socket.socket:
        host, port, deadline = self._dns_host, self.port, self._deadline  # type: ignore[attr-defined]
        # urllib3 leaves a proxy its brackets. %25 is before the zone of an address, RFC 6874.
        host = host.strip("[]").replace("%25", "%")
        what = "the proxy " if self.proxy else ""  # type: ignore[attr-defined]
        deadline.step = f"looking up {what}{host}"
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        deadline.step = f"connecting to {what}{host} port {port}"
        failures: list[OSError] = []
        for family, kind, protocol, _, address in found:
            connection = None
            try:
                connection = socket.socket(family, kind, protocol)  # fails without IPv6
                connection.settimeout(deadline.remaining() / (len(found) - len(failures)))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(address)
            except OSError as error:
                if connection:
                    connection.close()
                failures.append(error)
            else:
                connection.settimeout(deadline.remaining())
                deadline.step = f"TLS with {self._peer()}"
                return connection
        raise _most_telling(failures)

    def _tunnel(self) -> None:
        self._deadline.step = f"asking the proxy for a way to {self._peer()}"
        super()._tunnel()  # type: ignore[misc]
        self._deadline.step = f"TLS with {self._peer()}"

    def _peer(self) -> str:
        return self._tunnel_host or self.host  # type: ignore[attr-defined, no-any-return]


class _Plain(_NotesSteps, HTTPConnection):
    pass


class _Secure(_NotesSteps, HTTPSConnection):
    pass


def _most_telling(failures: list[OSError]) -> OSError:
    """Return the last failure that is one of the portal: not that this host lacks IPv6."""
    return next((e for e in reversed(failures) if e.errno not in _NOT_ASKED), failures[-1])


def explain(error: BaseException, deadline: Deadline) -> PluginError:
    """Return what an error of requests, urllib3 or below means at the step it happened."""
    chain = list(_chain(error))
    error = chain[-1]
    if isinstance(error, socket.gaierror):
        error = _of_this_host(error) or error
    if isinstance(error, (TimeoutError, socket.timeout)):
        if deadline.is_over:
            return deadline.passed()
        # The operating system gave up, or one address used up its share of the time.
        return UnreachableError(f"{deadline.step}: connection timed out")
    if any(isinstance(each, urllib3.exceptions.DecodeError) for each in chain):
        return AnswerError(f"{deadline.step}: its compression is broken")
    if match := re.search("Tunnel connection failed: ([0-9]{3})", str(error)):
        is_refusal = match[1].startswith("4") and match[1] not in ("408", "429")
        kind = PortalError if is_refusal else UnreachableError
        return kind(f"{deadline.step}: the proxy refuses (HTTP {match[1]})")
    # A host that lacks something says nothing of the portal.
    is_ours = getattr(error, "errno", None) in _LACKING
    return (UsageError if is_ours else UnreachableError)(f"{deadline.step}: {_reason(error)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what led to it; urllib3 keeps some only as an argument of the next."""
    yield error
    carried = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    before = error.__cause__ or error.__context__ or carried
    # A TypeError is urllib3's own, before version 2: it tries an argument of Python 2.
    if before is not None and not isinstance(before, TypeError):
        yield from _chain(before)


def _of_this_host(error: socket.gaierror) -> OSError | None:
    """Return what this host lacks: without a descriptor, the C library finds no name."""
    if error.errno == socket.EAI_MEMORY:
        return OSError(errno.ENOMEM, "")
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as lacking:
        return lacking
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror) and error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
        return "the name servers fail, or do not answer"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "there is no host of this name"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_TROUBLE.get(
            error.verify_code, f"its certificate is not valid ({error.verify_message})"
        )
    if type(error).__name__ == "CertificateError":  # pragma: no cover (urllib3 before 2)
        return _ANOTHER_NAME
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the server running?"
    if isinstance(error, _CLOSED) or getattr(error, "errno", 0) == errno.ENOTCONN:
        return "the connection was closed by the other side"
    if isinstance(error, ssl.SSLError):
        return _tls_reason(str(error))
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended too early"
    if isinstance(error, OSError) and error.errno:
        return _NO_WAY.get(error.errno) or os.strerror(error.errno)
    return "what came is not proper HTTP"


_NO_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, *_NO_ADDRESS)
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_NO_WAY = {
    errno.EHOSTUNREACH: "no route to host; is it up, does a firewall forbid it?",
    errno.EACCES: "permission denied; does a firewall or SELinux forbid it?",
    errno.EINVAL: "no way from here; a blackhole route, or an address without its zone?",
    **dict.fromkeys(_NO_ADDRESS, "no address or port to connect from; is this host's IPv6 off?"),
}
"""Where the words of the C library lead astray."""
_NOT_ASKED = (*_NO_ADDRESS, errno.ENETUNREACH)
"""Nothing was sent to such an address."""
_ANOTHER_NAME = "its certificate is for another name"
_CERTIFICATE_TROUBLE = {
    9: "its certificate is not valid yet; is this host's clock right?",
    10: "its certificate has expired",
    18: "its certificate is self-signed and not trusted; give it with --ca-file",
    19: "the authority of its certificate is not trusted; give it with --ca-file",
    20: "the authority of its certificate is not trusted; give it with --ca-file",
    62: _ANOTHER_NAME,
    64: _ANOTHER_NAME,
}
"""By the verify codes of OpenSSL (X509_V_ERR_...)."""


def _tls_reason(text: str) -> str:
    named = re.search(r"\[SSL: (\w+)\]", text)  # urllib3 may lose the attribute `reason`
    reason = named[1] if named else "closed"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return "the handshake was refused; does the server want a --client-cert?"
    if ("PROTOCOL" in reason and "VERSION" in reason) or "UNSUPPORTED_PROTOCOL" in reason:
        return "the server offers nothing newer than TLS 1.1"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "what answers there is not TLS; is it --http?"
    return f"the handshake failed ({reason.replace('_', ' ').lower()})"
