"""The way to the portal: its steps, how long they take, what is read, and what libraries do."""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import urllib3
from expected import (
    AT_DOCUMENTED_MOMENT,
    DOCUMENTED_MOMENT,
    HEAD,
    OVER_THE_NETWORK,
    WITHOUT_DATE,
    Run,
    critical,
    once_in_time,
    unknown,
    url_of,
    within_1s,
)
from portal_simulator import DOCUMENTED, PortalSimulator
from raw_server import (
    answering,
    dripping,
    free_port,
    full_listener,
    lookup_fails,
    raw_server,
    read_head,
    silent,
    tunnel,
)
from tls_portal import CA, Files, https_portal, server_tls
from urllib3.connection import HTTPConnection

from check_cqd_integration.errors import PortalError
from check_cqd_integration.portal import transport
from check_cqd_integration.portal.client import Portal
from check_cqd_integration.portal.deadline import Deadline
from check_cqd_integration.portal.trust import Trust


def test_documented_answer_over_https(run: Run, pem_files: Files) -> None:
    with https_portal(server_tls()) as url:
        options = ("-u", url, "--ca-file", pem_files.ca, *AT_DOCUMENTED_MOMENT)
        assert run(*options) == (2, OVER_THE_NETWORK)


def test_verified_connection_is_warned_of_by_no_library(pem_files: Files) -> None:
    with https_portal(server_tls()) as url:
        portal = Portal(url, Trust(pem_files.ca))
        assert portal.fetch(Deadline(20)).body == DOCUMENTED
        portal.close()


@pytest.mark.parametrize(
    ("host", "name", "looked_up"),
    [
        ("localhost.", "localhost", "localhost."),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("[fe80::1%25eth0]", "fe80::1", "fe80::1%eth0"),
    ],
)
def test_name_in_the_certificate_of_a_host(
    run: Run,
    pem_files: Files,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    name: str,
    looked_up: str,
) -> None:
    asked = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    with https_portal(server_tls(CA.issue_cert(name))) as url:
        port = int(url.split(":")[2].partition("/")[0])
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        options = ("-u", url.replace("localhost", host), "--ca-file", pem_files.ca)
        assert run(*options, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)
    assert asked == [looked_up]


class PoolOfDebian(urllib3.HTTPSConnectionPool):
    """Debian's, up to 1.26: what it is given to trust is by default a file of the system's."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{"ca_certs": "/nonexistent", **more})


def test_time_runs_out_while_certificates_are_read() -> None:
    class Slow(Trust):
        def context(self) -> ssl.SSLContext:
            raise limit.passed()

    limit = Deadline(10)
    with transport.Session(None) as session, pytest.raises(PortalError) as caught:
        session.prepare_for("https", Slow(), limit)
    assert type(caught.value) is PortalError
    assert str(caught.value) == ("reading the certificates of this host: no answer within 10s (-t)")


def test_nobody_is_trusted_beside_the_ca_file(
    run: Run, pem_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib3, "HTTPSConnectionPool", PoolOfDebian)
    with https_portal(server_tls()) as url, raw_server(tunnel) as port:
        options = ("-u", url, "--ca-file", pem_files.ca, *AT_DOCUMENTED_MOMENT)
        assert run(*options) == (2, OVER_THE_NETWORK)
        assert run(*options, "--proxy", f"http://127.0.0.1:{port}") == (2, OVER_THE_NETWORK)


def test_connection_that_is_closed_before_tls_begins(
    run: Run, pem_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python then gives a TLS socket without a handshake, and no error."""
    wrap = ssl.SSLContext.wrap_socket

    def closed_before(context: Any, connection: socket.socket, **more: Any) -> ssl.SSLSocket:
        connection.close()
        return wrap(context, socket.socket(), **more)

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", closed_before)
    with https_portal(server_tls()) as url:
        outcome = run("-u", url, "--ca-file", pem_files.ca)
    told = "TLS with localhost: the connection was closed by the other side"
    assert outcome == critical(told)


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


