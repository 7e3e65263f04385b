"""The fault matrix: everything that a network and a server can do wrong, one row each.

`tests/test_faults.py` runs the plugin, as a process, against every row; `make bench` says how much
time and memory the worst of them took. Name servers and firewalls are in
`tests/acceptance/test_network.py`: they need a network of their own.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import trustme
from expected import AT_DOCUMENTED_MOMENT, WITHOUT_DATE, masked
from portal_simulator import DOCUMENTED
from raw_server import (
    Handler,
    answering,
    dripping,
    free_port,
    full_listener,
    raw_server,
    read_head,
    silent,
)

LIMIT = 1.0
"""Seconds of -t for a fault that lasts."""
_UNLIMITED = 20.0

Server = Callable[[], "contextlib.AbstractContextManager[int]"]


@dataclass(frozen=True)
class Fault:
    """One way to break, and what the plugin must make of it."""

    name: str
    serve: Server
    """Makes what is broken; yields the port on 127.0.0.1."""
    told: tuple[str, ...]
    """``STATE - text``, ``{port}`` being the port; several if libraries or packets decide."""
    scheme: str = "http"
    lasts: bool = False
    """Whether only -t ends it."""

    @property
    def timeout(self) -> float:
        """The seconds of -t, at least."""
        return LIMIT if self.lasts else _UNLIMITED

    def expected(self, port: int) -> list[tuple[int, str]]:
        """Return the exit code and the whole output, or all that are right."""
        states = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
        return [
            (states.index(told.split()[0]), f"CQD {told.format(port=port)}\n") for told in self.told
        ]


@dataclass(frozen=True)
class Outcome:
    """What a process of the plugin did."""

    code: int
    output: str
    errors: str
    seconds: float
    """From its first step to its end, the start of Python left out."""
    mebibytes: float
    """The most memory that it ever held."""


_MEASURED = """
import os
import sys
import time
from check_cqd_integration.cli import main
begin = time.monotonic()
code = main(sys.argv[1:])
seconds = time.monotonic() - begin
with open("/proc/self/status") as status:
    kibibytes = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
print(seconds, kibibytes, file=sys.stderr, flush=True)
os._exit(code)  # as main does at its end
"""


def run(fault: Fault, longer: float = 0) -> tuple[Outcome, list[tuple[int, str]]]:
    """Run the plugin against a fault; return what it did, and what it should have done.

    ``longer`` are seconds more of -t.
    """
    with fault.serve() as port, authority() as trusted:
        command = [sys.executable, "-c", _MEASURED, "-u", f"{fault.scheme}://127.0.0.1:{port}/"]
        command += [*AT_DOCUMENTED_MOMENT, "-t", f"{fault.timeout + longer:g}"]
        command += ["--ca-file", trusted] if fault.scheme == "https" else []
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    *errors, figures = process.stderr.splitlines()
    seconds, kibibytes = map(float, figures.split())
    outcome = Outcome(
        process.returncode, masked(process.stdout), "".join(errors), seconds, kibibytes / 1024
    )
    return outcome, fault.expected(port)


def authority() -> contextlib.AbstractContextManager[str]:
    """Have a file with the certificate of the authority that a client is to trust."""
    return _CA.cert_pem.tempfile()


# --- servers ------------------------------------------------------------------------------------

_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
_LENGTH = b"Content-Length: %d\r\n\r\n" % len(DOCUMENTED)
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_COOKIE = b"Set-Cookie2: %b\r\n" % (32000 * b"a,")
_GZIP = b"Content-Encoding: gzip\r\n\r\n"
_DAY = timedelta(days=1)


def _refusing() -> contextlib.AbstractContextManager[int]:
    return contextlib.nullcontext(free_port())


def _raw(handler: Handler) -> Server:
    return partial(raw_server, handler)


def _answer(*parts: bytes) -> Server:
    return _raw(answering(*parts))


def _reset_after(answer: bytes | None = None, hello: bool = False) -> Server:
    """Send these bytes, if any, and reset the connection; before that read what comes."""

    def handler(connection: socket.socket, over: threading.Event) -> None:
        if hello:
            connection.recv(65536)
        if answer is not None:
            read_head(connection)
            connection.sendall(answer)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return _raw(handler)


def _then(begin: bytes, rest: Handler) -> Server:
    """Answer the request with these bytes, and do the rest."""

    def handler(connection: socket.socket, over: threading.Event) -> None:
        answering(begin)(connection, over)
        rest(connection, over)

    return _raw(handler)


def _endless(begin: bytes, rest: bytes) -> Server:
    def repeat(connection: socket.socket, over: threading.Event) -> None:
        block = rest * (65536 // len(rest) + 1)
        while not over.is_set():
            connection.sendall(block)

    return _then(begin, repeat)


def _greeting(banner: bytes) -> Server:
    """Speak first, as the servers of other protocols do."""

    def handler(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(banner)
        over.wait()

    return _raw(handler)


def _dripping(answer: bytes = b"", begin: bytes | None = None) -> Server:
    if begin is None:
        return _raw(dripping(answer, read=False))
    return _then(begin, dripping(answer, read=False))


def _redirect(location: str) -> Handler:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()

    def handler(connection: socket.socket, over: threading.Event) -> None:
        while read_head(connection):
            connection.sendall(head)

    return handler


def _status(line: str, *headers: str) -> Server:
    head = "\r\n".join([f"HTTP/1.1 {line}", "Connection: close", *headers, ""]).encode()
    return _answer(head, _LENGTH, DOCUMENTED)


_CA = trustme.CA()
_FINE = answering(_HEAD, _LENGTH, DOCUMENTED)


def _tls(context: ssl.SSLContext, handler: Handler = _FINE) -> Server:
    """Serve over TLS; at the end the connection is cut, without TLS's own farewell."""

    def encrypted(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            handler(wrapped, over)

    return _raw(encrypted)


def _tls_with(certificate: trustme.LeafCert, handler: Handler = _FINE) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return _tls(context, handler)


def _tls_self_signed() -> Server:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder, "both.pem")
        both.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
        context.load_cert_chain(both)
    return _tls(context)


