"""Refused logins are remembered: in a real directory, with a clock that the tests move."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests_mock
from expected import AT_DOCUMENTED_MOMENT, DOCUMENTED_MOMENT, URL, Run, unknown, url_of
from hang import Hang
from portal_simulator import DOCUMENTED, STATUS_PATH, PortalSimulator

from check_cqd_integration.auth import Credentials, Refusals, choice, refusals
from check_cqd_integration.auth.choice import BasicLogin
from check_cqd_integration.errors import LoginError, RefusedError

MINUTE, HOUR = 60, 3600
WHY = (
    "HTTP 401 to Basic (of Basic); wrong password, locked or expired account, or group, see --auth"
)
LOGIN = "logging in to 127.0.0.1 as monitor: "
REFUSED = unknown(LOGIN + WHY)


class Clock:
    """This host's clock, in seconds since 1970."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(refusals, "now", clock)
    return clock


@pytest.fixture
def basic_portal() -> Iterator[PortalSimulator]:
    """A portal that lets in monitor with Passw0rd! only."""
    with PortalSimulator("basic", clock=lambda: DOCUMENTED_MOMENT, zone=timezone.utc) as portal:
        yield portal


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A password file with a wrong password."""
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What --state-dir names; it is not there yet."""
    return tmp_path / "some" / "where" / "state"


Check = Callable[..., "tuple[int, str]"]


@pytest.fixture
def check(run: Run, basic_portal: PortalSimulator, directory: Path, password: Path) -> Check:
    """Run a check that logs in with the password file."""

    def check(*options: str) -> tuple[int, str]:
        login = ("-l", "monitor", "--password-file", str(password), "--insecure")
        state = ("--state-dir", str(directory))
        return run("-u", url_of(basic_portal), *AT_DOCUMENTED_MOMENT, *login, *state, *options)

    return check


def attempts(portal: PortalSimulator) -> int:
    return sum("Authorization" in request.headers for request in portal.requests)


def refused(ago: str, rest: str, why: str = WHY, by: str = "") -> tuple[int, str]:
    text = (
        f"CQD UNKNOWN - {LOGIN}refused {ago} ago{by}, tried again in {rest} or with new "
        f"credentials (--login-retry): {why}"
    )
    return 3, (text if len(text) <= 200 else text[:197] + "...") + "\n"


def files(directory: Path) -> list[Path]:
    """Return the refusals that are remembered."""
    return sorted(path for path in directory.iterdir() if path.name != "key")


def test_wrong_password_checked_every_minute_for_two_hours(
    check: Check, clock: Clock, basic_portal: PortalSimulator
) -> None:
    """A domain that locks at the fifth attempt never does."""
    outcomes = []
    for _ in range(120):
        outcomes.append(check())
        clock.time += MINUTE
    assert attempts(basic_portal) == 2
    assert [number for number, outcome in enumerate(outcomes) if outcome == REFUSED] == [0, 60]
    assert outcomes[12] == outcomes[72] == refused("12m", "48m")
    assert outcomes[59] == refused("59m", "1m")
    assert {code for code, _ in outcomes} == {3}


def test_corrected_password_logs_in_at_the_next_check(
    check: Check, clock: Clock, basic_portal: PortalSimulator, password: Path
) -> None:
    assert [check(), check()] == [REFUSED, refused("0s", "1h")]
    password.write_text("Passw0rd!\n")
    clock.time += MINUTE
    assert check()[0] == 0
    assert attempts(basic_portal) == 2