def test_last_address_gets_all_the_time_that_is_left(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def connect(connection: socket.socket, _: object) -> None:
        given.append(connection.gettimeout())
        raise OSError(errno.ECONNREFUSED, "")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", addresses(*3 * [("127.0.0.1", 80)]))
    monkeypatch.setattr(Deadline, "remaining", lambda _: 12.0)
    assert run("-u", "http://127.0.0.1/") == critical(
        "connecting to 127.0.0.1 port 80: connection refused; is the server running?"
    )
    assert given == [4.0, 6.0, 12.0]


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


MARGIN = 8  # a busy machine takes its time; what is not bounded takes a hundred seconds


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
    def ask(seconds: int) -> tuple[float, int, str]:
        begin = time.monotonic()
        code, out = run("-u", f"{scheme}://127.0.0.1:{port}/", "-t", str(seconds))
        return time.monotonic() - begin - seconds, code, out

    with server as port:
        expected = critical(f"{step.format(port=port)}: no answer within 1s (-t)")
        longer, code, out = once_in_time(ask, lambda done: done[2], lambda _: [expected[1]])
    assert (code, within_1s(out)) == expected
    assert 0 <= longer < MARGIN


def test_time_runs_out_while_reading(run: Run) -> None:
    def head_then_drip(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(HEAD + b"\r\n")
        dripping(DOCUMENTED, read=False)(connection, over)

    expected = critical("reading the answer of 127.0.0.1: no answer within 1s (-t)")
    with raw_server(head_then_drip) as port:
        code, out = once_in_time(
            lambda seconds: run("-u", f"http://127.0.0.1:{port}/", "-t", str(seconds)),
            lambda done: done[1],
            lambda _: [expected[1]],
        )
    assert (code, within_1s(out)) == expected


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


def test_through_a_tunnel(run: Run, pem_files: Files) -> None:
    portal = PortalSimulator(body=DOCUMENTED, clock=lambda: DOCUMENTED_MOMENT, tls=server_tls())
    with portal, raw_server(tunnel) as port:
        options = ("--ca-file", pem_files.ca, "--proxy", f"http://127.0.0.1:{port}")
        assert run("-u", url_of(portal), *options, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)
    # A server of several sites finds the one that is meant by it.
    assert {request.headers["Host"] for request in portal.requests} == {f"localhost:{portal.port}"}


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
            unknown("CONNECT through the proxy to cqd.example.com: the proxy refuses (HTTP 407)"),
        ),
        (
            b"HTTP/1.1 429 Too Many Requests\r\n\r\n",
            critical("CONNECT through the proxy to cqd.example.com: the proxy refuses (HTTP 429)"),
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            unknown("CONNECT through the proxy to cqd.example.com: the proxy refuses (HTTP 403)"),
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            critical(
                "CONNECT through the proxy to cqd.example.com: the proxy cannot reach the portal "
                "(HTTP 502)"
            ),
        ),
        (
            b"HTTP/1.1 504 Gateway Timeout\r\n\r\n",
            critical(
                "CONNECT through the proxy to cqd.example.com: the proxy cannot reach the portal "
                "(HTTP 504)"
            ),
        ),
        (
            b"HTTP/1.1 204 No Content\r\n\r\n",
            unknown("CONNECT through the proxy to cqd.example.com: the proxy refuses (HTTP 204)"),
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n",
            unknown("CONNECT through the proxy to cqd.example.com: the proxy refuses (HTTP 302)"),
        ),
        (
            b"",
            critical(
                "CONNECT through the proxy to cqd.example.com: the connection was closed by the "
                "other side"
            ),
        ),
        (
            b"220 smtp.example.com ESMTP\r\n",
            critical("CONNECT through the proxy to cqd.example.com: what came is not proper HTTP"),
        ),
    ],
    ids=[
        "unknown-407",
        "critical-429",
        "unknown-403",
        "critical-502",
        "critical-504",
        "critical-204",
        "critical-redirects",
        "critical-closes",
        "critical-is-none",
    ],
)
def test_proxy_that_refuses(run: Run, answer: bytes, expected: tuple[int, str]) -> None:
    with raw_server(answering(answer)) as port:
        assert run("-H", "cqd.example.com", "--proxy", f"http://127.0.0.1:{port}") == expected


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://cqd.example.com/", b"cqd.example.com:443"),
        ("https://cqd.example.com.:8443/", b"cqd.example.com.:8443"),
        ("https://[::1]/", b"[::1]:443"),
    ],
)
def test_what_a_proxy_is_asked_for(run: Run, url: str, target: bytes) -> None:
    heads = []

    def handler(connection: socket.socket, over: threading.Event) -> None:
        heads.append(read_head(connection))

    with raw_server(handler) as port:
        run("-u", url, "--proxy", f"http://127.0.0.1:{port}")
    assert heads == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)]


