"""What `make fuzz` calls with bytes that it makes up, `make test` with the cases that were kept.

An exception is a finding.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import gzip
import html
import itertools
import json
import logging
import os
import re
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock
from urllib.parse import unquote_plus

from invariants import KEYS, NOW, REPLAY, Stage, Status, check, checked, rule, run, timestamp
from portal_simulator import PIPELINES, REPLIES, STATUS_PATH, answer
from raw_server import PATIENCE, raw_server

Target = Callable[[bytes], None]
Options = tuple[str, ...]

PASSWORD = "hunter2-GEHEIM"
TIMESTAMP = re.compile(rb"[0-9]{2}/[0-9]{2}/[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}")
HEALTHY = json.dumps(answer("healthy", NOW, timezone.utc)).encode()

# --- the body of an answer ------------------------------------------------------------------------

# What is graded by the defaults, and so can be compared with the rules.
RULED: tuple[tuple[Options, str, int], ...] = (
    ((), "all", 300),
    (("-vvv",), "all", 300),
    (("--stage", "integration", "-v"), "integration", 300),
    (("--stage", "cube", "-vv"), "cube", 300),
    (("--max-skew", "0"), "all", 0),
)
OTHER: tuple[Options, ...] = (
    ("--running-grace", "1d", "--data-critical", "1h", "-vv"),
    ("--no-success-state", "ok", "--data-warning", "@1h:2h", "-vv"),
    ("--timezone", "America/St_Johns", "-vv"),
    ("--now", "2026-10-25T01:30:00Z", "--timezone", "Europe/Berlin", "-vvv"),
    ("--timezone", "Asia/Tokyo", "--max-skew", "999999999999", "-vv"),
    ("-w", "@~:5m", "-c", "10m:20m", "--failure-critical", "~:0", "--streak-critical", "@1:3"),
)


def body(data: bytes) -> None:
    """Grade a saved answer; its state is that of the rules."""
    number = data[0] % (len(RULED) + len(OTHER)) if data else 0
    if number < len(RULED):
        options, stage, max_skew = RULED[number]
        state = check(data[1:], *options).state
        expected = rule(data[1:], stage, max_skew)
        assert state == expected, f"{state} in place of {expected}"
    else:
        check(data[1:], *OTHER[number - len(RULED)])


def body_seeds() -> Iterator[bytes]:
    """Every scenario of the simulator, limits, and what is almost an answer."""
    bodies = [json.dumps(answer(name, NOW, timezone.utc)).encode() for name in PIPELINES]
    bodies += [reply.body for reply in REPLIES.values()]
    for ago in (-301, -300, 0, 1800, 1801, 3600, 3601, 7200, 7201):
        stage = Stage((ago, ago + 900), (ago, ago + 60), ago)
        bodies.append(Status(stage, stage).body())
    for more in (
        '"LastFailedIntegrations": ,',
        '"LastFailedIntegrations": null,',
        '"x": {"LastFailedIntegrations": }',
        '"x": "{\\"LastFailedIntegrations\\": ,"',
        '"|<b>\\r\\n\\ud800\x7f": 1, "|<b>\\r\\n\\ud800\x7f": 1',
        '"x": NaN',
        '"x": [-1e999, ' + 5000 * "1" + "]",
        '"x": ' + 2000 * "[",
    ):
        bodies.append(f"{{{more}, ".encode() + HEALTHY[1:])
    every = range(len(RULED) + len(OTHER))
    for each, number in zip(dict.fromkeys(bodies), itertools.cycle(every)):
        yield bytes([number]) + each
        yield b"\0" + each
    for form in "%m-%d-%Y %I.%M.%S %p", "%Y-%m-%dT%H:%M:%S.5Z", "%Y-%m-%dT%H:%M:%S+00:00":
        yield b"\0" + TIMESTAMP.sub(partial(_in_another_form, form), HEALTHY)
    for number in every:
        for end in b"01/01/0001 00:00:00", b"12/31/9999 23:59:59":
            yield bytes([number]) + TIMESTAMP.sub(end, HEALTHY, count=1)


def _in_another_form(form: str, found: re.Match[bytes]) -> bytes:
    return datetime.strptime(found[0].decode(), "%m/%d/%Y %H:%M:%S").strftime(form).encode()


# --- what comes over the network ------------------------------------------------------------------

NEXT = b"\n--next--\n"
"""Between the answers to one request and the following."""
LONGEST = 8
"""Answers: more than any login or chain of redirects that is followed."""
LIMIT = 20
MARGIN = 5
LOGIN = ("-vvv", "-l", "monitor", "--state-dir", f"{os.devnull}/none")
"""Each is a first login: nothing can be remembered there."""
PROXY = ("--proxy", "http://127.0.0.1:{port}")
OVER_THE_NETWORK: tuple[tuple[str, Options], ...] = (
    ("http", ()),
    ("http", ("-vvv",)),
    ("http", (*LOGIN, "--auth", "basic", "--insecure")),
    ("http", (*LOGIN, "--auth", "ntlm")),
    ("http", (*LOGIN, "--insecure")),
    ("http", ("--stage", "cube", "--unreachable-state", "warning")),
    ("http", (*LOGIN, "--auth", "ntlm", *PROXY)),
    ("https", ("-vvv", *PROXY)),
    ("https", ("-vvv", "--insecure")),
)


class Server:
    """Gives each request the next of some answers, and closes the connection after the last."""

    def __init__(self, answers: Sequence[bytes], patience: float) -> None:
        self.answers = list(answers)
        self.patience = patience
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket, over: threading.Event) -> None:
        while request := connection.recv(65536):  # a GET, or what begins TLS, comes in one piece
            self.requests.append(request)
            port = b"%d" % connection.getsockname()[1]
            token = re.search(rb"\r\nAuthorization: \w+ (\S*)\r\n", request)
            if self.answers:
                answer = self.answers.pop(0).replace(b"{port}", port)
                connection.sendall(answer.replace(b"{token}", token[1] if token else b""))
            if not self.answers:
                break
            connection.settimeout(self.patience)


def ask(
    answers: Sequence[bytes], scheme: str, options: Options, patience: float = 0.02
) -> tuple[str, int]:
    """Run the check over the network against these answers; assert what must hold.

    The server waits ``patience`` seconds for the next request: a client may wait for more, which
    does not come. Return the state, and how many times the password was proved to be known.
    """
    stage = "cube" if "cube" in options else "all"
    server = Server(answers[:LONGEST], patience)
    addresses = []
    connect = socket.socket.connect

    def noted(this: socket.socket, address: Any) -> None:
        addresses.append(address)
        connect(this, address)

    before = held()
    with raw_server(server) as port:
        options = tuple(option.replace("{port}", str(port)) for option in options)
        url = f"{scheme}://127.0.0.1:{port}{STATUS_PATH}?token={PASSWORD}"
        began = time.monotonic()
        with (
            mock.patch.object(socket.socket, "connect", noted),
            mock.patch.dict(os.environ, {"CQD_PASSWORD": PASSWORD}),
            # pytest would keep the frames of what is logged, and so the connections in them.
            mock.patch.object(logging.getLogger("urllib3"), "propagate", False),
        ):
            code, printed = run("-u", url, *REPLAY, "-t", str(LIMIT), *options)
        seconds = time.monotonic() - began
    if not is_no_more_than(before):
        gc.collect()  # urllib3 leaves some connections to it
        assert is_no_more_than(before), "a thread or a descriptor is left behind"
    output = checked(code, printed)
    assert set(addresses) == {("127.0.0.1", port)}
    assert seconds < LIMIT + MARGIN, seconds
    assert "(-t)" not in printed, "the server did not let it wait"
    assert not given_away(printed, server.requests), printed
    assert not NOT_SHOWN.search(printed), printed
    logins = sum(map(is_login, server.requests))
    assert logins <= 1
    assert output.state != "OK" or any(
        rule(body, stage) == "OK" for each in answers for body in bodies_of(each)
    ), "OK without proof"
    return output.state, logins


def held() -> tuple[int, int]:
    """Return how many threads and open files there are."""
    return threading.active_count(), len(os.listdir("/dev/fd"))


def is_no_more_than(before: tuple[int, int]) -> bool:
    """Tell whether nothing was added; what another test left behind may end at any time."""
    return all(now <= then for now, then in zip(held(), before))


def given_away(printed: str, requests: Sequence[bytes]) -> bool:
    """Tell whether what was printed holds the password or a token, as they are or encoded."""
    sent = b"\n".join(requests).decode("latin-1")
    secrets = {PASSWORD, *re.findall(r"\r\nAuthorization: \w+ (\S{16,})\r\n", sent)}
    readings = {printed, unquote_plus(printed), html.unescape(printed)}
    return any(each.lower() in reading.lower() for each in secrets for reading in readings)


NOT_SHOWN = re.compile(
    r"^(?:Set-Cookie|Location): (?!\(not shown\)$)|^WWW-Authenticate: .*TlRMTVNT",
    re.IGNORECASE | re.MULTILINE,
)


def is_login(request: bytes) -> bool:
    """Tell whether a request shows that the client knows the password."""
    match = re.search(rb"\r\nAuthorization: (\w+) (\S*)\r\n", request)
    return match is not None and (
        match[1] == b"Basic" or base64.b64decode(match[2]).startswith(b"NTLMSSP\0\3")
    )


def bodies_of(given: bytes) -> Iterator[bytes]:
    """Yield whatever may be the body of an answer with 200, most generously."""
    is_right = re.search(rb"HTTP/\S*\s+0*200\b", given)
    for blank in re.finditer(rb"\r?\n\r?\n", given) if is_right else ():
        rest, head = given[blank.end() :], given[: blank.end()]
        for part in (
            rest,
            dechunked(rest),
            *(rest[: int(length)] for length in re.findall(rb"(?i)Content-Length: *(\d+)", head)),
        ):
            yield part
            for window in (47, -15):
                with contextlib.suppress(zlib.error):
                    yield zlib.decompressobj(window).decompress(part, 1024 * 1024)


def dechunked(rest: bytes) -> bytes:
    parts, at = [], 0
    while match := re.compile(rb"\s*([0-9a-fA-F]+)[^\n]*\n").match(rest, at):
        at = match.end() + int(match[1][:8], 16)
        parts.append(rest[match.end() : at])
    return b"".join(parts)


def http(data: bytes) -> None:
    """Ask a server that says these bytes, whatever is asked."""
    number = data[0] % len(OVER_THE_NETWORK) if data else 0
    ask(data[1:].split(NEXT), *OVER_THE_NETWORK[number])


def head_of(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def told(text: bytes, status: str = "200 OK", *headers: str) -> bytes:
    return head_of(status, *headers, f"Content-Length: {len(text)}") + text


def http_seeds() -> Iterator[bytes]:
    """Answers as they are, chunked, compressed, cut; redirects; logins."""
    date = "Date: Tue, 24 Nov 2026 12:00:01 GMT"
    healthy = told(HEALTHY, "200 OK", date, "Content-Type: application/json", "Server: IIS")
    half = len(HEALTHY) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (HEALTHY[:half], HEALTHY[half:], b""))
    wanted = told(b"", "401 Unauthorized", 'WWW-Authenticate: Basic realm="cqd"')
    offer = told(b"", "401 Unauthorized", "WWW-Authenticate: Negotiate", "WWW-Authenticate: NTLM")
    moved = [
        told(b"moved", "302 Found", f"Location: {to}")
        for to in (
            "/x",
            "http://127.0.0.1:{port}/x?y#z",
            "//127.0.0.1:{port}/",
            "http://127.0.0.1:1/",
            "https://127.0.0.1:{port}/",
            "http://user:{port}@127.0.0.1:{port}/",
            "http://127.0.0.1:{port}\\@elsewhere.invalid/",
            "//elsewhere.invalid/",
        )
    ]
    plain = [
        healthy,
        told(HEALTHY, "200 OK", "Date: Tue, 24 Nov 2026 11:00:00 GMT", "Set-Cookie: session=1"),
        told(HEALTHY, "200 OK", f"Date: Tue, 24 Nov 99999 11:00:00 +{99 * '9'}"),
        told(HEALTHY, "206 Partial Content", "Date: yesterday"),
        b"HTTP/1.0 200 OK\r\n\r\n" + HEALTHY,
        head_of("200 OK", "Transfer-Encoding: chunked") + chunks,
        head_of("200 OK", "Content-Encoding: gzip", "Connection: close") + gzip.compress(HEALTHY),
        told(zlib.compress(HEALTHY), "200 OK", "Content-Encoding: deflate"),
        head_of("100 Continue") + healthy,
        head_of("200 OK", f"Content-Length: {len(HEALTHY) + 9}") + HEALTHY,
        healthy[:-20],
        told(HEALTHY, "200 OK", *(101 * ["X: y"])),
        told(HEALTHY, "200 OK", "X: " + 65536 * "y"),
        b"",
        b"HTTP/1.1 200",
        b"\x15\x03\x01\x00\x02\x02\x46",
        *(
            told(reply.body, f"{reply.status.value} {reply.status.phrase}", *map(": ".join, more))
            for reply in REPLIES.values()
            for more in [reply.headers]
        ),
        *(told(b"", f"{code} x") for code in (204, 206, 304, 407, 418, 503)),
    ]
    yield from (bytes([number % 2]) + each for number, each in enumerate(plain))
    yield from (b"\1" + each + NEXT + healthy for each in moved)
    yield from (b"\2" + each + NEXT + healthy for each in moved[:3])
    yield b"\1" + NEXT.join([moved[0]] * 7)
    yield from (b"\2" + wanted + NEXT + each for each in (healthy, wanted, moved[0]))
    yield b"\2" + NEXT.join([wanted, moved[0], wanted, healthy])
    yield b"\3" + offer + NEXT + told(b"", "401 Unauthorized", "WWW-Authenticate: NTLM abcde")
    challenged = offer + NEXT + challenged_with(CHALLENGE)
    for number in (3, 4):
        yield bytes([number]) + challenged + NEXT + healthy
        yield bytes([number]) + challenged + NEXT + offer
        yield bytes([number]) + wanted + NEXT + healthy
    yield b"\6" + challenged + NEXT + healthy
    alert = b"\x15\x03\x03\x00\x02\x02\x28"
    for connected in ("200 Connection established", "403 Forbidden", "407 x", "502 Bad Gateway"):
        yield b"\7" + head_of(connected) + NEXT + alert
    yield from (b"\x08" + each for each in (alert, healthy, b"\x16\x03\x03\x00\x04\x0e\0\0\0"))
    for echo in (
        PASSWORD,
        PASSWORD.swapcase(),
        "hunter2%2DGEHEIM",
        "hunter2&#45;GEHEIM",
        "{token}",
    ):
        for reply in (
            told(f"<html>{echo}".encode()),
            told(HEALTHY.replace(b"11/24/2026", echo.encode())),
            told(f'{{"{echo}": 1, "{echo}": 2}}'.encode()),
            told(b"moved", "302 Found", f"Location: /{echo}") + NEXT + healthy,
            told(b"moved", "302 Found", f"Location: https://{echo}/"),
            told(b"", "200 OK", f"Content-Encoding: {echo},", f"X-{echo}: x", f"Server: {echo}"),
            told(b"", f"200 {echo}", f"WWW-Authenticate: NTLM {echo}", f"Server: {echo}"),
        ):
            yield b"\1" + reply
            yield b"\2" + wanted + NEXT + reply
            yield b"\3" + challenged + NEXT + reply
    yield b"\5" + healthy
    yield b"\5" + told(b"", "500 Internal Server Error")


# --- NTLM -----------------------------------------------------------------------------------------


def challenge() -> bytes:
    """Return a challenge as IIS sends one, see MS-NLMP 2.2.1.2."""
    pairs = b"".join(
        struct.pack("<HH", kind, len(value)) + value
        for kind, value in (
            (2, "CQD".encode("utf-16-le")),
            (1, "PORTAL".encode("utf-16-le")),
            (7, struct.pack("<Q", 133_000_000_000_000_000)),
            (0, b""),
        )
    )
    name = "CQD".encode("utf-16-le")
    return (
        b"NTLMSSP\0"
        + struct.pack("<IHHII", 2, len(name), len(name), 56, 0xE2898215)
        + b"12345678"
        + bytes(8)
        + struct.pack("<HHI", len(pairs), len(pairs), 56 + len(name))
        + bytes([10, 0, 0x63, 0x45, 0, 0, 0, 15])
        + name
        + pairs
    )


CHALLENGE = challenge()


def challenged_with(token: bytes) -> bytes:
    header = f"WWW-Authenticate: NTLM {base64.b64encode(token).decode()}"
    return told(b"", "401 Unauthorized", header)


def ntlm(data: bytes) -> None:
    """Log in to a server whose challenge is these bytes."""
    offer = told(b"", "401 Unauthorized", "WWW-Authenticate: NTLM")
    last = told(HEALTHY) if data[:1] == b"N" else offer
    ask([offer, challenged_with(data), last], "http", (*LOGIN, "--auth", "ntlm"))


def ntlm_seeds() -> Iterator[bytes]:
    """One right challenge, and what is left of it when a part is lost."""
    yield CHALLENGE
    yield b"NTLMSSP\0\x02\0\0\0"
    yield CHALLENGE[:48]
    yield CHALLENGE.replace(struct.pack("<I", 0xE2898215), struct.pack("<I", 0x00000201))


# --- what is remembered of a refused login --------------------------------------------------------


def refused(data: bytes) -> None:
    """Log in where the file of a refusal, or the key that names it, holds these bytes."""
    wanted = told(b"", "401 Unauthorized", 'WWW-Authenticate: Basic realm="cqd"')
    with tempfile.TemporaryDirectory() as folder:
        options = (*LOGIN[:3], "--state-dir", folder, "--auth", "basic", "--insecure")
        assert ask([wanted, wanted], "http", options, PATIENCE) == ("UNKNOWN", 1)
        [name] = {*os.listdir(folder)} - {"key"}
        Path(folder, "key" if data[:1] == b"K" else name).write_bytes(data[1:])
        again = ask([wanted, told(HEALTHY)], "http", options, PATIENCE)
    assert again in (("UNKNOWN", 0), ("OK", 1)), again


def refused_seeds() -> Iterator[bytes]:
    """What is written there, and what no check has written."""
    refusal: dict[str, Any] = {"time": time.time(), "host": "127.0.0.1", "reason": "HTTP 401: no"}
    for changes in (
        {},
        {"time": 0},
        {"time": 1e10},
        {"time": "now"},
        {"time": True},
        {"host": "CRITICAL|\n"},
        {"reason": 300 * "[OK] "},
        {"reason": None},
    ):
        yield b"R" + json.dumps(refusal | changes).encode()
    for broken in (b"", b"null", b"[]", b"{", b'"x"', b"NaN", b'{"time": NaN}', 3000 * b" "):
        yield b"R" + broken
        yield b"K" + broken
    yield b"K" + 64 * b"0"


# --- the command line -----------------------------------------------------------------------------

FILE = "{file}"
SECRET = re.compile(
    r"(?:-u |--url |.* --url=|-H |--proxy |.* --proxy=)"
    r"(?:(?:https?://)?[^/?#]*:hunter2@|[^#]*\?[^#]*hunter2).*"
    r"|.* --(?:http|insecure|password)=.*",
    re.DOTALL,
)
"""What may be a password: in a URL that of a user or a part of the query; what no option takes."""


def options(data: bytes) -> None:
    """Grade a healthy answer with these words, which zero bytes part."""
    words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "status.json")
        path.write_bytes(HEALTHY)
        words = [word.replace(FILE, str(path)) for word in words]
        with mock.patch.object(socket, "getaddrinfo", side_effect=socket.gaierror(-2, "no")):
            code, printed = run(*words)
    if printed.startswith(("usage: check_cqd_integration", "check_cqd_integration ")):
        assert code == 3
        return
    checked(code, printed)
    addresses = [" ".join(pair) for pair in zip(("", *words), words) if "hunter2" in pair[1]]
    if all(map(SECRET.fullmatch, addresses)):
        assert "hunter2" not in printed, printed


def options_seeds() -> Iterator[bytes]:
    """Every option, and what may be a password."""
    file = f"--input {FILE} --now 2026-11-24T12:00:00Z --timezone UTC"
    for line in (
        file,
        f"{file} -w 30m -c 1h --stage cube -vvv",
        f"{file} --integration-warning @10m:20m --integration-critical ~:1h --cube-warning 1h30m:",
        f"{file} --failure-warning 30m: --failure-critical 10m: --streak-warning 0",
        f"{file} --streak-critical 5 --running-warning 2h --running-critical 1w --data-warning 2d",
        f"{file} --data-critical 4d --running-grace 90s --max-skew 0 --no-success-state ok",
        f"{file} --cube-critical 2h --date-order dmy --log-entries 2 -v",
        f"--input={FILE} --timezone local --now 2026-10-25T02:30:00",
        "-H portal.invalid -p 8080 --http -t 0.5 --unreachable-state ok",
        "-H ::1 --ca-file x --client-cert x --client-key x",
        "-u http://portal.invalid:80/x?token=hunter2 -vvv -t 1",
        "-u http://user:hunter2@portal.invalid/ -vvv",
        "--url=https://user:hunter2@portal.invalid/ -vvv",
        "-H x.invalid --proxy http://user:hunter2@portal.invalid/ -vvv",
        "-H x.invalid --proxy http://portal.invalid:3128 -v",
        "-H user:hunter2@portal.invalid",
        "-H x.invalid --insecure=hunter2",
        "-H x.invalid --password=hunter2",
        "-H x.invalid hunter2 -x=hunter2 -vhunter2",
        "-H x.invalid -l monitor --password-file x --keytab x --auth basic --insecure",
        "-H x.invalid -l monitor --auth ntlm --login-retry 0 --state-dir x",
        "-H x.invalid --auth kerberos --no-channel-binding -a",
        "-V",
        "-h",
        "--help",
        "--version --verbose --verbose --verbose",
    ):
        yield "\0".join(line.split(" ")).encode()


TARGETS: dict[str, tuple[Target, Callable[[], Iterator[bytes]]]] = {
    "body": (body, body_seeds),
    "http": (http, http_seeds),
    "ntlm": (ntlm, ntlm_seeds),
    "refused": (refused, refused_seeds),
    "options": (options, options_seeds),
}


def any_timestamp(chance: Random) -> bytes:
    """Return one near a limit, or somewhere."""
    limit = chance.choice((-300, 0, 1800, 3600, 7200))
    ago = limit + chance.choice((-1, 0, 1, chance.randint(0, 3600)))
    return str(timestamp(ago)).encode()


WORDS = (
    *(f'"{key}"' for key in KEYS),
    *("null", "[]", "{}", '""', ":  ,", "\\u0000", "\\ud800", "|", "<", ">", "\ufeff"),
    *(
        f'"{timestamp(ago)}"'
        for ago in (-301, -300, -1, 0, 1799, 1800, 1801, 3600, 3601, 7200, 7201)
    ),
    *('"2026-11-24T11:59:00"', '"2026-11-24T11:59:00.123456789"', '"01/01/0001 00:00:00"'),
    *("HTTP/1.1 200 OK\r\n", "HTTP/1.0 ", "HTTP/1.1 401 x\r\n", "HTTP/1.1 302 x\r\n", "\r\n\r\n"),
    *("Content-Length: ", "Transfer-Encoding: chunked\r\n", "Content-Encoding: ", "gzip", "br"),
    *("Location: ", "http://127.0.0.1:{port}/", "https://", "//", "@", "WWW-Authenticate: "),
    *("Basic ", "NTLM ", "Negotiate ", "Date: ", " GMT\r\n", "Connection: close\r\n", "deflate"),
    *("Set-Cookie: ", "Connection: keep-alive\r\n", "0\r\n\r\n", "ffffffff\r\n", "zstd"),
    *("NTLMSSP", "TlRMTVNTUAACAAAA", NEXT.decode()),
)
"""What the fuzzer puts together: it would take long to find them by itself."""
