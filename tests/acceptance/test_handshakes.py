"""Both implementations of NTLM, and Kerberos' reasons, without a network between the two sides."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from windows_login_lab import missing_program

from check_cqd_integration.auth import pyspnego
from check_cqd_integration.errors import LoginError, RefusedError

if missing_program():
    pytest.skip(f"{missing_program()} is not installed", allow_module_level=True)

import gssapi

from check_cqd_integration.auth import gss

NTLM = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
BINDING = b"tls-server-end-point:" + bytes(32)
CLIENTS = pytest.mark.parametrize("client", [gss.NtlmLogin, pyspnego.NtlmLogin])
USERS = {
    "CQD\\monitor": "CQD\\monitor",
    "monitor": "monitor",
    "monitor@CQD.TEST": "\\monitor@CQD.TEST",
    "\\monitor": "monitor",
}


class Server:
    """The server's side of one login by NTLM, bound to BINDING."""

    def __init__(self) -> None:
        self._context = gssapi.SecurityContext(
            usage="accept",
            creds=gssapi.Credentials(usage="accept", mechs=[NTLM]),
            channel_bindings=gssapi.raw.ChannelBindings(application_data=BINDING),
        )
        self._context.__DEFER_STEP_ERRORS__ = False

    def step(self, token: bytes) -> bytes:
        answer: bytes = self._context.step(token) or b""
        return answer

    def user(self) -> str:
        return str(self._context.initiator_name).rstrip("\0")


