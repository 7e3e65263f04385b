"""What is shown of an answer that cannot be read: its beginning."""

from __future__ import annotations

from pathlib import Path

import pytest
from expected import REPLAY, Run
from portal_simulator import DOCUMENTED

from check_cqd_integration.portal.answer import Answer

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
    path = tmp_path / "empty.json"
    path.write_bytes(b"")
    assert run("--input", str(path), "-vvv")[1].endswith(f"\n{UNREAD}")
    path.unlink()
    assert run("--input", str(path), "-vvv") == (
        3,
        f"CQD UNKNOWN - reading {path}: No such file or directory\n{UNREAD}",
    )
    code, out = run(*REPLAY, str(sample), "-vvv")
    assert (code, out) == run(*REPLAY, str(sample), "-vv")
    assert code == 2
