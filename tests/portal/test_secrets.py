"""What was sent is not shown when it comes back, wherever and in whatever form."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import pytest
import requests_mock
from expected import AT_DOCUMENTED_MOMENT, URL, Run, unknown
from portal_simulator import DOCUMENTED, LOG_PATH

from check_cqd_integration.errors import AnswerError, Said
from check_cqd_integration.portal import secrets as secrets_of_a_check
from check_cqd_integration.portal.answer import TooLargeError
from check_cqd_integration.portal.secrets import HIDDEN, Secrets

UNREAD = "[UNKNOWN] integration: not read\n[UNKNOWN] cube: not read\n"
WEB_PAGE = (
    "CQD UNKNOWN - the answer is a web page, not JSON; is this the CQD portal, and its address "
    "right?\n"
)


@pytest.mark.parametrize(
    ("secret", "echo"),
    [
        ("hunter2", "Hunter2"),
        ("a<b'c&d", "a&lt;b&#x27;c&amp;d"),
        ("a<b'c&d", "a&lt;b&#39;c&amp;d"),
        ("hunter2", "&#104;&#x75;nter2"),
        ("a b/c+d", "a%20b%2Fc%2Bd"),
        ("a b/c+d", "a%20b/c%2Bd"),
        ("a b/c+d", "a+b%2fc%2bd"),
        ("hunter2", "%68%75%6E%74%65%72%32"),
        ("p\xe4ss\\w", r"p\u00e4ss\\w"),
        ("p\xe4ss\\w", "p\xe4ss\\\\w"),
        ("p\xe4ss'w", r"p\u00e4ss'w"),
        (r"p\u00e4s", r"p\\u00e4s"),
        ("p\U0001f600ss", r"p\ud83d\ude00ss"),
        ("a<b'c&d+", r"a\u003Cb\u0027c\u0026d\u002B"),
        ("a<b'c&d+", r"a\u0026lt;b\u0027c%26d+"),
        ("hunter2", base64.b64encode(b"hunter2").decode()[:8]),
        ("hunter2", base64.b64encode(b"m:hunter2").decode()[3:-1]),
        ("hunter2", base64.b64encode(b"mon:hunter2").decode()[6:14]),
        ("p\xe4ss", "p\xc3\xa4ss"),
        ("p\xe4ss", "p?ss"),
        ("hun  ter2", "hun ter2"),
        ("hun\ud800ter2", "hun\ud800ter2"),
        ("w", "w"),
        ("0123456789", "01234567"),
        ("0123456789abcdef", "6789abcdef"),
        ("0123456789abcdefghijklmnopqrstuvwxyz", "fghijklmnopqrstu"),
    ],
)
def test_secret_is_found_however_it_comes_back(secret: str, echo: str) -> None:
    secrets = Secrets()
    secrets.add("something else")
    secrets.add(secret)
    assert secrets.are_in(f"({echo})")
    assert not secrets.are_in(f"({echo[:-1]})")
    assert secrets.told(f"({echo})") == HIDDEN
    assert secret not in repr(secrets)


@pytest.mark.parametrize("secret", [b"hunt", b"hunte", b"hunter"])
@pytest.mark.parametrize("before", [b"", b"m", b"m:", b"me:", b"mon:"])
@pytest.mark.parametrize("after", [b"", b"\xff", b"\xff\xff"])
def test_secret_within_base64(secret: bytes, before: bytes, after: bytes) -> None:
    """All its characters that depend on nothing else are looked for, and no others."""
    secrets = Secrets()
    secrets.add(secret.decode())
    assert secrets.are_in(base64.b64encode(before + secret + after).decode())
    is_even = len(before + secret) % 3 == 0
    others = (
        bytes([secret[0] ^ 1]) + secret[1:],
        secret[:-1] + bytes([secret[-1] ^ 128 >> 7 * is_even]),
    )
    for other in others:
        assert not secrets.are_in(base64.b64encode(before + other + after).decode())


def test_three_characters_of_base64_may_be_anything() -> None:
    secrets = Secrets()
    secrets.add("abc")
    assert "FiY" in base64.b64encode(b"mabc").decode()
    assert not secrets.are_in("FiY")


def test_only_what_may_be_shown_is_looked_at() -> None:
    secrets = Secrets()
    secrets.add("hunter2")
    assert secrets.are_in(4089 * "x" + "hunter2")
    assert not secrets.are_in(4090 * "x" + "hunter2")


def test_no_secret_is_in_no_text() -> None:
    secrets = Secrets()
    secrets.add(None)
    secrets.add("")
    assert not secrets.are_in("text")
    assert secrets.told("text") == "text"


def test_secret_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes long; and at -vvv, a portal that redirects sends hundreds of headers and tokens."""
    taken_apart = []
    really = secrets_of_a_check._forms

    def forms(secret: str) -> set[str]:
        taken_apart.append(secret)
        return really(secret)

    monkeypatch.setattr(secrets_of_a_check, "_forms", forms)
    secrets = Secrets()
    secrets.add("0123456789abcdef")
    assert taken_apart == []
    for _ in range(3):
        assert not secrets.are_in("X")
    secrets.add("hunter2")
    for _ in range(3):
        assert secrets.are_in("hunter2")
        assert secrets.are_in("0123456789abcdef")
    assert taken_apart == ["0123456789abcdef", "hunter2"]


