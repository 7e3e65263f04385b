"""The way to the portal: one request at a time, each step of which is noted in the deadline.

All that is ours below the public face of requests, urllib3 and http.client is in this module, and
nowhere else. Of each library it overrides, or reads, what the table in
``tests/portal/test_transport.py`` names; its tests say which of them has changed.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from .. import __version__
from ..errors import PortalError, UnreachableError
from .answer import MAX_BYTES, TooLargeError
from .deadline import Deadline
from .reasons import TRY_AGAIN, ClosedError, explain, most_telling
from .trust import Trust

_HEADERS = {
    "User-Agent": f"check_cqd_integration/{__version__}",
    "Accept": "application/json",
}


class Handshake:
    """The one of a login, if there is one."""

    goes_on = False
    """Whether the next request is part of it: for the connection that it began on, and no other."""


class Session(requests.Session):
    """A session that takes nothing from the environment and follows no redirect by itself."""

    def __init__(self, proxy: str | None) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()
        self.headers.update(_HEADERS)
        self.adapters.clear()
        self.responses: list[requests.Response] = []
        """Closed with the session, whether they were read or not."""
        self.handshake = Handshake()
        if proxy:
            self.proxies = {"http": proxy, "https": proxy}

    def prepare_for(self, scheme: str, trust: Trust, deadline: Deadline) -> None:
        """Mount our transport, with TLS settings only where they are needed: they cost time."""
        prefix = f"{scheme}://"
        if prefix not in self.adapters:
            with deadline.waiting_for_another("reading the certificates of this host"):
                tls = trust.context() if scheme == "https" else None
            self.mount(prefix, _Transport(deadline, tls, self.handshake))

    def certificates_of(self, scheme: str) -> list[bytes | None]:
        """Return what the other side showed, once for each connection made so far."""
        return cast(_Transport, self.adapters[f"{scheme}://"]).certificates

    def close(self) -> None:
        """Close all that was opened."""
        for response in self.responses:
            response.close()
        super().close()

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: requests would read the body of a redirect, however long it is."""


