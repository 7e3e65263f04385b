"""One request to the portal: what is sent, what is followed, what each answer means."""

from __future__ import annotations

import gzip
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Sequence
from datetime import timezone
from pathlib import Path
from typing import cast

import pytest
import requests_mock
from expected import (
    AT_DOCUMENTED_MOMENT,
    DOCUMENTED_MOMENT,
    DOCUMENTED_VALUES,
    HEAD,
    OVER_THE_NETWORK,
    REFUSED,
    URL,
    WITHOUT_DATE,
    Run,
    perfdata,
    url_of,
)
from hang import Hang
from portal_simulator import DOCUMENTED, STATUS_PATH, PortalSimulator
from raw_server import answering, raw_server, read_head, silent

from check_cqd_integration import __version__, auth
from check_cqd_integration.auth.choice import Connection, Credentials
from check_cqd_integration.errors import UnreachableError
from check_cqd_integration.portal import client, transport
from check_cqd_integration.portal.deadline import Deadline
from check_cqd_integration.portal.trust import Trust


def test_documented_answer_over_http(run: Run, portal: PortalSimulator) -> None:
    options = ("-H", portal.host, "-p", str(portal.port), "--http")
    assert run(*options, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


def test_tls_settings_are_made_for_tls_only(
    run: Run, portal: PortalSimulator, sample: Path
) -> None:
    options = ("-u", url_of(portal), "--ca-file", str(sample))
    assert run(*options, *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)


def test_one_get_on_one_connection(run: Run, portal: PortalSimulator) -> None:
    run("-u", url_of(portal))
    (request,) = portal.requests
    assert (request.method, request.path) == ("GET", STATUS_PATH)
    assert dict(request.headers) == {
        "Host": f"127.0.0.1:{portal.port}",
        "User-Agent": f"check_cqd_integration/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }


def test_nothing_is_taken_from_the_environment(
    run: Run, portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run("-u", url_of(portal), *AT_DOCUMENTED_MOMENT) == (2, OVER_THE_NETWORK)
    assert "authorization" not in {name.lower() for name in portal.requests[0].headers}


@pytest.mark.parametrize(
    ("code", "headers", "state", "text"),
    [
        (
            401,
            {"WWW-Authenticate": "Negotiate, NTLM"},
            3,
            "HTTP 401: the portal wants a login and offers Negotiate, NTLM; give --username with "
            "--password-file (NTLM); Kerberos needs: /opt/cqd/bin/pip install gssapi",
        ),
        (
            401,
            {"WWW-Authenticate": 'Basic realm="cqd", charset="UTF-8"'},
            3,
            "HTTP 401: the portal wants a login and offers Basic; give --username with "
            "--password-file (Basic)",
        ),
        (
            401,
            {"WWW-Authenticate": 'Bearer realm="cqd, Basic", Digest'},
            3,
            "HTTP 401: the portal wants a login and offers Digest, Bearer alone, which is not "
            "supported; turn on Windows Authentication in its IIS",
        ),
        (
            401,
            {"WWW-Authenticate": '"x" NTLM'},  # against RFC 9110
            3,
            "HTTP 401: the portal wants a login and offers NTLM; give --username with "
            "--password-file (NTLM)",
        ),
        (
            401,
            {"WWW-Authenticate": "Bearer"},
            3,
            "HTTP 401: the portal wants a login and offers Bearer alone, which is not supported; "
            "turn on Windows Authentication in its IIS",
        ),
        (
            401,
            {},
            3,
            "HTTP 401: the portal wants a login and offers no scheme; turn on Windows "
            "Authentication in its IIS",
        ),
        (
            403,
            {},
            3,
            "HTTP 403: access is forbidden, and no login offered; does the site require a client "
            "certificate, or another address than this host's?",
        ),
        (
            403,
            {"WWW-Authenticate": "NTLM"},
            3,
            "HTTP 403: the portal wants a login and offers NTLM; give --username with "
            "--password-file (NTLM)",
        ),
        (404, {}, 3, "HTTP 404 Not Found: is this the CQD portal, and its address right?"),
        (400, {}, 3, "HTTP 400 Bad Request: not the answer of a CQD portal"),
        (
            407,
            {},
            3,
            "HTTP 407 Proxy Authentication Required: the proxy wants a login, which is not "
            "supported",
        ),
        (499, {}, 3, "HTTP 499: not the answer of a CQD portal"),
        (
            204,
            {},
            3,
            "the portal's integration log is disabled; in QoEDataService/web.config of the portal "
            "set QoEDataLib.DebugMode to True",
        ),
        (205, {}, 3, "HTTP 205 Reset Content: not the answer of a CQD portal"),
        (206, {}, 3, "HTTP 206 Partial Content: not the answer of a CQD portal"),
        (304, {}, 3, "HTTP 304 Not Modified: not the answer of a CQD portal"),
        (302, {}, 3, "HTTP 302 Found: not the answer of a CQD portal"),
        (408, {}, 2, "HTTP 408 Request Timeout: the portal cannot answer now"),
        (429, {}, 2, "HTTP 429 Too Many Requests: the portal cannot answer now"),
        (500, {}, 2, "HTTP 500 Internal Server Error: the portal cannot answer now"),
        (503, {}, 2, "HTTP 503 Service Unavailable: the portal cannot answer now"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_status_that_is_not_200(
    run: Run, code: int, headers: dict[str, str], state: int, text: str
) -> None:
    name = {2: "CRITICAL", 3: "UNKNOWN"}[state]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=code, headers=headers, content=DOCUMENTED)
        assert run("-H", "cqd.example.com", *AT_DOCUMENTED_MOMENT) == (
            state,
            f"CQD {name} - {text}\n",
        )


def test_unreachable_state(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=503)
        assert run("-H", "cqd.example.com", "--unreachable-state", "warning") == (
            1,
            "CQD WARNING - HTTP 503 Service Unavailable: the portal cannot answer now\n",
        )
        mocked.get(URL, status_code=404)
        assert run("-H", "cqd.example.com", "--unreachable-state", "warning")[0] == 3


def test_unreachable_state_ok_is_what_the_user_wants(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=503)
        assert run("-H", "cqd.example.com", "--unreachable-state", "ok") == (
            0,
            "CQD OK - HTTP 503 Service Unavailable: the portal cannot answer now\n",
        )


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://elsewhere.example.com/", "https://elsewhere.example.com"),
        ("//elsewhere.example.com/", "https://elsewhere.example.com"),
        ("http://cqd.example.com/", "http://cqd.example.com"),
        ("https://cqd.example.com:8443/", "https://cqd.example.com:8443"),
        ("https://user:hunter2@cqd.example.com/", "https://cqd.example.com"),
        ("https://elsewhere.example.com|" + 99 * "x", "https://elsewhere.example.com/" + 38 * "x"),
        ("file:///etc/passwd", "file://"),
    ],
)
def test_redirect_that_is_not_followed(run: Run, location: str, told: str) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=302, headers={"Location": location})
        assert run("-H", "cqd.example.com") == (3, REFUSED.format(told))
        assert mocked.call_count == 1


@pytest.mark.parametrize(
    ("scheme", "port", "options"), [("https", 443, ()), ("http", 80, ["--http"])]
)
def test_redirect_to_the_port_that_was_asked_anyway_is_followed(
    run: Run, scheme: str, port: int, options: Sequence[str]
) -> None:
    target = f"{scheme}://cqd.example.com:{port}/status"
    with requests_mock.Mocker() as mocked:
        mocked.get(
            f"{scheme}://cqd.example.com{STATUS_PATH}",
            status_code=302,
            headers={"Location": f"{target}#part"},
        )
        mocked.get(target, content=DOCUMENTED)
        outcome = run("-H", "cqd.example.com", *options, *AT_DOCUMENTED_MOMENT)
        assert outcome == (2, WITHOUT_DATE)


def test_redirect_to_what_is_not_a_url(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=302, headers={"Location": "https://[::1/"})
        assert run("-H", "cqd.example.com") == (
            3,
            "CQD UNKNOWN - the portal redirects to something that is not a URL\n",
        )


def test_redirect_in_circles(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=302, headers={"Location": STATUS_PATH})
        assert run("-H", "cqd.example.com") == (
            3,
            "CQD UNKNOWN - the portal redirects more than 5 times\n",
        )
        assert mocked.call_count == 6


def test_redirect_from_http_to_https_is_followed_without_credentials(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(
            f"http://cqd.example.com{STATUS_PATH}", status_code=301, headers={"Location": URL}
        )
        mocked.get(URL, content=DOCUMENTED)
        assert run("-H", "cqd.example.com", "--http", *AT_DOCUMENTED_MOMENT) == (2, WITHOUT_DATE)


def test_exchange_at_vvv(run: Run, portal: PortalSimulator) -> None:
    url = url_of(portal)
    options = ("-vvv", "--log-entries", "0", *AT_DOCUMENTED_MOMENT)
    began = time.monotonic()
    _, out = run("-u", f"{url}?token=hunter2", *options)
    took = time.monotonic() - began
    assert "hunter2" not in out
    exchange = out.splitlines()[-7:]
    assert exchange[:2] == [f"GET {url}", "HTTP 200"]
    assert sorted(exchange[2:6]) == [
        "Content-Length: 553",
        "Content-Type: application/json; charset=utf-8",
        "Date: Sun, 18 Jan 2015 10:31:00 GMT",
        "Server: Microsoft-IIS/10.0",
    ]
    last = re.fullmatch(r"553 bytes in ([0-9]+\.[0-9]{3})s", exchange[6])
    assert last
    assert float(last[1]) <= took + 0.001  # it is rounded


def test_exchange_at_vvv_of_a_long_address_is_cut(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, status_code=404)
        _, out = run("-u", f"{URL}{200 * 'x'}", "-vvv")
    assert out.splitlines()[3] == f"GET {URL}{200 * 'x'}"[: len("GET ") + 200]


def test_exchange_at_vvv_of_a_refusal_shows_no_secret(run: Run) -> None:
    headers = {
        "WWW-Authenticate": "Negotiate TlRMTVNTUAAC, NTLM",
        "X-Session": "hunter2",
        "Server": 81 * "s",
        41 * "N": "hunter2",
    }
    with requests_mock.Mocker() as mocked:
        mocked.get(f"{URL};hunter2", status_code=401, headers=headers)
        assert run("-u", f"{URL};hunter2", "-vvv")[1].splitlines()[1:] == [
            "[UNKNOWN] integration: not read",
            "[UNKNOWN] cube: not read",
            f"GET {URL}",
            "HTTP 401",
            "WWW-Authenticate: Negotiate, NTLM",
            "X-Session: (not shown)",
            f"Server: {80 * 's'}",
            f"{40 * 'N'}: (not shown)",
        ]


def test_tokens_of_an_answer_that_are_taken_for_secrets() -> None:
    """As many as there are schemes: each of a flood of them would cost time."""
    tokens = [20 * letter for letter in "abcdef"]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, text="{}", headers={"WWW-Authenticate": f"NTLM {', '.join(tokens)}"})
        portal = client.Portal(URL, Trust())
        portal.fetch(Deadline(10))
    assert [portal.secrets.are_in(token) for token in tokens] == 4 * [True] + 2 * [False]


def test_exchange_at_vvv_draws_no_dot(run: Run) -> None:
    headers = {"[OK]": "x", "a [OK]": "x", "Server": "[CRITICAL] (OK)"}
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=404, headers=headers)
        assert run("-u", URL, "-vvv")[1].splitlines()[5:] == [
            "?OK?: (not shown)",
            "a ?OK?: (not shown)",
            "Server: {CRITICAL} {OK}",
        ]


def test_time_limit_of_a_thread_that_nobody_awaits() -> None:
    ended: list[Exception] = []

    def fetch() -> None:
        try:
            client.Portal(f"http://127.0.0.1:{port}/", Trust()).fetch(Deadline(0.1))
        except UnreachableError as error:
            ended.append(error)

    with raw_server(silent) as port:
        thread = threading.Thread(target=fetch)
        thread.start()
        thread.join(60)
        assert [str(error) for error in ended] == [
            "waiting for the answer of 127.0.0.1: no answer within 0.1s (-t)"
        ]


class Handshake:
    """A login that is let in with its second token, and notes what it is told."""

    scheme = "Negotiate"
    is_complete = is_bound = may_count = False
    likely_reason = "none"
    waits_for = "the KDC of CQD.TEST"

    def __init__(self) -> None:
        self.told: list[object] = []

    def step(self, token: bytes | None) -> bytes:
        self.told.append(token)
        return b"token"

    def finish(self, token: bytes | None, *, is_needed: bool) -> None:
        self.told.append((token, is_needed))


def test_what_a_login_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    handshake = Handshake()

    def start_login(_: Credentials, offered: Sequence[str], connection: Connection) -> Handshake:
        handshake.told += [offered, connection]
        return handshake

    monkeypatch.setattr(auth, "start_login", start_login)
    monkeypatch.setattr(transport.Session, "certificates_of", lambda *_: [b"certificate"])
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    answers = [
        {"status_code": 401, "headers": {"WWW-Authenticate": "Negotiate"}},
        {"status_code": 401, "headers": {"WWW-Authenticate": "negotiate b25l"}},
        {"headers": {"WWW-Authenticate": "Negotiate dHdv"}, "content": DOCUMENTED},
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, answers)
        outcome = run("-H", "cqd.example.com", "-l", "somebody", *AT_DOCUMENTED_MOMENT)
    assert outcome == (2, WITHOUT_DATE)
    connection = Connection("cqd.example.com", is_encrypted=True, certificate=b"certificate")
    assert handshake.told == [["Negotiate"], connection, None, b"one", (b"two", False)]


def test_token_that_comes_back_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "start_login", lambda *_: Handshake())
    answers: list[dict[str, object]] = [
        {"status_code": 401, "headers": {"WWW-Authenticate": "Negotiate"}},
        {"headers": {"Server": "the token was dG9rZW4="}, "content": DOCUMENTED},
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, answers)
        _, out = run("-H", "cqd.example.com", "-l", "somebody", *AT_DOCUMENTED_MOMENT, "-vvv")
    assert "\nHTTP 200\nServer: (not shown)\n" in out
    assert "dG9rZW4" not in out


