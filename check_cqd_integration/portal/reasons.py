"""What an error of the operating system or of TLS means at the step where it happened.

It is told in words, without addresses, tokens or anything else that a library puts into its
messages.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

from ..errors import PluginError, UnreachableError, UsageError, words_of
from .deadline import Deadline

NOT_HTTP = "what came is not proper HTTP"
TRY_AGAIN = (408, 429)
"""HTTP states of the client's side that may be others the next time."""


class ClosedError(UnreachableError):
    """The other side closed the connection."""


def explain(error: BaseException, deadline: Deadline) -> PluginError:
    """Return what an error means, in words that begin with the step.

    An EOFError stands for an answer that ended before its length, an HTTPException of http.client,
    as anything else, for what is not HTTP.
    """
    if isinstance(error, socket.gaierror):
        error = _of_this_host(error) or error
    elif isinstance(error, ssl.SSLError) and _is_out_of_memory():
        error = OSError(errno.ENOMEM, "")
    if isinstance(error, (TimeoutError, socket.timeout)):
        if deadline.is_over:
            return deadline.passed()
        # The operating system gave up, or one address used up its share of the time.
        return UnreachableError(f"{deadline.step}: connection timed out")
    told = f"{deadline.step}: {_reason(error)}"
    if getattr(error, "errno", None) in _LACKING:
        return UsageError(told)  # a host that lacks something says nothing of the portal
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(f"{told}{deadline.if_nobody_there}")
    return ClosedError(told) if _is_closed(error) else UnreachableError(told)


def most_telling(failures: list[OSError]) -> OSError:
    """Return the last failure that is one of the portal: not that this host lacks IPv6."""
    return next((e for e in reversed(failures) if e.errno not in _NOT_ASKED), failures[-1])


def _of_this_host(error: socket.gaierror) -> OSError | None:
    """Return what this host lacks: without a descriptor, the C library finds no name."""
    if error.errno == socket.EAI_MEMORY:
        return OSError(errno.ENOMEM, "")
    if error.errno in _NO_WINSOCK:
        return OSError(error.errno, "")
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as lacking:
        return lacking
    return None


def _is_out_of_memory() -> bool:
    """Tell whether that is why TLS failed: without memory OpenSSL finds a certificate too weak."""
    try:
        bytes(_SPARE)
    except MemoryError:
        return True
    return False


def _is_closed(error: BaseException) -> bool:
    return isinstance(error, _CLOSED) or getattr(error, "errno", 0) == errno.ENOTCONN


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror) and error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
        return "the name servers fail, or do not answer"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "there is no host of this name"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_TROUBLE.get(
            error.verify_code, f"its certificate is not valid ({error.verify_message})"
        )
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the server running?"
    if _is_closed(error):
        return "the connection was closed by the other side"
    if isinstance(error, ssl.SSLError):
        return _tls_reason(error.reason or "closed")
    if isinstance(error, EOFError):
        return "the answer ended too early"
    if isinstance(error, OSError) and error.errno:
        return _NO_WAY.get(error.errno) or words_of(error)
    return NOT_HTTP


_SPARE = 8 * 1024 * 1024
"""Bytes that a handshake may take, and more."""
_NO_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_NO_WINSOCK = (10091, 10092, 10093, 10106, 10107)
"""WSASYSNOTREADY, WSAVERNOTSUPPORTED, WSANOTINITIALISED, WSAEPROVIDERFAILEDINIT and
WSASYSCALLFAILURE, whose numbers nothing has on other systems.
"""
_LACKING = (
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS),
    *_NO_ADDRESS,
    *_NO_WINSOCK,
)
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_NO_WAY = {
    errno.EHOSTUNREACH: "no route to host; is it up, does a firewall forbid it?",
    errno.EACCES: "permission denied; does a firewall or SELinux forbid it?",
    errno.EINVAL: "no way from here; a blackhole route, or an address without its zone?",
    **dict.fromkeys(_NO_ADDRESS, "no address or port to connect from; is this host's IPv6 off?"),
    **dict.fromkeys(_NO_WINSOCK, "Windows has no network; is SystemRoot in the environment?"),
}
"""Where the words of the C library lead astray."""
_NOT_ASKED = (*_NO_ADDRESS, errno.ENETUNREACH)
"""Nothing was sent to such an address."""
_ANOTHER_NAME = "its certificate is for another name"
_CERTIFICATE_TROUBLE = {
    9: "its certificate is not valid yet; is this host's clock right?",
    10: "its certificate has expired",
    18: "its certificate is self-signed and not trusted; give it with --ca-file",
    19: "its certificate is not trusted; give its CA with --ca-file",
    20: "its certificate is not trusted; give its CA with --ca-file",
    62: _ANOTHER_NAME,
    64: _ANOTHER_NAME,
}
"""By the verify codes of OpenSSL (X509_V_ERR_...)."""


def _tls_reason(reason: str) -> str:
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return "the handshake was refused; does the server want a --client-cert?"
    if ("PROTOCOL" in reason and "VERSION" in reason) or "UNSUPPORTED_PROTOCOL" in reason:
        return "the server offers nothing newer than TLS 1.1"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "what answers there is not TLS; does it need --http?"
    return f"the handshake failed ({reason.replace('_', ' ').lower()})"