def _tls_1_0() -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _CA.issue_cert("127.0.0.1").configure_cert(context)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is old, that is the point
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    return _tls(context)


def _certificate(
    identity: str = "127.0.0.1",
    ca: trustme.CA = _CA,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> trustme.LeafCert:
    return ca.issue_cert(identity, not_before=not_before, not_after=not_after)


# --- the matrix ---------------------------------------------------------------------------------

_CONNECTING = "connecting to 127.0.0.1 port {port}: "
_IN_TLS = "TLS with 127.0.0.1: "
_WAITING = "waiting for the answer of 127.0.0.1: "
_READING = "reading the answer of 127.0.0.1: "
_CLOSED = "the connection was closed by the other side"
_NO_HTTP = "what came is not proper HTTP"
_TOO_EARLY = "the answer ended too early"
_TOO_LARGE = "the answer is larger than 1 MiB, and is not read"
_TIME_IS_UP = f"no answer within {LIMIT:g}s (-t)"
_GRADED = WITHOUT_DATE.removeprefix("CQD CRITICAL - ").rstrip("\n")
"""The documented answer is whole, whatever the server says of its length."""


def _fault(name: str, state: str, text: str, serve: Server, scheme: str = "http") -> Fault:
    return Fault(name, serve, (f"{state} - {text}",), scheme, lasts=text.endswith(_TIME_IS_UP))


FAULTS = [
    # The connection.
    _fault(
        "refused",
        "CRITICAL",
        f"{_CONNECTING}connection refused; is the server running?",
        _refusing,
    ),
    Fault(
        "reset at accept",
        _reset_after(),
        (f"CRITICAL - {_CONNECTING}{_CLOSED}", f"CRITICAL - {_WAITING}{_CLOSED}"),
    ),
    Fault(
        "reset at accept, tls",
        _reset_after(),
        (f"CRITICAL - {_CONNECTING}{_CLOSED}", f"CRITICAL - {_IN_TLS}{_CLOSED}"),
        "https",
    ),
    _fault("reset in tls", "CRITICAL", _IN_TLS + _CLOSED, _reset_after(hello=True), "https"),
    _fault("reset before headers", "CRITICAL", _WAITING + _CLOSED, _reset_after(b"")),
    _fault("reset in headers", "CRITICAL", _WAITING + _CLOSED, _reset_after(_HEAD)),
    _fault("reset in body", "CRITICAL", _READING + _CLOSED, _reset_after(_HEAD + _LENGTH + b"{")),
    _fault("cut in status", "CRITICAL", _WAITING + _CLOSED, _answer(b"HTTP/1.1 2")),
    _fault("cut in headers", "CRITICAL", _WAITING + _CLOSED, _answer(_HEAD)),
    _fault("silent at connect", "CRITICAL", _CONNECTING + _TIME_IS_UP, full_listener),
    _fault("silent in tls", "CRITICAL", _IN_TLS + _TIME_IS_UP, _raw(silent), "https"),
    _fault("silent before headers", "CRITICAL", _WAITING + _TIME_IS_UP, _raw(silent)),
    _fault("silent in headers", "CRITICAL", _WAITING + _TIME_IS_UP, _then(_HEAD, silent)),
    _fault("silent in body", "CRITICAL", _READING + _TIME_IS_UP, _then(_HEAD + _LENGTH, silent)),
    _fault("dripping in tls", "CRITICAL", _IN_TLS + _TIME_IS_UP, _dripping(bytes(99)), "https"),
    _fault("dripping headers", "CRITICAL", _WAITING + _TIME_IS_UP, _dripping(_HEAD, b"")),
    _fault(
        "dripping body", "CRITICAL", _READING + _TIME_IS_UP, _dripping(DOCUMENTED, _HEAD + _LENGTH)
    ),
    _fault(
        "dripping chunks",
        "CRITICAL",
        _READING + _TIME_IS_UP,
        _dripping(99 * b"1\r\n{\r\n", _HEAD + _CHUNKED),
    ),
    _fault(
        "silent before headers, tls",
        "CRITICAL",
        _WAITING + _TIME_IS_UP,
        _tls_with(_certificate(), silent),
        "https",
    ),
    _fault(
        "dripping headers, tls",
        "CRITICAL",
        _WAITING + _TIME_IS_UP,
        _tls_with(_certificate(), dripping(_HEAD)),
        "https",
    ),
    _fault(
        "cut in headers, tls",
        "CRITICAL",
        _WAITING + _CLOSED,
        _tls_with(_certificate(), answering(_HEAD)),
        "https",
    ),
    _fault(
        "no length, tls",
        "CRITICAL",
        _GRADED,
        _tls_with(_certificate(), answering(_HEAD, b"\r\n", DOCUMENTED)),
        "https",
    ),
    # The body's length.
    _fault("no length", "CRITICAL", _GRADED, _answer(_HEAD, b"\r\n", DOCUMENTED)),
    _fault(
        "length too long",
        "CRITICAL",
        _READING + _TOO_EARLY,
        _answer(_HEAD, b"Content-Length: 9999\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "length too short",
        "UNKNOWN",
        "the answer is broken JSON at line 5 column 1: Unterminated string starting at",
        _answer(_HEAD, b"Content-Length: 100\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "length zero",
        "UNKNOWN",
        "the portal's integration log is disabled; in QoEDataService/web.config of the portal set "
        "QoEDataLib.DebugMode to True",
        _answer(_HEAD, b"Content-Length: 0\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "length negative",
        "CRITICAL",
        _GRADED,
        _answer(_HEAD, b"Content-Length: -1\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "length huge",
        "CRITICAL",
        _READING + _TOO_EARLY,
        _answer(_HEAD, b"Content-Length: 99999999999999999999\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "length of digits without end",
        "CRITICAL",
        _GRADED,
        _answer(_HEAD, b"Content-Length: " + b"9" * 60000 + b"\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "length not a number",
        "CRITICAL",
        _GRADED,
        _answer(_HEAD, b"Content-Length: many\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "lengths that differ",
        "CRITICAL",
        _WAITING + _NO_HTTP,
        _answer(_HEAD, b"Content-Length: 3\r\n", _LENGTH, DOCUMENTED),
    ),
    _fault("body without end", "UNKNOWN", _TOO_LARGE, _endless(_HEAD + b"\r\n", b" ")),
    # Chunks.
    _fault(
        "chunk size not a number",
        "CRITICAL",
        _READING + _NO_HTTP,
        _answer(_HEAD, _CHUNKED, b"zz\r\n", DOCUMENTED),
    ),
    _fault(
        "chunk size negative",
        "CRITICAL",
        _READING + _NO_HTTP,
        _answer(_HEAD, _CHUNKED, b"-5\r\n", DOCUMENTED),
    ),
    _fault(
        "chunk cut",
        "CRITICAL",
        _READING + _TOO_EARLY,
        _answer(_HEAD, _CHUNKED, b"ffff\r\n", DOCUMENTED),
    ),
    _fault(
        "last chunk missing",
        "CRITICAL",
        _READING + _TOO_EARLY,
        _answer(_HEAD, _CHUNKED, b"%x\r\n" % len(DOCUMENTED), DOCUMENTED, b"\r\n"),
    ),
    _fault("chunks without end", "UNKNOWN", _TOO_LARGE, _endless(_HEAD + _CHUNKED, b"1\r\n \r\n")),
    *(
        # http.client limits a line that urllib3 reads only since version 2.
        Fault(
            f"{what} without end",
            _endless(_HEAD + _CHUNKED + begin, rest),
            (f"CRITICAL - {_READING}{_NO_HTTP}", f"UNKNOWN - {_TOO_LARGE}"),
        )
        for what, begin, rest in (
            ("chunk size", b"", b"0"),
            ("chunk extension", b"1;", b"x"),
            ("chunk of a negative size", b"-1\r\n", b"0"),
            ("trailer", b"0\r\nX: ", b"y"),
        )
    ),
    _fault(
        "trailers without end",
        "UNKNOWN",
        _TOO_LARGE,
        _endless(_HEAD + _CHUNKED + b"0\r\n", b"X: y\r\n"),
    ),
    # Compression.
    _fault(
        "gzip truncated",
        "UNKNOWN",
        "the answer is broken JSON at line 18 column 33: Expecting ',' delimiter",
        _answer(_HEAD, _GZIP, gzip.compress(DOCUMENTED)[:-20]),
    ),
    _fault(
        "gzip without its end",
        "CRITICAL",
        _GRADED,
        _answer(_HEAD, _GZIP, gzip.compress(DOCUMENTED)[:-8]),
    ),
    _fault(
        "gzip lies",
        "UNKNOWN",
        f"{_READING}its compression is broken",
        _answer(_HEAD, _GZIP, DOCUMENTED),
    ),
    _fault(
        "gzip expands a thousandfold",
        "UNKNOWN",
        _TOO_LARGE,
        _answer(_HEAD, _GZIP, gzip.compress(bytes(1000 * 1024 * 1024))),
    ),
    _fault(
        "gzip of gzip",
        "UNKNOWN",
        "the answer is compressed as 'gzip, gzip', which is not read",
        _answer(_HEAD, b"Content-Encoding: gzip, gzip\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "compression unknown",
        "CRITICAL",
        _GRADED,
        _answer(_HEAD, b"Content-Encoding: zip\r\n\r\n", DOCUMENTED),
    ),
    _fault(
        "compression without a limit",
        "UNKNOWN",
        "the answer is compressed as 'br', which is not read",
        _answer(_HEAD, b"Content-Encoding: br\r\n\r\n", DOCUMENTED),
    ),
    # Headers.
    _fault(
        "cookies that take long to read",
        "CRITICAL",
        _GRADED,
        _answer(_HEAD, b"Set-Cookie: a=b\r\n", 30 * _COOKIE, _LENGTH, DOCUMENTED),
    ),
    _fault(
        "100 Continue without end",
        "UNKNOWN",
        _TOO_LARGE,
        _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ),
    _fault(
        "100 Continue dripping",
        "CRITICAL",
        _WAITING + _TIME_IS_UP,
        _dripping(99 * b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    ),
    _fault("headers without end", "CRITICAL", _WAITING + _NO_HTTP, _endless(_HEAD, b"X: y\r\n")),
    _fault(
        "100,000 headers",
        "CRITICAL",
        _WAITING + _NO_HTTP,
        _answer(_HEAD, 100_000 * b"X: y\r\n", _LENGTH, DOCUMENTED),
    ),
    _fault(
        "header of 10 MB",
        "CRITICAL",
        _WAITING + _NO_HTTP,
        _answer(_HEAD, b"X: ", bytes(10_000_000), b"\r\n", _LENGTH, DOCUMENTED),
    ),
    _fault("header line without end", "CRITICAL", _WAITING + _NO_HTTP, _endless(_HEAD, b"X")),
    # Redirects.
    _fault(
        "redirect in circles",
        "UNKNOWN",
        "the portal redirects more than 5 times",
        _raw(_redirect("/")),
    ),
    _fault(
        "redirect without end",
        "UNKNOWN",
        "the portal redirects more than 5 times",
        _raw(_redirect("deeper/")),
    ),
    _fault(
        "redirect to another host",
        "UNKNOWN",
        "the portal redirects to http://localhost, which is not followed; if that is right, give "
        "its address with --url",
        _raw(_redirect("http://localhost/")),
    ),
    _fault(
        "redirect to http",
        "UNKNOWN",
        "the portal redirects to http://127.0.0.1, which is not followed; if that is right, give "
        "its address with --url",
        _tls_with(_certificate(), _redirect("http://127.0.0.1/")),
        "https",
    ),
    _fault(
        "redirect to a file",
        "UNKNOWN",
        "the portal redirects to file://, which is not followed; if that is right, give its "
        "address with --url",
        _raw(_redirect("file:///etc/passwd")),
    ),
    # Refusals, with a body that would be fine.
    _fault(
        "204",
        "UNKNOWN",
        "the portal's integration log is disabled; in QoEDataService/web.config of the portal set "
        "QoEDataLib.DebugMode to True",
        _status("204"),
    ),
    _fault(
        "206", "UNKNOWN", "HTTP 206 Partial Content: not the answer of a CQD portal", _status("206")
    ),
    _fault(
        "304", "UNKNOWN", "HTTP 304 Not Modified: not the answer of a CQD portal", _status("304")
    ),
    _fault(
        "401 without a scheme",
        "UNKNOWN",
        "HTTP 401: the portal wants a login and offers no scheme; turn on Windows "
        "Authentication in its IIS",
        _status("401"),
    ),
    _fault(
        "407",
        "UNKNOWN",
        "HTTP 407 Proxy Authentication Required: the proxy wants a login, which is not supported",
        _status("407"),
    ),
    _fault(
        "408",
        "CRITICAL",
        "HTTP 408 Request Timeout: the portal cannot answer now",
        _status("408"),
    ),
    _fault(
        "429",
        "CRITICAL",
        "HTTP 429 Too Many Requests: the portal cannot answer now",
        _status("429"),
    ),
    _fault(
        "500",
        "CRITICAL",
        "HTTP 500 Internal Server Error: the portal cannot answer now",
        _status("500"),
    ),
    _fault("502", "CRITICAL", "HTTP 502 Bad Gateway: the portal cannot answer now", _status("502")),
    _fault(
        "503",
        "CRITICAL",
        "HTTP 503 Service Unavailable: the portal cannot answer now",
        _status("503"),
    ),
    _fault("600", "UNKNOWN", "HTTP 600: not the answer of a CQD portal", _status("600")),
    _fault("2000", "CRITICAL", _WAITING + _NO_HTTP, _status("2000")),
    # Trust.
    _fault(
        "certificate expired",
        "CRITICAL",
        f"{_IN_TLS}its certificate has expired",
        _tls_with(_certificate(not_after=datetime.now(timezone.utc) - _DAY)),
        "https",
    ),
    _fault(
        "certificate not yet valid",
        "CRITICAL",
        f"{_IN_TLS}its certificate is not valid yet; is this host's clock right?",
        _tls_with(_certificate(not_before=datetime.now(timezone.utc) + _DAY)),
        "https",
    ),
    _fault(
        "certificate for another name",
        "CRITICAL",
        f"{_IN_TLS}its certificate is for another name",
        _tls_with(_certificate("cqd.example.com")),
        "https",
    ),
    _fault(
        "certificate self-signed",
        "CRITICAL",
        f"{_IN_TLS}its certificate is self-signed and not trusted; give it with --ca-file",
        _tls_self_signed(),
        "https",
    ),
    _fault(
        "certificate of an unknown authority",
        "CRITICAL",
        f"{_IN_TLS}its certificate is not trusted; give its CA with --ca-file",
        _tls_with(_certificate(ca=trustme.CA())),
        "https",
    ),
    _fault(
        "tls 1.0 only",
        "CRITICAL",
        f"{_IN_TLS}the server offers nothing newer than TLS 1.1",
        _tls_1_0(),
        "https",
    ),
    # Other protocols.
    _fault(
        "http where https is expected",
        "CRITICAL",
        f"{_IN_TLS}what answers there is not TLS; does it need --http?",
        _greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "https",
    ),
    _fault(
        "https where http is expected",
        "CRITICAL",
        _WAITING + _CLOSED,
        _tls_with(_certificate()),
    ),
    _fault("http/0.9", "CRITICAL", _WAITING + _NO_HTTP, _answer(DOCUMENTED)),
    _fault(
        "http/2",
        "CRITICAL",
        _WAITING + _NO_HTTP,
        _answer(b"HTTP/2 200 OK\r\n", _LENGTH, DOCUMENTED),
    ),
    _fault(
        "ssh", "CRITICAL", _WAITING + _NO_HTTP, _greeting(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    ),
    _fault("smtp", "CRITICAL", _WAITING + _NO_HTTP, _greeting(b"220 smtp.example.com ESMTP\r\n")),
    _fault(
        "ftp, https",
        "CRITICAL",
        f"{_IN_TLS}what answers there is not TLS; does it need --http?",
        _greeting(b"220 ftp.example.com\r\n"),
        "https",
    ),
    _fault("mysql", "CRITICAL", _WAITING + _NO_HTTP, _greeting(b"J\0\0\0\n5.7.44\0")),
]