@pytest.fixture(autouse=True)
def _users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts that the server knows."""
    users = tmp_path / "users"
    users.write_text("CQD:monitor:Passw0rd!\n:monitor@CQD.TEST:Passw0rd!\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))


def begun(client: Any, user: str = "CQD\\monitor", binding: bytes | None = BINDING) -> Any:
    return client("NTLM", "localhost", user, "Passw0rd!", binding)


@CLIENTS
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("binding", [BINDING, None])
def test_login(client: Any, user: str, binding: bytes | None) -> None:
    server, login = Server(), begun(client, user, binding)
    assert (login.scheme, login.is_bound, login.waits_for) == ("NTLM", binding is not None, "")
    challenge = server.step(login.step(None))
    assert (login.is_complete, login.may_count) == (False, False)
    assert login.likely_reason == "it sends no challenge"
    server.step(login.step(challenge))
    assert server.user() == USERS[user]
    assert (login.is_complete, login.may_count) == (True, True)
    assert login.likely_reason == "wrong password, locked or expired account, or group"
    login.finish(None, is_needed=True)  # NTLM has no proof


@CLIENTS
@pytest.mark.parametrize("bit", [7, 21])
def test_offer_that_was_altered_on_the_way_is_noticed(client: Any, bit: int) -> None:
    """A checksum over all three messages (MIC) says so: nobody can talk both sides down."""
    server, login = Server(), begun(client)
    offer = bytearray(login.step(None))
    (flags,) = struct.unpack_from("<I", offer, 12)
    struct.pack_into("<I", offer, 12, flags ^ 1 << bit)
    with pytest.raises(gssapi.exceptions.GSSError):
        server.step(login.step(server.step(bytes(offer))))


@CLIENTS
def test_binding_to_another_certificate_is_noticed(client: Any) -> None:
    server, login = Server(), begun(client, binding=b"tls-server-end-point:" + bytes(31) + b"x")
    answer = login.step(server.step(login.step(None)))
    with pytest.raises(gssapi.exceptions.GSSError):
        server.step(answer)


@CLIENTS
@pytest.mark.parametrize("challenge", [b"", b"x", b"NTLMSSP\0\x02\0\0\0", bytes(100)])
def test_challenge_that_is_none(client: Any, challenge: bytes) -> None:
    login = begun(client)
    login.step(None)
    with pytest.raises(LoginError) as refused:
        login.step(challenge)
    assert type(refused.value) is LoginError
    assert str(refused.value) == "the NTLM challenge cannot be understood"
    assert (login.is_complete, login.may_count) == (False, False)


@CLIENTS
@pytest.mark.parametrize("level", ["6", "-1", "x", "", " 3"])
def test_level_that_is_none(client: Any, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    with pytest.raises(LoginError, match=r"^LM_COMPAT_LEVEL of the environment is not a number"):
        begun(client)


@pytest.mark.parametrize(("hours", "is_taken"), [(-35, True), (-37, False)])
def test_clock_of_the_portal(hours: int, is_taken: bool) -> None:
    login = begun(gss.NtlmLogin)
    challenge = bytearray(Server().step(login.step(None)))
    _, _, start = struct.unpack_from("<HHI", challenge, 40)
    while (kind := struct.unpack_from("<HH", challenge, start))[0] != 7:  # MsvAvTimestamp
        start += 4 + kind[1]
    (moment,) = struct.unpack_from("<Q", challenge, start + 4)
    struct.pack_into("<Q", challenge, start + 4, moment + hours * 3600 * 10**7)
    if is_taken:
        assert login.step(bytes(challenge))
        return
    with pytest.raises(LoginError) as refused:
        login.step(bytes(challenge))
    assert str(refused.value) == (
        "the clocks of this host and of the portal differ by more than 36 hours"
    )


@pytest.mark.parametrize("user", ["CQD\\", "CQD\\a\\@b"])
def test_name_that_gssapi_does_not_take(user: str) -> None:
    with pytest.raises(LoginError, match=r"^NTLM fails: [A-Z][a-z ]+$"):
        begun(gss.NtlmLogin, user)


@pytest.mark.parametrize("configuration", ["", "ntlm 1.3.6.1.4.1.311.2.2.10 /gone.so\n"])
def test_gss_ntlmssp_that_is_missing(configuration: str, tmp_path: Path) -> None:
    # The second is what Debian leaves of a package that is removed, but not purged.
    assert gss.has_ntlm()
    mechanisms = tmp_path / "mech"
    mechanisms.write_text(configuration)
    told = subprocess.run(  # the library reads it once
        [sys.executable, "-c", "from check_cqd_integration.auth import gss; print(gss.has_ntlm())"],
        env={"GSS_MECH_CONFIG": str(mechanisms)},
        capture_output=True,
        text=True,
    )
    assert (told.stdout, told.stderr) == ("False\n", "")


def failing(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> LoginError:
    """Return what a login by Kerberos raises if MIT krb5 fails with a code and these words."""

    class Failure(gssapi.raw.misc.GSSError):  # type: ignore[misc]
        def get_all_statuses(self, code: int, is_maj: bool) -> list[str]:
            return ["a status", "of GSSAPI"] if is_maj else [words, "and\nmore"]

    def fail(*_: object, **named: object) -> None:
        raise Failure(851968, 2529638912 + code)

    monkeypatch.setattr(gssapi, "Credentials", fail)
    login = gss.KerberosLogin("cqd.example.com", "monitor@CQD.TEST", None, None, None)
    with pytest.raises(LoginError) as failed:
        login.step(None)
    return failed.value


@pytest.mark.parametrize(
    ("code", "words", "reason"),
    [
        (7, "Server HTTP/cqd.example.com@CQD.TEST not found in Kerberos database", "by its name"),
        (
            7,
            "Server HTTP/web01.example.com@CQD.TEST not found in Kerberos database",
            "the KDC knows no service HTTP/web01.example.com; if that is not the portal's SPN, set "
            "rdns and dns_canonicalize_hostname to false in krb5.conf",
        ),
        (7, "?", "by its name"),  # Samba names none
        (24, "?", "the password or the key is wrong"),
        (
            33,
            "?",
            "the ticket is not valid yet: the clocks of this host and of the KDC or the portal "
            "differ",
        ),
        (
            35,
            "?",
            "the ticket is not for the portal; is its SPN HTTP/cqd.example.com on another account?",
        ),
        (
            147,
            "?",
            "the KDC answers for another realm; write that of --username in capitals",
        ),
        (156, "no KDC for realm 'OTHER.TEST'", "no KDC of the realm OTHER.TEST can be reached"),
        (156, "?", "no KDC of the realm CQD.TEST can be reached"),
        (
            210,
            "?",
            "the KDC does not support the encryption type of the key, or the keytab lacks the key",
        ),
        (99, "Words of  the\tlibrary", "Kerberos fails: Words of the library and more"),
        (-2529638912, "?", "Kerberos fails: a status of GSSAPI"),
        (99, 200 * "x", "Kerberos fails: " + 100 * "x"),
    ],
)
def test_reason_of_kerberos(
    monkeypatch: pytest.MonkeyPatch, code: int, words: str, reason: str
) -> None:
    if reason == "by its name":
        reason = (
            "the KDC knows no service HTTP/cqd.example.com; is the host given by its name, and its "
            "SPN set?"
        )
    error = failing(monkeypatch, code, words)
    assert (str(error), type(error)) == (reason, RefusedError if code == 24 else LoginError)