@pytest.mark.parametrize("change", ["touch", "replace", "same size"])
def test_file_that_was_written_anew_is_tried_at_once(
    check: Check, basic_portal: PortalSimulator, password: Path, change: str
) -> None:
    """Whatever it holds: to touch it is how an administrator asks for another try."""
    check()
    before = password.stat()
    if change == "replace":
        new = password.with_name("new")
        new.write_text("hunter2\n")
        new.chmod(0o600)
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        new.replace(password)
    else:
        password.write_text("hunter3\n")
        os.utime(password, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert check() == REFUSED
    assert attempts(basic_portal) == 2


def test_password_of_the_environment(
    run: Run, basic_portal: PortalSimulator, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("-u", url_of(basic_portal), "--insecure", "--state-dir", str(directory))
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    assert run(*options, "-l", "monitor") == REFUSED
    assert run(*options, "-l", "MONITOR")[1].startswith(
        "CQD UNKNOWN - logging in to 127.0.0.1 as MONITOR: refused "
    )
    monkeypatch.setenv("CQD_PASSWORD", "hunter3")
    assert run(*options, "-l", "monitor") == REFUSED
    assert run(*options, "-l", "another")[1].startswith(
        "CQD UNKNOWN - logging in to 127.0.0.1 as another: HTTP 401 to Basic "
    )
    assert attempts(basic_portal) == 3
    monkeypatch.setenv("CQD_PASSWORD", "Passw0rd!")
    assert run(*options, *AT_DOCUMENTED_MOMENT, "-l", "monitor")[0] == 0


def test_nothing_is_written_but_what_tells_nothing(
    check: Check, clock: Clock, directory: Path
) -> None:
    before = os.umask(0)
    try:
        check()
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    key, [refusal] = directory / "key", files(directory)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (key, refusal)} == {0o600}
    assert json.loads(refusal.read_text()) == {
        "time": clock.time,
        "host": "127.0.0.1",
        "reason": WHY,
    }
    assert len(bytes.fromhex(key.read_text())) == 32
    assert len(bytes.fromhex(refusal.name)) == 32
    everything = refusal.name + refusal.read_text() + key.read_text()
    assert not {"hunter2", "monitor"} & {everything[at : at + 7] for at in range(len(everything))}


def test_name_of_a_file_depends_on_the_key(check: Check, directory: Path) -> None:
    check()
    [first] = files(directory)
    first.unlink()
    (directory / "key").unlink()
    check()
    assert files(directory) != [first]


def test_another_portal_is_not_asked_with_the_same_credentials(
    check: Check, clock: Clock, basic_portal: PortalSimulator
) -> None:
    check()
    clock.time += 5 * MINUTE
    by_name = f"http://localhost:{basic_portal.port}{STATUS_PATH}"
    code, out = check("-u", by_name)
    assert (code, out) == (
        3,
        "CQD UNKNOWN - logging in to localhost as monitor: refused 5m ago by 127.0.0.1, tried "
        "again in 55m or with new credentials (--login-retry): HTTP 401 to Basic (of Basic); "
        "wrong password, locked or ex...\n",
    )
    assert attempts(basic_portal) == 1


def test_login_retry(check: Check, clock: Clock, basic_portal: PortalSimulator) -> None:
    check()
    clock.time += 30 * MINUTE
    assert check("--login-retry", "2h") == refused("30m", "1h 30m")
    assert check("--login-retry", "30m") == REFUSED
    assert check("--login-retry", "0") == REFUSED
    clock.time += MINUTE
    assert check() == refused("1m", "59m")
    assert attempts(basic_portal) == 3


def test_login_that_succeeds_is_forgotten_and_writes_nothing(
    check: Check, clock: Clock, basic_portal: PortalSimulator, directory: Path, password: Path
) -> None:
    before = password.stat()
    check()
    [refusal] = files(directory)
    password.write_text("Passw0rd!\n")
    assert check()[0] == 0
    assert files(directory) == [refusal]  # of other credentials: they are not proved by that
    check("--state-dir", str(directory.with_name("none")))
    assert not directory.with_name("none").exists()

    wrong = password.with_name("wrong")
    password.rename(wrong)
    wrong.write_text("hunter2\n")  # what the file was, as far as can be told
    os.utime(wrong, ns=(before.st_atime_ns, before.st_mtime_ns))
    wrong.rename(password)
    assert check() == refused("0s", "1h")
    assert attempts(basic_portal) == 3


def test_check_that_is_held_back_writes_nothing(
    check: Check, clock: Clock, directory: Path
) -> None:
    check()
    [refusal] = files(directory)
    written = refusal.stat().st_ino
    for seconds in 0, 0.5:
        clock.time += seconds
        assert check() == refused("0s", "1h")
        assert refusal.stat().st_ino == written


def test_key_that_was_broken_meanwhile_forgets_nothing(clock: Clock, directory: Path) -> None:
    memory = Refusals(Credentials("auto", "monitor", "right"), HOUR, str(directory))
    assert memory.remember("host", "locked") == ""
    clock.time += HOUR
    memory.check("host")
    (directory / "key").write_text("")
    memory.forget()
    assert len(files(directory)) == 1


def test_account_that_is_right_again_is_forgotten(clock: Clock, directory: Path) -> None:
    credentials = Credentials("auto", "monitor", "right")
    memory = Refusals(credentials, HOUR, str(directory))
    assert memory.remember("host", "locked") == ""
    clock.time += HOUR
    memory.check("host")
    memory.forget()
    assert files(directory) == []
    memory.forget()  # another check was faster


@pytest.mark.parametrize("status", ["200", "503"])
def test_only_an_answer_of_the_portal_proves_credentials(
    run: Run, clock: Clock, directory: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "x")
    wanted: Any = {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}
    options = ("-H", "cqd.example.com", "-l", "monitor", "--state-dir", str(directory))
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, [wanted, wanted, wanted, {"status_code": int(status)}])
        run(*options)
        clock.time += HOUR
        run(*options)
    assert len(files(directory)) == (status == "503")


