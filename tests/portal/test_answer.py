"""What is shown of an answer that cannot be read: its beginning, and no secret."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import requests_mock
from expected import AT_DOCUMENTED_MOMENT, REPLAY, URL, Run
from portal_simulator import DOCUMENTED

from check_cqd_integration.portal.answer import Answer, Secrets

HIDDEN = "(not shown: it holds a secret that was sent)"
UNREAD = "[UNKNOWN] integration: not read\n[UNKNOWN] cube: not read\n"
WEB_PAGE = (
    "CQD UNKNOWN - the answer is a web page, not JSON; is this the CQD portal, and its address "
    "right?\n"
)


@pytest.mark.parametrize(
    ("excerpt", "body"),
    [
        ("", b""),
        ("", b" \r\n"),
        ("a b c", b"\xef\xbb\xbfa\r\n\t b  c\n"),
        ("gr\xfcn", "gr\xfcn".encode()),
        ("gr\xfcn", "gr\xfcn".encode("latin-1")),
        ("\xff\xfe<a>", "<a>".encode("utf-16")),
        (500 * "x", 500 * b"x"),
        (500 * "x" + "...", 501 * b"x"),
    ],
    ids=["nothing", "blanks", "lines", "utf-8", "latin-1", "utf-16", "500", "501"],
)
def test_excerpt(excerpt: str, body: bytes) -> None:
    assert Answer(body).excerpt() == excerpt


@pytest.mark.parametrize(
    ("secret", "echo"),
    [
        ("hunter2", "Hunter2"),
        ("a<b'c&d", "a&lt;b&#x27;c&amp;d"),
        ("a<b'c&d", "a&lt;b&#39;c&amp;d"),
        ("a b/c+d", "a%20b%2Fc%2Bd"),
        ("a b/c+d", "a%20b/c%2Bd"),
        ("a b/c+d", "a+b%2fc%2bd"),
        ("p\xe4ss\\w", r"p\u00e4ss\\w"),
        ("p\xe4ss'w", r"p\u00e4ss'w"),
        ("p\xe4ss\\w", "p\xe4ss\\\\w"),
        ("a<b'c&d+", r"a\u003Cb\u0027c\u0026d\u002B"),
        ("hunter2", base64.b64encode(b"hunter2").decode()),
        ("p\xe4ss", "p\xc3\xa4ss"),
        ("hun\ud800ter2", "hun\ud800ter2"),
    ],
    ids=[
        "case",
        "html",
        "html-39",
        "url",
        "path",
        "form",
        "json",
        "ascii",
        "text",
        "net",
        "base64",
        "bytes",
        "surrogate",
    ],
)
def test_secret_is_found_however_it_comes_back(secret: str, echo: str) -> None:
    secrets = Secrets()
    secrets.add("something else")
    secrets.add(secret)
    assert secrets.are_in(f"<{echo}>")
    assert not secrets.are_in(f"<{echo[:-1]}>")
    assert secret not in repr(Answer(b"", secrets=secrets))


def test_no_secret_is_in_no_text() -> None:
    secrets = Secrets()
    secrets.add(None)
    secrets.add("")
    assert not secrets.are_in("text")


def test_beginning_of_a_saved_answer_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(b"<html>\r\n[OK] a|b" + 500 * b"x")
    assert run("--input", str(path), "-vv") == (3, WEB_PAGE + UNREAD)
    assert run("--input", str(path), "-vvv") == (
        3,
        f"{WEB_PAGE}{UNREAD}answer: (html) {{OK}} a/b{485 * 'x'}...\n",
    )


@pytest.mark.parametrize(
    ("found", "put", "message"),
    [
        (b"}", b"", "the answer is broken JSON at line 19 column 49: "),
        (b"LastFailedC", b"LostC", "LastFailedCubeProcessings is missing in the answer"),
        (b"01/18/2015 10:30:13", b"?", "LastSuccessIntegrations[0] is not a timestamp like "),
        (b"01/18/2015 10:30:13", b"01/19/2015 10:30:13", "the timestamp 2015-01-19 10:30:13 is "),
    ],
    ids=["broken", "missing", "timestamp", "future"],
)
def test_beginning_of_what_is_almost_an_answer(
    run: Run, tmp_path: Path, found: bytes, put: bytes, message: str
) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(DOCUMENTED.replace(found, put))
    code, out = run(*REPLAY, str(path), "-vvv")
    first, *lines = out.splitlines()
    told = " ".join(path.read_text().split())
    assert code == 3
    assert first.startswith(f"CQD UNKNOWN - {message}")
    assert lines == [*UNREAD.splitlines(), f"answer: {told[:500]}{'...' * (len(told) > 500)}"]


def test_nothing_is_shown_of_an_empty_answer_or_of_one_that_was_read(
    run: Run, tmp_path: Path, sample: Path
) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(b"")
    assert run("--input", str(path), "-vvv")[1].endswith(f"\n{UNREAD}")
    assert "\nanswer: " not in run(*REPLAY, str(sample), "-vvv")[1]


@pytest.mark.parametrize(
    "echo",
    ["Passw0rd&", "Passw0rd&amp;", "bTpQYXNzdzByZCY=", "none"],
    ids=["text", "html", "token", "none"],
)
def test_portal_that_sends_the_login_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, echo: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "Passw0rd&")
    page = f"<html>{600 * 'x'}{echo}"  # beyond what would be shown
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
        assert (server, answer) == ("Server: none", f"answer: (html){494 * 'x'}...")
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