class Memory:
    """Of no refusal so far."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def check(self, host: str) -> None:
        self.told.append(host)

    def forget(self) -> None:
        self.told.append("accepted")


@pytest.mark.parametrize(("waits_for", "proved"), [("the KDC", ["accepted"]), ("", [])])
def test_kdc_has_accepted_who_is_let_in_with_its_first_token(
    monkeypatch: pytest.MonkeyPatch, waits_for: str, proved: list[str]
) -> None:
    monkeypatch.setattr(Handshake, "waits_for", waits_for)
    monkeypatch.setattr(auth, "start_login", lambda *_: Handshake())
    memory = Memory()
    answers: list[dict[str, object]] = [
        {"status_code": 401, "headers": {"WWW-Authenticate": "Negotiate"}},
        {"content": DOCUMENTED},
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, answers)
        credentials = Credentials("auto", "somebody", "hunter2")
        portal = client.Portal(URL, Trust(), None, credentials, cast(auth.Refusals, memory))
        assert portal.fetch(Deadline(10)).body == DOCUMENTED
    assert memory.told == ["cqd.example.com", *proved]


def test_redirect_to_a_login_after_one_that_cannot_count(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "start_login", lambda *_: Handshake())
    wanted: dict[str, object] = {"status_code": 401, "headers": {"WWW-Authenticate": "Negotiate"}}
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, [wanted, {"status_code": 302, "headers": {"Location": "/x"}}])
        mocked.get("https://cqd.example.com/x", [wanted])
        assert run("-H", "cqd.example.com", "-l", "somebody") == (
            3,
            "CQD UNKNOWN - HTTP 401: a redirect leads to where a login is wanted once more "
            "(Negotiate); give its address with --url\n",
        )


@pytest.mark.parametrize("code", [200, 204, 302, 403, 404, 500])
@pytest.mark.parametrize("proof", [b"two", None])
def test_proof_of_the_portal_is_looked_at_in_whatever_answer_ends_the_login(
    run: Run, monkeypatch: pytest.MonkeyPatch, code: int, proof: bytes | None
) -> None:
    handshake = Handshake()
    monkeypatch.setattr(auth, "start_login", lambda *_: handshake)
    headers = {"WWW-Authenticate": "Negotiate dHdv"} if proof else {}
    answers = [
        {"status_code": 401, "headers": {"WWW-Authenticate": "Negotiate"}},
        {"status_code": code, "headers": headers, "content": DOCUMENTED},
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL.replace("https", "http"), answers)
        run("-H", "cqd.example.com", "--http", "-l", "somebody")
    assert handshake.told == [None, (proof, code != 500)]


@pytest.mark.parametrize(
    ("options", "is_needed"), [((), False), (["--insecure"], True), (["--http"], True)]
)
def test_certificate_that_is_verified_is_a_proof(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: Sequence[str], is_needed: bool
) -> None:
    handshake = Handshake()
    monkeypatch.setattr(auth, "start_login", lambda *_: handshake)
    monkeypatch.setattr(transport.Session, "certificates_of", lambda *_: [])
    answers = [
        {"status_code": 401, "headers": {"WWW-Authenticate": "Negotiate"}},
        {"content": DOCUMENTED},
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, answers)
        run("-H", "cqd.example.com", "-l", "somebody", *options)
    assert handshake.told == [None, (None, is_needed)]


def test_kdc_that_is_waited_for_is_not_the_portal(
    run: Run, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waiting(Handshake):
        def step(self, token: bytes | None) -> bytes:
            hang()
            return b""

    monkeypatch.setattr(auth, "start_login", lambda *_: Waiting())
    monkeypatch.setattr(transport.Session, "certificates_of", lambda *_: [])
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, status_code=401, headers={"WWW-Authenticate": "Negotiate"})
        outcome = run("-H", "cqd.example.com", "--http", "-l", "somebody", "-t", "60")
    assert outcome == (
        3,
        "CQD UNKNOWN - logging in to cqd.example.com as somebody: asking the KDC of CQD.TEST: no "
        "answer within 60s (-t)\n",
    )


@pytest.mark.parametrize(
    ("what", "options", "step"),
    [
        ("advise", (), "HTTP 401"),
        ("start_login", ("-l", "somebody"), "logging in to cqd.example.com as somebody"),
    ],
)
def test_libraries_that_take_long_to_load_are_not_the_portal(
    run: Run,
    hang: Hang,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    options: Sequence[str],
    step: str,
) -> None:
    monkeypatch.setattr(auth, what, hang)
    monkeypatch.setattr(transport.Session, "certificates_of", lambda *_: [])
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, status_code=401, headers={"WWW-Authenticate": "Negotiate"})
        outcome = run("-H", "cqd.example.com", "--http", *options, "-t", "60")
    assert outcome == (
        3,
        f"CQD UNKNOWN - {step}: loading this host's login libraries: no answer within 60s (-t)\n",
    )


NOT_HTTP = "CQD CRITICAL - reading the answer of 127.0.0.1: what came is not proper HTTP\n"
TOO_LARGE = "CQD UNKNOWN - the answer is larger than 1 MiB, and is not read\n"


def test_answer_that_is_too_large(run: Run, portal: PortalSimulator) -> None:
    assert run("-u", url_of(portal, "huge")) == (3, TOO_LARGE)


def test_answer_of_exactly_one_mebibyte_is_read(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, content=DOCUMENTED.ljust(1024 * 1024))
        assert run("-H", "cqd.example.com", *AT_DOCUMENTED_MOMENT) == (2, WITHOUT_DATE)
        mocked.get(URL, content=DOCUMENTED.ljust(1024 * 1024 + 1))
        assert run("-H", "cqd.example.com", *AT_DOCUMENTED_MOMENT) == (3, TOO_LARGE)


def test_decompressed_size_counts(run: Run) -> None:
    bomb = gzip.compress(bytes(50 * 1024 * 1024))
    with raw_server(answering(HEAD, b"Content-Encoding: gzip\r\n\r\n", bomb)) as port:
        assert run("-u", f"http://127.0.0.1:{port}/") == (3, TOO_LARGE)


def test_compression_that_was_not_asked_for_is_read(run: Run) -> None:
    zipped = gzip.compress(DOCUMENTED)
    with raw_server(answering(HEAD, b"Content-Encoding: gzip\r\n\r\n", zipped)) as port:
        url = f"http://127.0.0.1:{port}/"
        assert run("-u", url, *AT_DOCUMENTED_MOMENT) == (2, WITHOUT_DATE)


def test_compression_that_is_broken(run: Run) -> None:
    with raw_server(answering(HEAD, b"Content-Encoding: gzip\r\n\r\n", DOCUMENTED)) as port:
        assert run("-u", f"http://127.0.0.1:{port}/") == (
            3,
            "CQD UNKNOWN - reading the answer of 127.0.0.1: its compression is broken\n",
        )


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "identity,identity,identity"])
def test_compression_that_is_not_read(run: Run, encoding: str) -> None:
    head = f"Content-Encoding:{encoding.upper()} \r\n\r\n".encode()
    with raw_server(answering(HEAD, head, DOCUMENTED)) as port:
        assert run("-u", f"http://127.0.0.1:{port}/") == (
            3,
            f"CQD UNKNOWN - the answer is compressed as '{encoding}', which is not read\n",
        )


def test_cookies_are_not_kept(run: Run) -> None:
    heads = []

    def handler(connection: socket.socket, over: threading.Event) -> None:
        heads.append(read_head(connection))
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: a=b\r\nSet-Cookie2: c=d\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        heads.append(read_head(connection))
        connection.sendall(HEAD + b"\r\n" + DOCUMENTED)

    with raw_server(handler) as port:
        code, out = run("-u", f"http://127.0.0.1:{port}/", *AT_DOCUMENTED_MOMENT, "-vvv")
    assert (code, out.partition("\n")[0]) == (2, WITHOUT_DATE.rstrip())
    assert "Cookie" not in out
    assert heads[0] == heads[1]
    assert b"Cookie" not in heads[0]


def test_chunk_without_end(run: Run) -> None:
    head = b"Transfer-Encoding: chunked\r\n\r\n-1\r\n"
    with raw_server(answering(HEAD, head, bytes(3 * 1024 * 1024))) as port:
        outcome = run("-u", f"http://127.0.0.1:{port}/")
    assert outcome in [(3, TOO_LARGE), (2, NOT_HTTP)]  # by the version of urllib3


def zipped_of(size: int) -> bytes:
    """The documented answer, unpacked from a whole response of ``size`` bytes."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(DOCUMENTED) + packer.flush()
    packed += struct.pack("<II", zlib.crc32(DOCUMENTED), len(DOCUMENTED))
    begin = b"\x1f\x8b\x08" + bytes(7)
    blocks, filling = divmod(size - len(begin + packed) - 300, 5)
    empty = blocks * b"\0\0\0\xff\xff"  # a block of nothing, see RFC 1951
    head = HEAD + b"Content-Encoding: gzip\r\nX: "
    head += (300 + filling - len(head) - 4) * b"x" + b"\r\n\r\n"
    return head + begin + empty + packed