def test_secrets_may_be_added_meanwhile_by_a_thread_that_was_left() -> None:
    def add() -> None:
        for number in range(200_000):
            secrets.add(str(number))

    secrets = Secrets()
    left = threading.Thread(target=add)
    left.start()
    lines = 0
    while left.is_alive():
        assert secrets.blanked("cube") == "cube"
        lines += 1
    left.join()
    assert lines


def test_line_is_blanked_of_what_no_word_of_ours_is() -> None:
    secrets = Secrets()
    for each in ("cube", "0123456789abcde", "0123456789abcdef"):
        secrets.add(each)
    line = "cube: 0123456789abcdef 0123456789abcde"
    assert secrets.blanked(line) == "cube: (secret) 0123456789abcde"


def test_error_tells_nothing_secret_that_the_portal_said() -> None:
    secrets = Secrets()
    secrets.add("cube")
    error = AnswerError("cube has ", Said("a cube"), " and ", Said("a sphere"))
    secrets.hide_in(error)
    assert str(error) == f"cube has {HIDDEN} and 'a sphere'"
    too_large = TooLargeError()
    text = str(too_large)
    secrets.hide_in(too_large)
    assert str(too_large) == text


@pytest.mark.parametrize(
    "echo",
    ["Passw0rd&", "Passw0rd&amp;", "bTpQYXNzdzByZCY=", "none"],
    ids=["text", "html", "token", "none"],
)
def test_portal_that_sends_the_login_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, echo: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "Passw0rd&")
    page = f"<html>{400 * 'x'}{echo}{200 * 'x'}"
    answers = [
        {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}},
        {"text": page, "headers": {"Server": echo}},
    ]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, answers)
        code, out = run("-H", "cqd.example.com", "-l", "m", "-vvv", *AT_DOCUMENTED_MOMENT)
    assert code == 3
    assert out.startswith(WEB_PAGE + UNREAD)
    *_, server, _, answer = out.splitlines()
    if echo == "none":
        assert (server, answer) == ("Server: none", f"answer: (html){400 * 'x'}none{90 * 'x'}...")
    else:
        assert (server, answer) == ("Server: (not shown)", f"answer: {HIDDEN}")
        assert echo not in out


@pytest.mark.parametrize(
    ("query", "echo"),
    [
        ("?token=hunter2", "hunter2"),
        ("?a=b&token=hunter%202&c=d", "hunter 2"),
        ("?token=%68unter2", "%68unter2"),
        ("?hunter2", "hunter2"),
        (";hunter2", "hunter2"),
        (";a=hunter2?x=y", "hunter2"),
    ],
)
def test_portal_that_sends_the_query_back(run: Run, query: str, echo: str) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, text=json.dumps({"you asked for": echo}))
        _, out = run("-u", f"{URL}{query}", "-vvv", *AT_DOCUMENTED_MOMENT)
        assert out.splitlines()[-1] == f"answer: {HIDDEN}"
        assert echo not in out
        mocked.get(requests_mock.ANY, text='{"token": "Status x=y c=d"}')
        _, out = run("-u", f"{URL}{query}", "-vvv", *AT_DOCUMENTED_MOMENT)
        assert out.splitlines()[-1] == 'answer: {"token": "Status x=y c=d"}'


def login(run: Run, *options: str) -> tuple[int, str]:
    """Ask as ``m``."""
    return run("-H", "cqd.example.com", "-l", "m", *options, *AT_DOCUMENTED_MOMENT)