def test_what_is_refused_after_a_login_is_not_for_the_credentials(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The portal's log, here."""
    monkeypatch.setenv("CQD_PASSWORD", "x")
    wanted: Any = {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}
    options = ("-H", "cqd.example.com", "-l", "monitor", "--state-dir", str(directory), "-v")
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, [wanted, {"content": DOCUMENTED}])
        mocked.get(URL.replace("/Status", ""), [wanted, wanted])
        code, out = run(*options, *AT_DOCUMENTED_MOMENT)
    assert code == 2
    assert WHY in out
    assert not directory.exists()


@pytest.mark.parametrize("is_redirected", [True, False])
@pytest.mark.parametrize("counts", [True, False])
def test_only_a_refusal_that_may_count_is_remembered(
    run: Run,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: bool,
    is_redirected: bool,
) -> None:
    """Kerberos after the KDC, or NTLM before the challenge was answered, do not."""
    monkeypatch.setattr(BasicLogin, "may_count", counts)
    monkeypatch.setenv("CQD_PASSWORD", "x")
    wanted: Any = {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}
    options = ("-H", "cqd.example.com", "-l", "monitor", "--state-dir", str(directory))
    with requests_mock.Mocker() as mocked:
        moved: Any = {"status_code": 302, "headers": {"Location": URL}}
        mocked.get(URL, [wanted, *([moved] if is_redirected else []), wanted])
        run(*options)
    assert directory.exists() == counts