@pytest.mark.parametrize(("more", "expected"), [(0, (2, WITHOUT_DATE)), (1, (3, TOO_LARGE))])
def test_twice_one_mebibyte_is_read_at_most(run: Run, more: int, expected: tuple[int, str]) -> None:
    response = zipped_of(2 * 1024 * 1024 + more)
    assert len(response) == 2 * 1024 * 1024 + more
    with raw_server(answering(response)) as port:
        assert run("-u", f"http://127.0.0.1:{port}/", *AT_DOCUMENTED_MOMENT) == expected


def test_redirect_with_a_body_without_end(run: Run) -> None:
    head = b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /\r\n\r\n"
    with raw_server(answering(head, bytes(3 * 1024 * 1024))) as port:
        assert run("-u", f"http://127.0.0.1:{port}/") == (3, TOO_LARGE)


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        ("Sun, 18 Jan 2015 10:41:00 GMT", -600),
        ("Sun, 18 Jan 2015 10:26:00 -0000", 300),
        ("Sun, 18 Jan 2015 11:26:00 +0100", 300),
        ("yesterday", None),
        ("Sun, 18 Jan 99999 10:41:00 GMT", None),
        ("Sun, 18 Jan 2015 10:41:00 +99999999999999999999", None),
    ],
)
def test_clock_of_the_portal(run: Run, date: str, skew: int | None) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, content=DOCUMENTED, headers={"Date": date})
        _, out = run("-H", "cqd.example.com", *AT_DOCUMENTED_MOMENT)
    values = {**DOCUMENTED_VALUES, "clock_skew": skew, "response_time": 0.001}
    assert out.partition(" | ")[2] == f"{perfdata(values)}\n"


