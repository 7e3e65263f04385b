"""A web server that logs in its clients as IIS does, Extended Protection included.

The logins are real: Kerberos by MIT krb5, NTLM by gss-ntlmssp, both through GSSAPI, because no web
server outside Windows checks the channel binding that Extended Protection is about. It runs under
the operating system's Python, which has these libraries (Debian: python3-gssapi, gss-ntlmssp,
python3-cryptography), and takes from the environment where its secrets lie: KRB5_CONFIG,
KRB5_KTNAME (keytab) and NTLM_USER_FILE (lines of DOMAIN:user:password, used for Basic too).

What it does as IIS does: an NTLM login holds for the connection, a Kerberos login for one request
(IIS's default, authPersistNonNTLM=false); a 401 lists all schemes, a challenge only its own.

`/redirect?LOCATION` answers 302 to anybody, `/moved?LOCATION` 302 and `/forbidden...` 403 after a
good login, every other path the answer after a good login. `--log` gets one JSON object per
request: see Record.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socketserver
import ssl
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NoReturn

import gssapi
from cryptography import x509
from cryptography.hazmat.primitives import hashes

MECHANISMS = {
    "kerberos": gssapi.OID.from_int_seq("1.2.840.113554.1.2.2"),
    "ntlm": gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10"),
    "spnego": gssapi.OID.from_int_seq("1.3.6.1.5.5.2"),
}
SCHEMES = {
    "Negotiate": [MECHANISMS["spnego"], MECHANISMS["kerberos"], MECHANISMS["ntlm"]],
    "NTLM": [MECHANISMS["ntlm"]],
    "Basic": [],
}
FAULTS = {
    "none": "behave",
    "empty-401": "a 401 has no body",
    "close-401": "a 401 that is no challenge closes the connection",
    "close-in-handshake": "instead of judging a login token, close the connection",
    "503-in-handshake": "instead of judging a login token, answer 503",
    "no-challenge": "instead of judging a login token, answer 401 without a challenge",
    "no-proof": "let in without the token that proves who the server is",
    "wrong-proof": "let in with a token that proves nothing",
    "401-after-login": "refuse after a good login, as a page that one may not read does",
    "hang": "instead of judging a login token, answer nothing until the client goes away",
}
BEFORE_OR_AFTER = (
    *("none", "empty-401", "close-401"),
    *("no-proof", "wrong-proof", "401-after-login"),
)
"""The faults of a server that judges a login token."""
NTLM_FIRST_TOKEN = b"NTLMSSP\0\x01\0\0\0"
ACCESS_DENIED = (
    b"<!DOCTYPE html><html><head><title>401 - Unauthorized: Access is denied due to invalid "
    b"credentials.</title></head><body><h1>Server Error</h1></body></html>"
)


class RefusedError(Exception):
    """The login is refused; the text is for the log, the client is never told."""


@dataclass
class Record:
    """One request, one line of the log; a login attempt is a login granted or refused."""

    connection: int
    request: int  # counted from 1 on each connection
    path: str
    scheme: str | None = None  # of the Authorization header
    status: int | None = None  # None: closed without an answer
    login: str | None = None  # continued, granted, refused; None: no token was judged
    mechanism: str | None = None  # kerberos, ntlm, basic
    bound: bool = False  # whether the client proved the right channel binding
    user: str | None = None
    reason: str | None = None


@dataclass
class Policy:
    """How this server logs its clients in."""

    schemes: list[str]
    extended_protection: str
    binding: bytes | None  # None: the connection has none to check
    fault: str
    answer: Path
    log: Path | None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _connections: int = 0

    def next_connection(self) -> int:
        with self._lock:
            self._connections += 1
            return self._connections

    def write(self, record: Record) -> None:
        if self.log:
            with self._lock, self.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(asdict(record)) + "\n")


class GssLogin:
    """One login by tokens; the same object takes all the tokens of a handshake."""

    def __init__(self, policy: Policy, scheme: str):
        self._required = policy.extended_protection == "require"
        binding = None
        if policy.extended_protection != "off":
            binding = gssapi.raw.ChannelBindings(application_data=policy.binding)
        self._context = gssapi.SecurityContext(
            usage="accept",
            creds=gssapi.Credentials(usage="accept", mechs=SCHEMES[scheme]),
            channel_bindings=binding,
        )
        self._context.__DEFER_STEP_ERRORS__ = False  # raise here, not at a later attribute access

    def step(self, token: bytes, record: Record) -> bytes:
        """Judge a token, note the verdict in the record, return the token that answers it."""
        try:
            answer: bytes = self._context.step(token) or b""
        except gssapi.exceptions.GSSError as error:
            raise RefusedError(f"{type(error).__name__}: {' '.join(str(error).split())}") from None
        if not self._context.complete:
            record.login = "continued"
            return answer
        record.mechanism = next(n for n, oid in MECHANISMS.items() if oid == self._context.mech)
        record.user = str(self._context.initiator_name).rstrip("\0")  # gss-ntlmssp adds one
        record.bound = gssapi.RequirementFlag.channel_bound in self._context.actual_flags
        if self._required and not record.bound:
            raise RefusedError("Extended Protection requires a channel binding")
        record.login = "granted"
        return answer


def check_password(token: bytes, record: Record) -> None:
    """Judge a Basic login; the name may come with its domain or without."""
    record.mechanism = "basic"
    record.user, _, password = token.decode("utf-8").partition(":")
    for line in Path(os.environ["NTLM_USER_FILE"]).read_text("utf-8").splitlines():
        domain, user, known_password = line.split(":", 2)
        if record.user in (user, f"{domain}\\{user}") and password == known_password:
            record.login = "granted"
            return
    raise RefusedError("no such user and password")


class Connection(BaseHTTPRequestHandler):
    """A client's connection: with NTLM it is the connection that is logged in, not a request."""

    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-IIS/10.0"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Acceptor

    def setup(self) -> None:
        super().setup()
        self.policy = self.server.policy
        self.number = self.policy.next_connection()
        self.requests = 0
        self.handshake: GssLogin | None = None
        self.logged_in: Record | None = None

    def do_GET(self) -> None:
        self.requests += 1
        scheme, _, text = self.headers.get("Authorization", "").partition(" ")
        record = Record(self.number, self.requests, self.path, scheme or None)
        if self.path.startswith("/redirect?"):
            self.reply(record, 302, {"Location": self.path.partition("?")[2]})
        elif not scheme and self.logged_in:
            record.mechanism = self.logged_in.mechanism
            record.bound = self.logged_in.bound
            record.user = self.logged_in.user
            self.serve(record)
        elif scheme not in self.policy.schemes:
            self.deny(record)
        elif self.policy.fault in BEFORE_OR_AFTER:
            self.log_in(record, scheme, text)
        elif self.policy.fault == "no-challenge":
            self.deny(record)
        elif self.policy.fault == "503-in-handshake":
            self.reply(record, 503)
        else:
            self.policy.write(record)
            self.close_connection = True
            if self.policy.fault == "hang":
                self.rfile.read()

    do_HEAD = do_GET  # noqa: N815

    def log_in(self, record: Record, scheme: str, text: str) -> None:
        answer = b""
        self.logged_in = None
        try:
            token = base64.b64decode(text)
            if scheme == "Basic":
                check_password(token, record)
            else:
                if self.handshake is None or token.startswith(NTLM_FIRST_TOKEN):
                    self.handshake = GssLogin(self.policy, scheme)
                answer = self.handshake.step(token, record)
        except (RefusedError, ValueError) as error:
            record.login, record.reason = "refused", str(error)
        headers = {}
        if self.policy.fault == "no-proof" and record.login == "granted":
            answer = b""
        if self.policy.fault == "wrong-proof" and record.login == "granted":
            answer = answer[:-1] + bytes([answer[-1] ^ 1])
        if answer:
            headers["WWW-Authenticate"] = f"{scheme} {base64.b64encode(answer).decode()}"
        if record.login == "continued":
            self.reply(record, 401, headers, ACCESS_DENIED)
            return
        self.handshake = None
        if record.login == "refused":
            self.deny(record)
            return
        if record.mechanism == "ntlm":
            self.logged_in = record
            headers["Persistent-Auth"] = "true"
        if self.policy.fault == "401-after-login":
            self.reply(record, 401, headers, ACCESS_DENIED)
            return
        self.serve(record, headers)

    def serve(self, record: Record, headers: dict[str, str] | None = None) -> None:
        if self.path.startswith("/moved?"):
            location = self.path.partition("?")[2]
            self.reply(record, 302, {"Location": location, **(headers or {})})
        elif self.path.startswith("/forbidden"):
            self.reply(record, 403, headers, b"<html>403 - Forbidden: Access is denied.</html>")
        else:
            self.reply(record, 200, headers, self.policy.answer.read_bytes(), "application/json")

    def deny(self, record: Record) -> None:
        self.handshake = None
        headers = {"Connection": "close"} if self.policy.fault == "close-401" else {}
        self.reply(record, 401, headers, ACCESS_DENIED, schemes=self.policy.schemes)

    def reply(
        self,
        record: Record,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "text/html",
        schemes: Sequence[str] = (),
    ) -> None:
        record.status = status
        self.policy.write(record)  # before the answer, so that who has the answer finds it logged
        if status == 401 and self.policy.fault == "empty-401":
            body = b""
        self.send_response(status)
        for scheme in schemes:
            realm = ' realm="localhost"' if scheme == "Basic" else ""
            self.send_header("WWW-Authenticate", scheme + realm)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The log is Policy.write's."""