class _Transport(HTTPAdapter):
    """One TLS context for all connections, each of which tells the deadline its steps."""

    def __init__(
        self, deadline: Deadline, tls: ssl.SSLContext | None, handshake: Handshake
    ) -> None:
        self.certificates: list[bytes | None] = []
        """What the other side showed (DER; None without TLS), once for each connection made."""
        ours = (deadline, self.certificates, handshake)
        self._pools = {
            "http": _pool_with(urllib3.HTTPConnectionPool, partial(_Connection, *ours, None)),
            "https": _pool_with(urllib3.HTTPSConnectionPool, partial(_TlsConnection, *ours, tls)),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)  # type: ignore[no-untyped-call, unused-ignore]
        # "so other PoolManagers can override them", says urllib3, and it has no other way.
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)  # type: ignore[no-untyped-call, unused-ignore]
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave trust to the TLS settings: requests would look for the bundle of certifi."""


def _pool_with(
    pool_class: type[urllib3.HTTPConnectionPool], connect: Callable[..., HTTPConnection]
) -> Callable[..., urllib3.HTTPConnectionPool]:
    def pool(*args: Any, **kwargs: Any) -> urllib3.HTTPConnectionPool:
        made = pool_class(*args, **kwargs)
        made.ConnectionCls = connect  # type: ignore[assignment]
        return made

    return pool


class _Connection(HTTPConnection):
    """One that notes each step, shares the time among all addresses, and limits what is read."""

    def __init__(
        self,
        deadline: Deadline,
        certificates: list[bytes | None],
        handshake: Handshake,
        tls: ssl.SSLContext | None,
        host: str,
        port: int,
        **more: Any,
    ) -> None:
        super().__init__(host, port, **more)
        # What http.client makes of an answer; else it reads a line of any length into memory.
        self.response_class: Any = partial(_Response, deadline)
        self._deadline = deadline
        self._certificates = certificates
        self._handshake = handshake
        self._tls = tls
        # urllib3 leaves a proxy its brackets. %25 is before the zone of an address, RFC 6874.
        # Not `self.host`, which loses the dot at its end that matters for a lookup.
        self._address = host.strip("[]").replace("%25", "%"), port
        self._behind_proxy: tuple[str, int] | None = None

    def set_tunnel(self, host: str, port: Any = None, *args: Any, **kwargs: Any) -> None:
        """Note where the proxy is asked to lead to; http.client takes the header Host from it."""
        super().set_tunnel(host, port, *args, **kwargs)
        self._behind_proxy = host.strip("[]"), port

    def connect(self) -> None:
        """Reach the address, connect through the proxy if there is one, begin TLS.

        urllib3's own would lend each address the whole time, tell no step, wrap up what failed,
        and compare names by itself. Raises PluginError.
        """
        deadline = self._deadline
        if self._handshake.goes_on:
            # What is sent now could count as a failed login, and none can succeed on another.
            raise ClosedError(f"{deadline.step}: the connection was closed in the handshake")
        host = (self._behind_proxy or self._address)[0].rstrip(".")
        try:
            self.sock = self._reached()
            if self._behind_proxy:
                deadline.begin(f"CONNECT through the proxy to {host}")
                self._ask_proxy(*self._behind_proxy)
            if self._tls:
                deadline.begin(f"TLS with {host}")
                name = host.partition("%")[0]
                self.sock = self._tls.wrap_socket(self.sock, server_hostname=name)
                if self.sock.version() is None:
                    # Python leaves out the handshake if the other side has closed before it.
                    raise ConnectionResetError
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise explain(error, deadline) from error
        shown = self.sock.getpeercert(True) if isinstance(self.sock, ssl.SSLSocket) else None
        if self._certificates and shown != self._certificates[-1]:
            # A login is bound to the certificate of the connection that asked for it.
            raise UnreachableError(f"{deadline.step}: another certificate than before")
        self._certificates.append(shown)
        # Else urllib3 warns of every request.
        self.is_verified = self._tls is not None and self._tls.verify_mode == ssl.CERT_REQUIRED
        deadline.begin(f"waiting for the answer of {host}")

    def send(self, data: Any) -> None:
        """Send; raises PluginError. If the other side has closed, what it said is still read."""
        try:
            super().send(data)
        except ConnectionError:
            pass
        except OSError as error:
            raise explain(error, self._deadline) from error

    def _reached(self) -> socket.socket:
        (host, port), deadline = self._address, self._deadline
        what = "the proxy " if self.proxy else ""
        deadline.begin(f"looking up {what}{host}")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        deadline.begin(f"connecting to {what}{host} port {port}")
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
                return connection
        raise most_telling(failures)

    def _ask_proxy(self, host: str, port: int) -> None:
        # http.client's own puts the status into the text of an error only.
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
        with self.response_class(self.sock) as response:
            response.begin()
        if response.status != 200:
            cannot = response.status // 100 == 5
            is_final = not cannot and response.status not in TRY_AGAIN
            does = "cannot reach the portal" if cannot else "refuses"
            failed = f"{self._deadline.step}: the proxy {does} (HTTP {response.status})"
            raise (PortalError if is_final else UnreachableError)(failed)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same; takes what urllib3 gives to one for https, and has its port."""


class _Response(http.client.HTTPResponse):
    """A response that is limited, has no cookies, and tells an end that is none."""

    def __init__(self, deadline: Deadline, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        self._incoming = _Incoming(sock.makefile("rb", buffering=0), deadline)
        super().__init__(cast(socket.socket, self._incoming), *args, **kwargs)

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        # No cookie is wanted, and requests may take minutes to read one.
        del self.headers["Set-Cookie"], self.headers["Set-Cookie2"]
        tells_its_end = self.chunked or self.length is not None
        self._incoming.cut = EOFError() if tells_its_end else None


class _Incoming(io.RawIOBase):
    """What comes over a connection, up to twice ``MAX_BYTES``: an answer of that and its headers.

    Counted here, below http.client, which reads a line or a chunk of any length into memory; and
    what fails here is told at once, before it is wrapped up by three libraries.
    """

    def __init__(self, raw: io.RawIOBase, deadline: Deadline) -> None:
        self._raw = raw
        self._deadline = deadline
        self._left = 2 * MAX_BYTES
        self.cut: Exception | None = ConnectionResetError()
        """What it means if the connection ends here; None where that is the answer's own end."""

    def makefile(self, mode: str) -> io.BufferedReader:
        """Be a socket, as far as http.client wants one."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read; raises PluginError."""
        try:
            count = self._raw.readinto(buffer) or 0
        except OSError as error:
            raise explain(error, self._deadline) from error
        self._left -= count
        if self._left < 0:
            raise TooLargeError
        if not count and self.cut:
            raise explain(self.cut, self._deadline)
        return count

    def close(self) -> None:
        """Close what it reads from."""
        self._raw.close()
        super().close()