@pytest.mark.parametrize(
    ("now", "code", "text"),
    [
        ("2015-01-18T10:21:00Z", 0, "OK - integration: last success 5m 30s ago / "),
        ("2015-01-18T10:16:00Z", 0, "OK - integration: last success 30s ago / "),
        (
            "2015-01-18T10:15:59Z",
            1,
            "WARNING - clock: this host is 5m 1s behind the portal (limit 5m) / integration ok, ",
        ),
        (
            "2015-01-18T10:31:00Z",
            1,
            "WARNING - clock: this host is 10m ahead of the portal (limit 5m) / integration ok, ",
        ),
    ],
)
def test_portal_whose_clock_is_at_10_21(run: Run, now: str, code: int, text: str) -> None:
    with PortalSimulator(clock=lambda: DOCUMENTED_MOMENT, zone=timezone.utc) as portal:
        url = url_of(portal, "clock-behind")
        outcome, out = run("-u", url, "--now", now, "--timezone", "UTC")
    assert (outcome, out[4 : 4 + len(text)]) == (code, text)


def test_address_that_no_library_takes(run: Run) -> None:
    assert run("-u", "https://.example.com/") == (
        3,
        "CQD UNKNOWN - the address of the portal is not a valid address\n",
    )


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        ("healthy", 0),
        ("redirect-same", 0),
        ("no-date", 0),
        ("late", 1),
        ("recovered", 1),
        ("clock-behind", 1),
        ("failing", 2),
        ("stuck", 2),
        ("never-yet", 2),
        ("http-503", 2),
        ("close", 2),
        ("future", 3),
        ("disabled", 3),
        ("disabled-null", 3),
        ("html", 3),
        ("broken-json", 3),
        ("missing-key", 3),
        ("http-401", 3),
        ("redirect", 3),
    ],
)
def test_scenario_of_the_simulator(
    run: Run, portal: PortalSimulator, scenario: str, code: int
) -> None:
    assert (
        run("-u", url_of(portal, scenario), "--timezone", "UTC", "--now", "2015-01-18T10:31Z")[0]
        == code
    )