class Acceptor(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, policy: Policy, tls: ssl.SSLContext | None):
        super().__init__(("127.0.0.1", port), Connection)
        self.policy = policy
        self.tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            if self.tls:  # here, in the connection's own thread, so that no client stops another
                request = self.tls.wrap_socket(request, server_side=True)
            with request:
                super().finish_request(request, client_address)
        except OSError:  # the client went away, or does not trust the certificate
            pass


def channel_binding(certificate: bytes) -> bytes:
    """The tls-server-end-point binding (RFC 5929, section 4.1) of a PEM certificate."""
    parsed = x509.load_pem_x509_certificate(certificate)
    algorithm = parsed.signature_hash_algorithm
    if algorithm is None or algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    return b"tls-server-end-point:" + parsed.fingerprint(algorithm)


def schemes_argument(text: str) -> list[str]:
    schemes = text.split(",")
    if not set(schemes) <= set(SCHEMES):
        raise argparse.ArgumentTypeError(f"a list of {', '.join(SCHEMES)}")
    return schemes


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description="log clients in as IIS does, on 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--certificate", type=Path, help="serve https with it")
    parser.add_argument("--key", type=Path)
    parser.add_argument(
        "--binding-certificate",
        type=Path,
        help="expect the binding of this certificate, as behind a proxy that ends TLS",
    )
    parser.add_argument(
        "--extended-protection",
        choices=["off", "accept", "require"],
        default="off",
        help="ignore bindings, check those that are sent, or let nobody in without one",
    )
    parser.add_argument("--schemes", type=schemes_argument, default=["Negotiate", "NTLM"])
    parser.add_argument(
        "--fault",
        choices=FAULTS,
        default="none",
        help="; ".join(f"{name}: {meaning}" for name, meaning in FAULTS.items()),
    )
    parser.add_argument("--answer", type=Path, required=True, help="served to who is logged in")
    parser.add_argument("--log", type=Path, help="one JSON object per request")
    options = parser.parse_args()

    tls = binding = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate, options.key)
    if options.extended_protection != "off":
        binding_certificate = options.binding_certificate or options.certificate
        if binding_certificate is None:
            parser.error("--extended-protection needs a certificate")
        binding = channel_binding(binding_certificate.read_bytes())
    policy = Policy(
        options.schemes,
        options.extended_protection,
        binding,
        options.fault,
        options.answer,
        options.log,
    )
    acceptor = Acceptor(options.port, policy, tls)
    print(f"listening on {acceptor.server_address[1]}", flush=True)
    acceptor.serve_forever()
    raise AssertionError("serve_forever returned")


if __name__ == "__main__":
    main()
