"""The password, and where it comes from."""

from __future__ import annotations

import hashlib
import os
import ssl
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from expected import PIP_INSTALL, Run
from login_choice import chosen

from check_cqd_integration import auth
from check_cqd_integration.auth import pyspnego
from check_cqd_integration.auth.choice import (
    BasicLogin,
    Connection,
    Credentials,
    advise,
    check_keytab,
    read_password,
    start_login,
)
from check_cqd_integration.errors import LoginError, UsageError


def password_file(tmp_path: Path, content: bytes, mode: int = 0o600) -> str:
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"Passw0rd!", "Passw0rd!"),
        (b"Passw0rd!\n", "Passw0rd!"),
        (b"x" * 4095 + b"\n", "x" * 4095),
        (b"only the line end\r\r\n", "only the line end\r"),
        (b"Passw0rd!\r\nsecond line\n", "Passw0rd!"),
        (b"  blanks belong to it \t\n", "  blanks belong to it \t"),
        ("p\u00e4ssw\u00f6rd \u20ac\n".encode(), "p\u00e4ssw\u00f6rd \u20ac"),
        (b"\xef\xbb\xbfmarked by Notepad\r\n", "marked by Notepad"),
    ],
)
def test_first_line_is_the_password(tmp_path: Path, content: bytes, password: str) -> None:
    assert read_password(password_file(tmp_path, content)) == password


def test_group_may_read_it(tmp_path: Path) -> None:
    assert read_password(password_file(tmp_path, b"x", 0o640)) == "x"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"x", 0o604, " may be read by everybody; chmod o-r it"),
        (b"\nx", 0o600, " begins with an empty line"),
        (b"", 0o600, " begins with an empty line"),
        (b"\xff\xfe", 0o600, " is not UTF-8 text"),
        (b"x" * 4097, 0o600, " begins with a line of more than 4 KiB"),
    ],
)
def test_refused_file(tmp_path: Path, content: bytes, mode: int, reason: str) -> None:
    path = password_file(tmp_path, content, mode)
    with pytest.raises(UsageError) as refused:
        read_password(path)
    assert str(refused.value) == f"--password-file {path}{reason}"
    assert refused.value.__cause__ is None


def test_refused_if_missing(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    with pytest.raises(UsageError) as refused:
        read_password(path)
    assert str(refused.value) == f"--password-file {path}: No such file or directory"


def test_refused_if_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_password(str(tmp_path))


def test_refused_if_a_pipe_without_waiting_for_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    with pytest.raises(UsageError) as refused:
        read_password(str(path))
    assert str(refused.value) == f"--password-file {path} is not a regular file"


def test_keytab_that_everybody_may_read_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "monitor.keytab"
    path.write_bytes(b"\x05\x02")
    path.chmod(0o604)
    assert run("-H", "cqd.example.com", "-l", "monitor@CQD.TEST", "--keytab", str(path)) == (
        3,
        f"CQD UNKNOWN - --keytab {path} may be read by everybody; chmod o-r it\n",
    )


def test_keytab_for_owner_and_group_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "monitor.keytab"
    path.touch(0o640)
    path.chmod(0o640)
    check_keytab(str(path))


@pytest.mark.parametrize("name", ["none", "a\0b"])
def test_keytab_that_is_not_there_is_for_the_login_to_tell(tmp_path: Path, name: str) -> None:
    check_keytab(str(tmp_path / name))


def test_password_shows_in_no_representation() -> None:
    credentials = Credentials("ntlm", "monitor", "Passw0rd!")
    assert (repr(credentials), str(credentials)) == ("monitor", "monitor")


def test_who_logs_in_is_told_in_40_characters() -> None:
    assert str(Credentials("ntlm", "x" * 41)) == "x" * 40
    assert str(Credentials("kerberos")) == "the user of the ticket cache"


def test_password_is_not_shown_to_the_network_unless_that_is_allowed() -> None:
    plain = Connection("cqd.example.com", is_encrypted=False, certificate=None)
    with pytest.raises(LoginError, match="shows the password to the network"):
        start_login(Credentials("basic", "monitor", "x"), ["Basic"], plain)


@pytest.mark.parametrize(
    ("offered", "header"), [(["Negotiate"], "Negotiate"), (["Negotiate", "NTLM"], "NTLM")]
)
def test_ntlm_gets_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, offered: list[str], header: str
) -> None:
    monkeypatch.setattr(pyspnego, "NtlmLogin", lambda *arguments: arguments)
    plain = Connection("cqd.example.com", is_encrypted=False, certificate=None)
    login: object = start_login(Credentials("auto", "monitor", "x"), offered, plain)
    assert login == (header, "cqd.example.com", "monitor", "x", None)


@pytest.mark.parametrize(
    ("credentials", "given"),
    [
        (Credentials("kerberos"), (None, None, None)),
        (Credentials("kerberos", "monitor", "x"), ("monitor", "x", None)),
    ],
    ids=["ticket", "password"],
)
def test_kerberos_gets_what_was_given(
    monkeypatch: pytest.MonkeyPatch, credentials: Credentials, given: tuple[str | None, ...]
) -> None:
    module = SimpleNamespace(KerberosLogin=lambda *arguments: arguments)
    monkeypatch.setitem(sys.modules, "check_cqd_integration.auth.gss", module)
    plain = Connection("cqd.example.com", is_encrypted=False, certificate=None)
    login: object = start_login(credentials, ["Negotiate"], plain)
    assert login == ("cqd.example.com", *given, None)