def test_proxy_that_is_not_there(run: Run) -> None:
    port = free_port()
    assert run("-H", "cqd.example.com", "--proxy", f"http://127.0.0.1:{port}") == critical(
        f"connecting to the proxy 127.0.0.1 port {port}: connection refused; is the server running?"
    )


def test_answer_without_a_date(run: Run) -> None:
    with raw_server(answering(HEAD, b"\r\n", DOCUMENTED)) as port:
        url = f"http://127.0.0.1:{port}/"
        assert run("-u", url, *AT_DOCUMENTED_MOMENT) == (2, WITHOUT_DATE)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BrokenPipeError(errno.EPIPE, ""), (2, WITHOUT_DATE)),
        (ConnectionResetError(errno.ECONNRESET, ""), (2, WITHOUT_DATE)),
        (
            OSError(errno.ENOBUFS, ""),
            unknown("waiting for the answer of 127.0.0.1: No buffer space available"),
        ),
        (
            ssl.SSLEOFError(8, ""),
            critical(
                "waiting for the answer of 127.0.0.1: the connection was closed by the other side"
            ),
        ),
    ],
    ids=["closed", "reset", "unknown-no-buffer", "critical-closed-below-tls"],
)
def test_sending_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: OSError, expected: tuple[int, str]
) -> None:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(HEAD + b"\r\n" + DOCUMENTED)

    def send(connection: http.client.HTTPConnection, _: object) -> None:
        if connection.sock is None:
            connection.connect()
        raise error

    monkeypatch.setattr(http.client.HTTPConnection, "send", send)
    with raw_server(answer) as port:
        assert run("-u", f"http://127.0.0.1:{port}/", *AT_DOCUMENTED_MOMENT) == expected


class Bytes:
    """A socket, as far as http.client wants one."""

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(HEAD + b"\r\n")


def response_of_http_client() -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(cast(socket.socket, Bytes()))
    response.begin()
    return response


@pytest.mark.parametrize(
    ("owner", "make", "name"),
    [
        ("urllib3.PoolManager", urllib3.PoolManager, "pool_classes_by_scheme"),
        ("urllib3.HTTPConnectionPool", lambda: urllib3.HTTPConnectionPool, "ConnectionCls"),
        *(
            ("urllib3.connection.HTTPConnection", lambda: HTTPConnection("localhost"), name)
            for name in ("sock", "proxy", "is_verified", "response_class")
        ),
        *(
            ("http.client.HTTPResponse", response_of_http_client, name)
            for name in ("status", "headers", "chunked", "length")
        ),
    ],
)
def test_name_that_is_read_or_set_is_there(owner: str, make: Callable[[], Any], name: str) -> None:
    assert hasattr(make(), name), (
        f"{owner} has no {name} any more; portal/transport.py reads or sets it"
    )


@pytest.mark.parametrize(
    ("owner", "ours", "name"),
    [
        ("requests.Session", transport.Session, "get_redirect_target"),
        ("requests.adapters.HTTPAdapter", transport._Transport, "init_poolmanager"),
        ("requests.adapters.HTTPAdapter", transport._Transport, "proxy_manager_for"),
        ("requests.adapters.HTTPAdapter", transport._Transport, "cert_verify"),
        ("urllib3.HTTPSConnectionPool", transport._Connection, "set_tunnel"),
        ("urllib3.HTTPSConnectionPool", transport._Connection, "connect"),
        ("http.client.HTTPConnection", transport._Connection, "send"),
        ("http.client.HTTPConnection", transport._Response, "begin"),
        ("http.client.HTTPResponse", transport._Incoming, "makefile"),
        ("http.client.HTTPResponse", transport._Incoming, "readinto"),
    ],
)
def test_what_is_overridden_is_called(
    run: Run,
    pem_files: Files,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    ours: type[Any],
    name: str,
) -> None:
    called = []
    original = getattr(ours, name)

    def noted(*arguments: Any, **more: Any) -> Any:
        called.append(name)
        return original(*arguments, **more)

    monkeypatch.setattr(ours, name, noted)
    with https_portal(server_tls()) as url, raw_server(tunnel) as port:
        run("-u", url, "--ca-file", pem_files.ca, "--proxy", f"http://127.0.0.1:{port}")
    assert called, (
        f"{owner} does not call {name} any more; portal/transport.py overrides it in "
        f"{ours.__name__}"
    )