def basic(*answers: Any) -> list[Any]:
    return [{"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}, *answers]


PASSWORD = "Passw0rd&"
TOKEN = base64.b64encode(f"m:{PASSWORD}".encode()).decode()
ECHOES = pytest.mark.parametrize("echo", [PASSWORD, PASSWORD.lower(), TOKEN, TOKEN[:-4]])


@ECHOES
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda echo: {"text": DOCUMENTED.decode().replace("01/18/2015 10:30:13", echo)},
            "LastSuccessIntegrations[0] is not a timestamp like 01/18/2015 10:30:13: " + HIDDEN,
        ),
        (
            lambda echo: {"text": f'{{"x{echo}": 1, "x{echo}": 2}}'},
            f"{HIDDEN} is given twice",
        ),
        (
            lambda echo: {"text": "", "headers": {"Content-Encoding": f"br, {echo}"}},
            f"the answer is compressed as {HIDDEN}, which is not read",
        ),
        (
            lambda echo: {"status_code": 302, "headers": {"Location": f"https://{echo}.test/"}},
            f"the portal redirects to {HIDDEN}, which is not followed; if that is right, give its "
            f"address with --url",
        ),
        (
            lambda echo: {
                "status_code": 302,
                "headers": {"Location": f"{5000 * 'a'}://{echo}.test/"},
            },
            f"the portal redirects to {HIDDEN}, which is not followed; if that is right, give its "
            f"address with --url",
        ),
    ],
    ids=["timestamp", "key", "encoding", "redirect", "redirect with a long scheme"],
)
def test_first_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, answer: Any, message: str, echo: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, basic(answer(echo)))
        code, out = login(run)
    assert (code, out) == unknown(message if len(message) < 187 else f"{message[:183]}...")


@ECHOES
def test_exchange(run: Run, monkeypatch: pytest.MonkeyPatch, echo: str) -> None:
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)
    moved = {"status_code": 302, "headers": {"Location": f"/{echo}", f"X-{echo}": "x"}}
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, text="{}", headers={"Server": f"{80 * 'x'}{echo}"})
        mocked.get(URL, basic(moved))
        code, out = login(run, "-vvv")
    assert code == 3
    assert out.splitlines()[3:] == [
        f"GET {URL}",
        "HTTP 401",
        "WWW-Authenticate: Basic",
        f"GET {URL} with a token",
        "HTTP 302",
        "Location: (not shown)",
        "a header: (not shown)",
        f"GET https://cqd.example.com{HIDDEN}",
        "HTTP 200",
        "Server: (not shown)",
        out.splitlines()[-2],
        "answer: {}",
    ]


def test_token_of_the_portal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    token = base64.b64encode(b"NTLMSSP\0\3" + bytes(range(100))).decode()
    headers = {"WWW-Authenticate": f"NTLM {token}", "Server": token}
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, status_code=401, headers=headers)
        _, out = run("-H", "cqd.example.com", "-vvv")
    assert out.splitlines()[-2:] == ["WWW-Authenticate: NTLM", "Server: (not shown)"]


@ECHOES
def test_log_of_the_portal(run: Run, monkeypatch: pytest.MonkeyPatch, echo: str) -> None:
    monkeypatch.setenv("CQD_PASSWORD", PASSWORD)
    entry = {"LogCategory": "Cube", "LogTime": "2015-01-18T10:30:58", "LogDescription": echo}
    log = f"https://cqd.example.com{LOG_PATH}"
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, basic({"content": DOCUMENTED}))
        mocked.get(log, json=[entry])
        _, out = login(run, "-v")
        assert f"\n  log 2015-01-18 10:30:58+00:00  Cube: {HIDDEN}\n" in out
        mocked.get(URL, basic({"content": DOCUMENTED}))
        mocked.get(log, json=[{**entry, "LogTime": echo}])
        _, out = login(run, "-v")
        assert "\nlog not read: LogTime is not a timestamp like 01/18/2015 10:30:13: (not " in out


@pytest.mark.parametrize("password", ["c", "cube", "failure", "1"])
def test_words_of_the_plugin_are_told_whatever_the_password(
    run: Run, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    with requests_mock.Mocker() as mocked:
        outcomes = []
        for each in (password, "another password"):
            monkeypatch.setenv("CQD_PASSWORD", each)
            mocked.get(URL, basic({"content": DOCUMENTED}))
            outcomes.append(login(run))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1].startswith("CQD CRITICAL - cube: last success 19h 14m ago (limit 2h), 2")