def test_kerberos_gets_key_table_and_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(KerberosLogin=lambda *arguments: arguments)
    monkeypatch.setitem(sys.modules, "check_cqd_integration.auth.gss", module)
    certificate = trustme.CA().cert_pem.bytes().decode()
    der = ssl.PEM_cert_to_DER_cert(certificate)
    credentials = Credentials("auto", "monitor@CQD.TEST", keytab="/etc/monitor.keytab")
    connection = Connection("cqd.example.com", is_encrypted=True, certificate=der)
    login: object = start_login(credentials, ["Negotiate"], connection)
    assert login == (
        "cqd.example.com",
        "monitor@CQD.TEST",
        None,
        "/etc/monitor.keytab",
        b"tls-server-end-point:" + hashlib.sha256(der).digest(),
    )


def test_keytab_is_used_although_there_is_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(KerberosLogin=lambda *arguments: arguments)
    monkeypatch.setitem(sys.modules, "check_cqd_integration.auth.gss", module)
    credentials = Credentials("auto", "monitor@CQD.TEST", "Passw0rd!", "/etc/monitor.keytab")
    connection = Connection("cqd.example.com", is_encrypted=True, certificate=None)
    login: object = start_login(credentials, ["Negotiate", "NTLM", "Basic"], connection)
    assert login == (
        "cqd.example.com",
        "monitor@CQD.TEST",
        "Passw0rd!",
        "/etc/monitor.keytab",
        None,
    )


@pytest.fixture(params=["gss and pyspnego", "gss", "pyspnego", "kerberos", "nothing"])
def can(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which libraries this installation has: GSSAPI with NTLM or without, pyspnego."""
    libraries: str = request.param
    gss = None
    if "gss" in libraries or libraries == "kerberos":
        gss = SimpleNamespace(
            KerberosLogin=lambda *_: "kerberos",
            NtlmLogin=lambda *_: "ntlm by gss",
            has_ntlm=lambda: libraries != "kerberos",
        )
    other = SimpleNamespace(NtlmLogin=lambda *_: "ntlm by pyspnego") if "py" in libraries else None
    monkeypatch.delattr(auth, "gss", raising=False)
    monkeypatch.setitem(sys.modules, "check_cqd_integration.auth.gss", gss)
    monkeypatch.setitem(sys.modules, "check_cqd_integration.auth.pyspnego", other)
    return libraries


NTLM_BY = {
    "gss and pyspnego": "ntlm by gss",
    "gss": "ntlm by gss",
    "pyspnego": "ntlm by pyspnego",
}
NO_NTLM = f"a login by NTLM needs a library that this installation lacks: {PIP_INSTALL['ntlm']}"
NEITHER = "neither --password-file nor --keytab was given; a ticket"


@pytest.mark.parametrize("name", ["monitor@CQD.TEST", r"CQD\monitor"])
def test_auto_with_a_password(can: str, name: str) -> None:
    expected = NTLM_BY.get(can, NO_NTLM)
    credentials = Credentials("auto", name, "Passw0rd!")
    assert chosen(credentials, "NTLM") == expected
    assert chosen(credentials, "NTLM", "Basic") == expected
    if can == "kerberos" and "@" in name:
        expected = "kerberos"
    assert chosen(credentials, "Negotiate") == expected
    assert chosen(credentials, "Negotiate", "NTLM", "Basic") == expected


def test_ntlm_that_was_asked_for_is_never_kerberos(can: str) -> None:
    credentials = Credentials("ntlm", "monitor@CQD.TEST", "Passw0rd!")
    assert chosen(credentials, "Negotiate", "NTLM") == NTLM_BY.get(can, NO_NTLM)


@pytest.mark.parametrize(
    ("credentials", "what"),
    [
        (Credentials("auto"), NEITHER),
        (Credentials("auto", "monitor"), NEITHER),
        (Credentials("auto", "monitor", keytab="x"), "a login by Kerberos"),
        (Credentials("kerberos", "monitor", "x"), "a login by Kerberos"),
        (Credentials("kerberos"), "a login by Kerberos"),
    ],
)
def test_kerberos_with_what_this_installation_has(
    can: str, credentials: Credentials, what: str
) -> None:
    lacking = f"{what} needs a library that this installation lacks: {PIP_INSTALL['kerberos']}"
    has_gss = can.startswith("gss") or can == "kerberos"
    assert chosen(credentials, "Negotiate", "NTLM") == ("kerberos" if has_gss else lacking)


def test_advice_for_a_login(can: str) -> None:
    by_ntlm = "give --username with --password-file (NTLM)"
    kerberos = "give --username user@REALM (Kerberos), or for NTLM"
    no_ntlm = f"NTLM (--username with --password-file) needs: {PIP_INSTALL['ntlm']}"
    assert (
        advise(["Negotiate", "NTLM"])
        == {
            "gss and pyspnego": f"{by_ntlm} or --keytab (Kerberos)",
            "gss": f"{by_ntlm} or --keytab (Kerberos)",
            "pyspnego": f"{by_ntlm}; Kerberos needs: {PIP_INSTALL['kerberos']}",
            "kerberos": f"{kerberos}: {PIP_INSTALL['ntlm']}",
            "nothing": no_ntlm,
        }[can]
    )
    assert advise(["NTLM", "Basic"]) == (by_ntlm if can in NTLM_BY else no_ntlm)
    assert advise(["Basic", "Digest"]) == "give --username with --password-file (Basic)"
    assert advise(["Digest", "Bearer"]) == ""


def test_basic_login_asks_nobody_but_the_portal() -> None:
    assert BasicLogin("monitor", "x").waits_for == ""