def test_refusal_of_the_kdc_is_remembered(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a keytab that was written since is tried at once."""
    steps = []

    def step(*_: Any) -> bytes:
        steps.append("step")
        raise RefusedError("the password or the key is wrong")

    monkeypatch.setattr(BasicLogin, "step", step)
    keytab = tmp_path / "keytab"
    keytab.write_bytes(b"old")
    keytab.chmod(0o600)
    monkeypatch.setenv("CQD_PASSWORD", "x")
    wanted: Any = {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}
    options = ("-H", "cqd.example.com", "-l", "monitor", "--state-dir", str(directory))
    refused = (
        "CQD UNKNOWN - logging in to cqd.example.com as monitor: the password or the key is wrong\n"
    )
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, **wanted)
        outputs = [run(*options, "--keytab", str(keytab), "--auth", "basic")[1] for _ in range(2)]
        keytab.write_bytes(b"newer")
        outputs.append(run(*options, "--keytab", str(keytab), "--auth", "basic")[1])
    assert [output == refused for output in outputs] == [True, False, True]
    assert len(steps) == 2


# --- the clock is set back ------------------------------------------------------------------------


def test_refusal_of_the_future_ends_after_login_retry(
    check: Check, clock: Clock, basic_portal: PortalSimulator
) -> None:
    check()
    clock.time -= 365 * 24 * HOUR
    assert check() == refused("0s", "1h")
    clock.time += HOUR - MINUTE
    assert check() == refused("59m", "1m")
    clock.time += MINUTE
    assert check() == REFUSED
    assert attempts(basic_portal) == 2


def test_refusal_of_the_future_that_cannot_be_written_anew_is_ignored(
    check: Check, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    check()
    clock.time -= HOUR
    monkeypatch.setattr(os, "replace", failing(errno.EROFS))
    assert check() == with_note("not remembered: read-only file system (--state-dir)")


# --- a directory that cannot be used --------------------------------------------------------------


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def with_note(note: str) -> tuple[int, str]:
    told = f"CQD UNKNOWN - {LOGIN}refused, {note}: {WHY}"
    return 3, f"{told if len(told) <= 200 else told[:197] + '...'}\n"


@pytest.mark.parametrize(
    ("function", "number", "words"),
    [
        ("mkdir", errno.EROFS, "read-only file system"),
        ("replace", errno.EIO, "input/output error"),
        ("replace", errno.EACCES, "permission denied"),
    ],
)
def test_directory_that_cannot_be_written(
    check: Check,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    number: int,
    words: str,
) -> None:
    monkeypatch.setattr(os, function, failing(number))
    monkeypatch.setattr(refusals, "time", SimpleNamespace(time=time.time))  # nothing is waited for
    expected = with_note(f"not remembered: {words} (--state-dir)")
    assert [check(), check()] == [expected, expected]
    assert not directory.exists() or files(directory) == []


def test_directory_in_which_nothing_can_be_made(
    check: Check, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def read_only(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    assert check() == with_note("not remembered: read-only file system (--state-dir)")


def test_directory_that_cannot_be_listed(
    check: Check, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "scandir", failing(errno.EIO))
    assert check() == REFUSED
    assert len(files(directory)) == 1


def test_directory_above_that_is_a_file(check: Check, directory: Path) -> None:
    directory.parent.parent.mkdir()
    directory.parent.write_text("")
    assert check() == with_note("not remembered: not a directory (--state-dir)")


def test_no_directory_that_is_made_is_open_to_others(
    check: Check, clock: Clock, directory: Path
) -> None:
    """Who may write above the state directory could move it away, and lock the account."""
    before = os.umask(0)
    try:
        assert check() == REFUSED
    finally:
        os.umask(before)
    made = (directory, directory.parent, directory.parent.parent)
    assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o700, 0o700, 0o700]
    assert check() == refused("0s", "1h")


@pytest.mark.parametrize("does", ["check", "remember", "forget"])
def test_state_directory_that_hangs_is_not_the_portal(
    run: Run, hang: Hang, directory: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    """As one on a network may; a portal without an answer would be CRITICAL."""
    monkeypatch.setattr(Refusals, does, hang)
    monkeypatch.setenv("CQD_PASSWORD", "x")
    wanted: Any = {"status_code": 401, "headers": {"WWW-Authenticate": "Basic"}}
    options = ("-l", "monitor", "--insecure", "--state-dir", str(directory), "-t", "60")
    with requests_mock.Mocker() as mocked:
        mocked.get(requests_mock.ANY, [wanted, {} if does == "forget" else wanted])
        code, out = run("-H", "cqd.example.com", "--http", *options)
    assert code == 3
    assert out.startswith("CQD UNKNOWN - ")
    assert out.endswith(": waiting for the state directory: no answer within 60s (-t)\n")


def test_full_file_system_leaves_nothing_behind(
    check: Check, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def full(path: str, flags: int, mode: int = 0o777) -> int:
        if not flags & os.O_CREAT:
            return really(path, flags, mode)
        os.close(really(path, flags, mode))
        return really("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    assert check() == with_note("not remembered: no space left on device (--state-dir)")
    assert list(directory.iterdir()) == []


def test_directory_that_is_a_file(check: Check, directory: Path) -> None:
    directory.parent.mkdir(parents=True)
    directory.write_text("")
    assert check() == with_note("not remembered: of the wrong kind (--state-dir)")


def test_directory_that_is_a_link(check: Check, directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(0o700)
    directory.parent.mkdir(parents=True)
    directory.symlink_to(target)
    assert check() == with_note("not remembered: a link (--state-dir)")
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_directory_that_others_may_write(check: Check, directory: Path, mode: int) -> None:
    directory.mkdir(parents=True)
    directory.chmod(mode)
    assert check() == with_note("not remembered: may be written by others (--state-dir)")
    assert list(directory.iterdir()) == []


def test_directory_of_another_user(
    check: Check, clock: Clock, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    before = {path: path.read_bytes() for path in directory.iterdir()}
    assert check() == with_note("not remembered: another user's (--state-dir)")
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_another_user(check: Check, directory: Path) -> None:
    check()
    [refusal] = files(directory)
    os.chown(refusal, 12345, 12345)
    assert check() == with_note("ignored in --state-dir: another user's")
    assert refusal.stat().st_uid == os.geteuid()
    assert check() == refused("0s", "1h")


# --- a file that cannot be used -------------------------------------------------------------------

GOOD = {"time": 1_800_000_000, "host": "127.0.0.1", "reason": "x"}
BROKEN = {
    "empty": b"",
    "cut": b'{"time": 18',
    "list": b"[1, 2, 3]",
    "number": b"3",
    "null": b"null",
    "deep": b"[" * 2000,
    "large": json.dumps(GOOD).encode() + b" " * 2048,
    "huge": json.dumps({**GOOD, "reason": "x" * 3000}).encode(),
    "latin-1": '{"time": 1, "host": "\xe4"'.encode("latin-1"),
    "no time": json.dumps({"host": "x", "reason": "x"}).encode(),
    "time of text": json.dumps({**GOOD, "time": "soon"}).encode(),
    "time of null": json.dumps({**GOOD, "time": None}).encode(),
    "NaN": json.dumps({**GOOD, "time": float("nan")}).encode(),
    "infinite": json.dumps({**GOOD, "time": float("inf")}).encode(),
    "beyond": json.dumps({**GOOD, "time": 10**400}).encode(),
    "far future": json.dumps({**GOOD, "time": 10**12}).encode(),
    "negative": json.dumps({**GOOD, "time": -1}).encode(),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_file_is_ignored_told_and_replaced(
    check: Check, clock: Clock, directory: Path, content: bytes
) -> None:
    check()
    [refusal] = files(directory)
    refusal.write_bytes(content)
    assert check() == with_note("ignored in --state-dir: a broken file")
    assert check() == refused("0s", "1h")


@pytest.mark.parametrize("content", [b"", b"ab" * 31, b"ab" * 33])
def test_broken_key_is_ignored_told_and_replaced(
    check: Check, clock: Clock, directory: Path, content: bytes
) -> None:
    check()
    (directory / "key").write_bytes(content)
    assert check() == with_note("ignored in --state-dir: a broken file")
    assert check() == refused("0s", "1h")


def test_file_that_is_exchanged_once_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_check_own", lambda *_: None)
    (tmp_path / "file").write_text("somebody else's")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        refusals._read_own(str(tmp_path / "link"))
    os.mkfifo(tmp_path / "pipe")
    assert refusals._read_own(str(tmp_path / "pipe")) == b""


def test_link_in_place_of_a_new_file_is_not_followed(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory.mkdir(0o700, parents=True)
    monkeypatch.setattr(os, "urandom", bytes)
    (directory / f"key.{16 * '0'}").symlink_to(victim)
    memory = Refusals(Credentials("auto", "monitor", "x"), HOUR, str(directory))
    assert memory.remember("host", "wrong") == (
        "refused, not remembered: file exists (--state-dir): "
    )
    assert victim.read_text() == "precious"


def test_link_is_not_followed(check: Check, clock: Clock, directory: Path, tmp_path: Path) -> None:
    check()
    [refusal] = files(directory)
    elsewhere = refusal.rename(tmp_path / "elsewhere")
    refusal.symlink_to(elsewhere)
    content = elsewhere.read_bytes()
    clock.time += MINUTE
    assert check() == with_note("ignored in --state-dir: a link")
    assert elsewhere.read_bytes() == content
    assert not refusal.is_symlink()
    assert check() == refused("0s", "1h")


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_file_that_is_none(check: Check, directory: Path, kind: str) -> None:
    """A pipe is not waited for."""
    check()
    [refusal] = files(directory)
    refusal.unlink()
    if kind == "pipe":
        os.mkfifo(refusal)
        assert check() == with_note("ignored in --state-dir: of the wrong kind")
    else:
        refusal.mkdir()
        assert check() == with_note("not remembered: is a directory (--state-dir)")
    assert len(list(directory.iterdir())) == 2  # also what was to replace it is gone


def test_what_nobody_asked_for_since_long_is_removed(
    check: Check, directory: Path, password: Path
) -> None:
    directory.mkdir(0o700, parents=True)
    week = 7 * 24 * HOUR
    unfinished = ["1" * 64 + ".0123456789abcdef", "key.0123456789abcdef"]
    names = ["0" * 64, *unfinished, "2" * 64, "somebody's", "3" * 65]
    for name in names:
        (directory / name).touch()
        written = time.time() - week + (HOUR if name[0] == "2" else -HOUR)
        os.utime(directory / name, (written, written))
    link = directory / ("4" * 64)
    link.symlink_to("nowhere")
    os.utime(link, (0, 0), follow_symlinks=False)
    check("--login-retry", "2w")
    assert not link.is_symlink()
    left = set(names)
    assert {path.name for path in files(directory)} > left
    password.write_text("another")
    check()
    left -= {"0" * 64, *unfinished}
    assert {path.name for path in files(directory)} & set(names) == left


def test_what_an_ended_check_could_not_finish_is_removed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Refusals(Credentials("auto", "monitor", "x"), HOUR, str(directory))

    def ended(*_: object) -> None:
        raise SystemExit

    for name, there in ("link", 1), ("replace", 3):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, ended)
            with pytest.raises(SystemExit):
                memory.remember("host", "wrong password")
        assert len(list(directory.iterdir())) == there  # two of them unfinished, and the key
    for path in directory.iterdir():
        os.utime(path, (0, 0))
    assert memory.remember("host", "wrong password") == ""
    assert len(list(directory.iterdir())) == 2


# --- the user's state directory -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "{0}/x", "HOME": "{0}"}, "{0}/x"),
        ({"XDG_STATE_HOME": "", "HOME": "{0}"}, "{0}/.local/state"),
        ({"XDG_STATE_HOME": "x", "HOME": "{0}"}, "{0}/.local/state"),
        ({"HOME": "{0}"}, "{0}/.local/state"),
        ({"HOME": "{0}/to/be/made"}, "{0}/to/be/made/.local/state"),
    ],
)
def test_default_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], expected: str
) -> None:
    found = {name: value.format(tmp_path) for name, value in environment.items()}
    monkeypatch.setattr(os, "environ", found)
    assert refusals.default_directory() == expected.format(tmp_path) + "/check_cqd_integration"


def listed_home(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Let the password database name a home for this user, and for nobody else."""
    import pwd

    users = {os.geteuid(): pwd.struct_passwd(("nagios", "x", 1, 1, "", str(home), ""))}
    monkeypatch.setattr(pwd, "getpwuid", users.__getitem__)


def test_home_is_that_of_the_password_database_if_none_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed_home(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "environ", {})
    assert refusals.default_directory() == f"{tmp_path}/.local/state/check_cqd_integration"


def test_home_of_root_who_started_the_daemon(
    run: Run,
    basic_portal: PortalSimulator,
    password: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """HOME is left as it was when a daemon becomes its own user."""
    his, own = tmp_path / "root", tmp_path / "nagios"
    his.mkdir()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(his))

    def access(path: str, mode: int) -> bool:
        return mode == os.F_OK or not path.startswith(str(his))

    monkeypatch.setattr(os, "access", access)
    listed_home(monkeypatch, own)
    login = ("-l", "monitor", "--password-file", str(password), "--insecure")
    options = ("-u", url_of(basic_portal), *AT_DOCUMENTED_MOMENT, *login)
    assert run(*options) == REFUSED
    assert run(*options)[1].startswith(f"CQD UNKNOWN - {LOGIN}refused ")
    assert attempts(basic_portal) == 1
    assert list(his.iterdir()) == []
    assert len(files(own / ".local/state/check_cqd_integration")) == 1


def nobody(_: int) -> None:
    raise KeyError("uid not found")


def test_user_without_a_home(
    run: Run, basic_portal: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    assert run("-u", url_of(basic_portal), "-l", "monitor", "--insecure") == with_note(
        "not remembered: this user has no home directory (--state-dir)"
    )


@pytest.mark.parametrize("base", ["/local", "", None])
def test_default_directory_on_windows(monkeypatch: pytest.MonkeyPatch, base: str | None) -> None:
    """With a path of this system; test_windows.py asks in a process of its own."""
    with monkeypatch.context() as on_windows:
        environment = {"HOME": "/h"} if base is None else {"HOME": "/h", "LOCALAPPDATA": base}
        on_windows.setattr(os, "environ", environment)
        on_windows.setattr(refusals, "_IS_WINDOWS", True)
        directory = refusals.default_directory()
    assert directory == ("/local/check_cqd_integration" if base else None)


def test_windows_has_no_owners(check: Check, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "geteuid")
    assert [check(), check()] == [REFUSED, refused("0s", "1h")]


@pytest.mark.parametrize("failures", [2, 9])
@pytest.mark.parametrize("function", ["open", "replace", "unlink"])
def test_file_that_another_check_has_open_on_windows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, function: str, failures: int
) -> None:
    """There it can be neither replaced nor removed, nor opened while it is replaced."""

    def act(*values: Any) -> Any:
        # The key is a file that nobody replaces, and what is left of an error may be removed.
        if sys._getframe(1).f_code.co_name in ("_when_free", "_read_file") and left:
            raise PermissionError(errno.EACCES, left.pop())
        return real(*values)

    refused = Refusals(Credentials("basic", "monitor", "x"), HOUR, str(tmp_path / "state"))
    assert refused.remember("cqd.example.com", "why") == ""
    left = ["the process cannot access the file"] * failures
    real = getattr(os, function)
    pauses: list[float] = []
    monkeypatch.setattr(refusals, "_IS_WINDOWS", True)
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(os, function, act)
    if function == "open":
        with contextlib.suppress(LoginError):
            refused.check("cqd.example.com")
            assert failures == 9, "a login would be tried again"
    elif function == "replace":
        told = "" if failures == 2 else "refused, not remembered: permission denied (--state-dir): "
        assert refused.remember("cqd.example.com", "again") == told
    else:
        with pytest.raises(LoginError):
            refused.check("cqd.example.com")
        refused.forget()
        assert len(os.listdir(tmp_path / "state")) == (1 if failures == 2 else 2)
    assert pauses == [0.01, 0.02, 0.04, 0.08][: min(failures, 4)]


def test_own_accounts_of_windows_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Should two of them share a directory."""
    monkeypatch.setattr(choice, "_IS_WINDOWS", True)
    monkeypatch.setenv("USERDOMAIN", "CQD")
    for name in ("ICINGA$", "monitor"):
        monkeypatch.setenv("USERNAME", name)
        own = Refusals(Credentials("auto"), HOUR, str(tmp_path))
        own.check("cqd.example.com")
        assert own.remember("cqd.example.com", "why") == ""
        with pytest.raises(LoginError):
            Refusals(Credentials("ntlm"), HOUR, str(tmp_path)).check("cqd.example.com")


def test_file_without_an_identity(tmp_path: Path) -> None:
    assert choice.identity(str(tmp_path / "none")) == ""
    assert choice.identity("\0") == ""
    assert choice.identity(str(tmp_path)) != ""


# --- at once --------------------------------------------------------------------------------------


def test_checks_at_once_try_at_most_once_each(
    basic_portal: PortalSimulator, directory: Path, password: Path
) -> None:
    command = [
        *(sys.executable, "-m", "check_cqd_integration", "-u", url_of(basic_portal), "-l"),
        *("monitor", "--insecure", "--password-file", str(password)),
        *("--state-dir", str(directory)),
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [3, 3]
    for output in outputs:
        assert output == REFUSED[1] or output.startswith(f"CQD UNKNOWN - {LOGIN}refused ")
    tried = attempts(basic_portal)
    assert tried <= 2
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith(f"CQD UNKNOWN - {LOGIN}refused ")
    assert attempts(basic_portal) == tried
    assert len(list(directory.iterdir())) == 2


@pytest.mark.parametrize("has_links", [True, False])
def test_first_refusals_of_two_checks_at_once(
    directory: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    """Both make the key; that of the second must not make worthless what the first remembered."""
    first, second = (
        Refusals(Credentials("auto", name, "x"), HOUR, str(directory)) for name in ("a", "b")
    )
    really = os.urandom

    def interrupted(count: int) -> bytes:
        monkeypatch.setattr(os, "urandom", really)
        first.remember("host", "wrong password")
        return really(count)

    monkeypatch.setattr(os, "urandom", interrupted)
    if not has_links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
    assert second.remember("host", "wrong password") == ""
    for memory in (first, second) if has_links else (second,):
        with pytest.raises(LoginError, match=r"refused 0s ago"):
            memory.check("host")
    assert len(list(directory.iterdir())) == 3


def test_nobody_reads_half_of_a_file(directory: Path, clock: Clock) -> None:
    credentials = Credentials("auto", "monitor", "x")
    notes = set()
    reasons = ["x" * length for length in range(1, 1000, 7)]
    Refusals(credentials, HOUR, str(directory)).remember("host", "x")

    def write() -> None:
        for reason in reasons:
            notes.add(Refusals(credentials, HOUR, str(directory)).remember("host", reason))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    read = 0
    while any(thread.is_alive() for thread in threads):
        memory = Refusals(credentials, HOUR, str(directory))
        with contextlib.suppress(LoginError):
            memory.check("host")
            read = -1  # it was not remembered
            break
        read += 1
    for thread in threads:
        thread.join()
    assert notes == {""}
    assert read > 0
    assert len(files(directory)) == 1
