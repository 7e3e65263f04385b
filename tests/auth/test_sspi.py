"""Windows' own login, with a stand-in for SSPI at the interface of pyspnego.

No part of Windows is here, and the SSPI of Wine crashes under pyspnego. What Windows itself would
say is taken from its documentation.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests_mock
import spnego
import trustme
from expected import AT_DOCUMENTED_MOMENT, PIP_INSTALL, URL, Run, unknown
from login_choice import chosen
from portal_simulator import DOCUMENTED
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import NegotiateOptions, SpnegoError

from check_cqd_integration.auth import choice, sspi
from check_cqd_integration.auth.choice import Connection, Credentials, advise, start_login
from check_cqd_integration.auth.sspi import SspiLogin
from check_cqd_integration.errors import LoginError, RefusedError

OFFER, CHALLENGE, ANSWER = (b"NTLMSSP\0" + bytes([kind, 0, 0, 0]) for kind in (1, 2, 3))
TICKET, PROOF = b"AP-REQ", b"AP-REP"
SERVICE = "HTTP/cqd.example.com"
NO_PASSWORD = "Windows has an old password of the account that runs the check, or it is locked"
AS_OWN = r"logging in to cqd.example.com as CQD\ICINGA$: "
OWN_NTLM = "local, locked or expired account, or group"


def failed(code: int, text: str = "Der Vorgang ist fehlgeschlagen") -> SpnegoError:
    """Return what pyspnego makes of an error of Windows, which is in its language."""
    error = OSError(22, text)
    error.winerror = code - (1 << 32)  # type: ignore[attr-defined]
    return SpnegoError(base_error=error, context_msg="Processing security token")


class Windows:
    """A context of pyspnego that says what Windows would: for each token the next, or an error."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.got: list[bytes | None] = []
        self.says: list[bytes | SpnegoError | None] = []
        self.completes_after = 99
        """Tokens."""
        self.refuses: SpnegoError | None = None

    @property
    def complete(self) -> bool:
        return len(self.got) >= self.completes_after

    def client(self, *values: Any, **named: Any) -> Windows:
        if self.refuses:
            raise self.refuses
        self.asked.append((*values, named))
        return self

    def step(self, token: bytes | None) -> bytes | None:
        self.got.append(token)
        says = self.says.pop(0)
        if isinstance(says, SpnegoError):
            raise says
        return says


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    windows = Windows()
    monkeypatch.setattr(spnego, "client", windows.client)
    monkeypatch.setattr(choice, "_IS_WINDOWS", True)
    monkeypatch.setenv("USERDOMAIN", "CQD")
    monkeypatch.setenv("USERNAME", "ICINGA$")
    return windows


def own(package: str = "negotiate", scheme: str = "Negotiate") -> SspiLogin:
    return SspiLogin(scheme, package, "cqd.example.com", None, None, None)


def with_password() -> SspiLogin:
    return SspiLogin("Negotiate", "kerberos", "cqd.example.com", "monitor@CQD.TEST", "x", None)


# --- the handshake --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("binding", "bindings"), [(None, None), (b"hash", GssChannelBindings(application_data=b"hash"))]
)
@pytest.mark.parametrize("who", [(None, None), ("monitor@CQD.TEST", "Passw0rd!")])
def test_what_is_asked_of_pyspnego(
    windows: Windows, who: tuple[Any, Any], binding: bytes | None, bindings: Any
) -> None:
    login = SspiLogin("Negotiate", "kerberos", "cqd.example.com", *who, binding)
    assert (windows.asked, login.is_bound) == ([], binding is not None)
    windows.says = [TICKET]
    assert login.step(None) == TICKET
    named = {"hostname": "cqd.example.com", "service": "HTTP", "protocol": "kerberos"}
    options = {"options": NegotiateOptions.use_sspi, "channel_bindings": bindings}
    assert windows.asked == [(*who, {**named, **options})]
    assert windows.got == [None]


def test_kerberos_ends_with_the_proof_of_the_portal(windows: Windows) -> None:
    login = own("kerberos")
    windows.says, windows.completes_after = [TICKET, None], 2
    assert (login.is_complete, login.waits_for) == (False, "the KDC")
    login.step(None)
    assert (login.is_complete, login.may_count) == (False, False)
    assert login.likely_reason == "wrong group or SPN"
    login.finish(PROOF, is_needed=True)
    assert (login.is_complete, windows.got) == (True, [None, PROOF])
    login.finish(PROOF, is_needed=True)
    assert windows.got == [None, PROOF]  # Windows has it already


def test_proof_that_is_missing(windows: Windows) -> None:
    login = own("kerberos")
    windows.says = [TICKET, None]
    login.step(None)
    login.finish(None, is_needed=False)
    missing = "^the portal did not prove that it is the one that was asked for$"
    with pytest.raises(LoginError, match=missing):
        login.finish(None, is_needed=True)
    with pytest.raises(LoginError, match=missing):
        login.finish(b"half", is_needed=False)


def test_proof_that_is_wrong(windows: Windows) -> None:
    login = own("kerberos")
    windows.says = [TICKET, failed(0x80090322)]
    login.step(None)
    with pytest.raises(LoginError) as caught:
        login.finish(PROOF, is_needed=False)
    assert str(caught.value) == (
        f"the portal proves wrongly who it is: the portal cannot read the ticket; is its SPN "
        f"{SERVICE} on another account?"
    )


@pytest.mark.parametrize("wrapped", [b"", b"\xa1\x81negotiate"], ids=["bare", "negotiate"])
def test_ntlm_is_an_attempt_once_the_challenge_was_answered(
    windows: Windows, wrapped: bytes
) -> None:
    login = own()
    assert login.waits_for == "the KDC"
    windows.says = [wrapped + OFFER, wrapped + ANSWER]
    login.step(None)
    assert (login.waits_for, login.likely_reason) == ("", "it sends no challenge")
    assert (login.is_complete, login.may_count) == (False, False)
    login.step(CHALLENGE)
    assert (login.is_complete, login.may_count) == (True, True)
    assert login.likely_reason == OWN_NTLM
    login.finish(None, is_needed=True)  # it has no proof
    assert windows.got == [None, CHALLENGE]


def test_ntlm_that_was_asked_for_waits_for_no_kdc() -> None:
    assert own("ntlm").waits_for == ""
    assert with_password().waits_for == "the KDC of CQD.TEST"
    enterprise = SspiLogin("Negotiate", "kerberos", "host", "m@example.com@CQD.TEST", "x", None)
    assert enterprise.waits_for == "the KDC of CQD.TEST"


def test_no_token_is_an_empty_one(windows: Windows) -> None:
    windows.says = [None]
    assert own().step(None) == b""


# --- what Windows says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "login", "kind", "reason"),
    [
        (0x8009030C, own, RefusedError, NO_PASSWORD),
        (0x8009030C, with_password, RefusedError, "wrong user name or password"),
        (0xC000006D, with_password, RefusedError, "wrong user name or password"),
        (
            0x8009030E,
            own,
            LoginError,
            "the account that runs the check has no credentials in the network; let a domain "
            "account or NetworkService run it",
        ),
        (
            0x8009030E,
            with_password,
            LoginError,
            "Windows takes no such user name; give --username as user@REALM",
        ),
        (
            0x80090303,
            own,
            LoginError,
            f"the KDC knows no service {SERVICE}; is the host given by its name, and its SPN set?",
        ),
        (0x80090308, own, LoginError, "the portal's token cannot be understood"),
        (0x80090311, own, LoginError, "no KDC of the domain can be reached"),
        (
            0x80090324,
            own,
            LoginError,
            "the clocks of this host and of the KDC or the portal differ too much",
        ),
        (
            0x80090346,
            own,
            LoginError,
            "the portal wants another channel binding; does a proxy end TLS "
            "(--no-channel-binding)?",
        ),
        (
            0x80090342,
            own,
            LoginError,
            "the KDC does not support the encryption type of the key",
        ),
        (0x80090350, own, LoginError, "no KDC of the domain can be reached"),
        (0xC000005E, own, LoginError, "no KDC of the domain can be reached"),
        (0xC0000071, with_password, LoginError, "the password has expired"),
        (0xC0000072, with_password, LoginError, "the account is locked, disabled or expired"),
        (
            0xC0000133,
            own,
            LoginError,
            "the clocks of this host and of the KDC differ too much",
        ),
        (0xC0000193, with_password, LoginError, "the account is locked, disabled or expired"),
        (0xC0000224, with_password, LoginError, "the password has expired"),
        (0xC0000234, with_password, LoginError, "the account is locked, disabled or expired"),
        (
            0x80090304,
            own,
            LoginError,
            "Windows' login fails: Der Vorgang ist fehlgeschlagen (0x80090304)",
        ),
    ],
)
@pytest.mark.parametrize("begins", [True, False])
def test_reason(
    windows: Windows, code: int, login: Any, kind: type[LoginError], reason: str, begins: bool
) -> None:
    if begins:
        windows.refuses = failed(code)
    else:
        windows.says = [failed(code)]
    with pytest.raises(LoginError) as caught:
        login().step(None)
    assert (type(caught.value), str(caught.value)) == (kind, reason)


def test_every_reason_can_be_told() -> None:
    for code, reason in sspi._REASONS.items():
        assert code.bit_length() == 32
        assert "{" not in reason.format(host="cqd.example.com")


def test_error_of_pyspnego_alone(windows: Windows) -> None:
    windows.says = [SpnegoError(error_code=10)]
    with pytest.raises(LoginError, match=r"^Windows' login fails:  \(0x0\)$"):
        own().step(None)


# --- the choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credentials", "offered", "expected"),
    [
        (Credentials("auto"), ["Negotiate", "NTLM", "Basic"], ("Negotiate", "negotiate")),
        (Credentials("auto"), ["NTLM", "Basic"], ("NTLM", "ntlm")),
        (Credentials("kerberos"), ["Negotiate", "NTLM"], ("Negotiate", "kerberos")),
        (Credentials("ntlm"), ["Negotiate", "NTLM"], ("NTLM", "ntlm")),
        (Credentials("ntlm"), ["Negotiate"], ("Negotiate", "ntlm")),
        (Credentials("kerberos", "m@CQD.TEST", "x"), ["Negotiate"], ("Negotiate", "kerberos")),
    ],
)
@pytest.mark.usefixtures("windows")
def test_login_of_windows(
    monkeypatch: pytest.MonkeyPatch,
    credentials: Credentials,
    offered: list[str],
    expected: tuple[str, str],
) -> None:
    monkeypatch.setattr(sspi, "SspiLogin", lambda *values: values)
    who = (credentials.username, credentials.password)
    assert chosen(credentials, *offered) == (*expected, "cqd.example.com", *who, None)


@pytest.mark.parametrize("scheme", ["auto", "ntlm"])
@pytest.mark.usefixtures("windows")
def test_ntlm_with_a_password_is_that_of_pyspnego(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr("check_cqd_integration.auth.pyspnego.NtlmLogin", lambda *values: values)
    expected = ("NTLM", "cqd.example.com", "monitor", "x", None)
    assert chosen(Credentials(scheme, "monitor", "x"), "Negotiate", "NTLM") == expected


@pytest.mark.usefixtures("windows")
def test_portal_without_windows_authentication() -> None:
    assert chosen(Credentials("auto"), "Basic") == (
        "the portal offers Basic, but without --username only the account that runs the check logs "
        "in, by Negotiate or NTLM"
    )


@pytest.mark.usefixtures("windows")
def test_pyspnego_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sspi", "pyspnego"):
        monkeypatch.setitem(__import__("sys").modules, f"check_cqd_integration.auth.{name}", None)
    lacking = f"a library that this installation lacks: {PIP_INSTALL['ntlm']}"
    assert chosen(Credentials("auto"), "Negotiate") == f"this login needs {lacking}"
    monkeypatch.setattr(choice, "_find_kerberos", lambda: None)
    assert advise(["Negotiate"]) == (
        f"NTLM (--username with --password-file) needs: {PIP_INSTALL['ntlm']}"
    )


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"USERDOMAIN": "CQD", "USERNAME": "ICINGA$"}, r"CQD\ICINGA$"),
        ({"USERDOMAIN": "", "USERNAME": "monitor"}, "monitor"),
        ({"USERDOMAIN": "", "USERNAME": ""}, "the account that runs the check"),
    ],
)
@pytest.mark.usefixtures("windows")
def test_name_of_the_account_that_runs_the_check(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert str(Credentials("auto")) == name


# --- through the command line ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--auth auto -l monitor",
            "--username needs --password-file or CQD_PASSWORD in the environment; leave it out to "
            "log in as the account that runs the check",
        ),
        (
            "-l monitor --keytab x",
            "--keytab is not for Windows; give --password-file, or leave out --username and log in "
            "as the account that runs the check",
        ),
        (
            "--auth basic",
            "--auth basic needs --username, and --password-file or CQD_PASSWORD in the environment",
        ),
    ],
)
@pytest.mark.usefixtures("windows")
def test_credentials_that_windows_does_not_take(run: Run, options: str, message: str) -> None:
    assert run("-H", "cqd.example.com", *options.split()) == unknown(message)


def offering(*tokens: bytes) -> list[dict[str, Any]]:
    """Return a refusal without a token, then one for each of these."""
    offers = ["Negotiate, NTLM", *(f"Negotiate {base64.b64encode(t).decode()}" for t in tokens)]
    return [{"status_code": 401, "headers": {"WWW-Authenticate": offer}} for offer in offers]


@pytest.mark.usefixtures("windows")
def test_portal_that_wants_a_login(run: Run) -> None:
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, offering())
        assert run("-H", "cqd.example.com") == unknown(
            "HTTP 401: the portal wants a login and offers Negotiate, NTLM; give --auth auto (logs "
            r"in as CQD\ICINGA$), or --username with --password-file"
        )


@pytest.mark.parametrize("auth", ["auto", "kerberos"])
def test_login_as_the_account_that_runs_the_check(run: Run, windows: Windows, auth: str) -> None:
    windows.says, windows.completes_after = [TICKET, None], 2
    with requests_mock.Mocker() as mocked:
        proof = {"WWW-Authenticate": f"Negotiate {base64.b64encode(PROOF).decode()}"}
        mocked.get(URL, [*offering(), {"content": DOCUMENTED, "headers": proof}])
        code, out = run("-H", "cqd.example.com", "--auth", auth, *AT_DOCUMENTED_MOMENT, "-vvv")
        sent = [request.headers.get("Authorization") for request in mocked.request_history]
    assert (code, out[:15]) == (2, "CQD CRITICAL - ")
    assert sent == [None, f"Negotiate {base64.b64encode(TICKET).decode()}", None]  # and its log
    assert windows.got == [None, PROOF]
    assert base64.b64encode(TICKET).decode() not in out


def test_login_by_ntlm_as_the_account_that_runs_the_check(run: Run, windows: Windows) -> None:
    windows.says = [OFFER, ANSWER]
    challenge = {"WWW-Authenticate": f"NTLM {base64.b64encode(CHALLENGE).decode()}"}
    answers = [{"status_code": 401, "headers": challenge}, {"content": DOCUMENTED}]
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, [*offering(), *answers])
        code, out = run("-H", "cqd.example.com", "--auth", "ntlm", *AT_DOCUMENTED_MOMENT)
        sent = [request.headers.get("Authorization") for request in mocked.request_history[:3]]
    assert (code, out[:15]) == (2, "CQD CRITICAL - ")
    assert sent == [None, *(f"NTLM {base64.b64encode(each).decode()}" for each in (OFFER, ANSWER))]


def test_account_that_may_not_read(run: Run, windows: Windows) -> None:
    windows.says, windows.completes_after = [TICKET, None], 2
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, [*offering(), {"status_code": 403}])
        assert run("-H", "cqd.example.com", "--auth", "auto") == unknown(
            r"HTTP 403: CQD\ICINGA$ is not allowed to read it; is it in the group of portal users? "
            "The portal offers Negotiate, NTLM, see --auth"
        )


def test_refusal_by_ntlm_is_one_attempt_and_remembered(run: Run, windows: Windows) -> None:
    windows.says = [OFFER, ANSWER]
    with requests_mock.Mocker() as mocked:
        # It wants to go on; but the challenge was answered.
        mocked.get(URL, offering(CHALLENGE, CHALLENGE))
        assert run("-H", "cqd.example.com", "--auth", "auto") == unknown(
            f"{AS_OWN}HTTP 401 to Negotiate (of Negotiate, NTLM); {OWN_NTLM}, see --auth"
        )
        assert mocked.call_count == 3
        code, out = run("-H", "cqd.example.com", "--auth", "auto")
    assert (code, out.startswith(f"CQD UNKNOWN - {AS_OWN}refused 0s ago, tried again in 1h")) == (
        3,
        True,
    )
    assert windows.got == [None, CHALLENGE]


def test_password_that_the_kdc_refuses_is_one_attempt_and_remembered(
    run: Run, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CQD_PASSWORD", "hunter2")
    windows.says = [failed(0x8009030C)]
    options = ("-H", "cqd.example.com", "--auth", "kerberos", "-l", "monitor@CQD.TEST")
    with requests_mock.Mocker() as mocked:
        mocked.get(URL, offering())
        assert run(*options) == unknown(
            "logging in to cqd.example.com as monitor@CQD.TEST: wrong user name or password"
        )
        mocked.get(URL, offering())
        assert "refused 0s ago, tried again in 1h" in run(*options)[1]
        assert mocked.call_count == 2
    assert windows.got == [None]


def test_ticket_that_the_portal_refuses_is_no_attempt(run: Run, windows: Windows) -> None:
    with requests_mock.Mocker() as mocked:
        for _ in range(2):
            windows.says = [TICKET]
            mocked.get(URL, offering())
            assert run("-H", "cqd.example.com", "--auth", "auto") == unknown(
                f"{AS_OWN}HTTP 401 to Negotiate (of Negotiate, NTLM); wrong group or SPN, see "
                f"--auth"
            )


def test_login_is_bound_to_the_certificate(windows: Windows) -> None:
    import ssl

    der = ssl.PEM_cert_to_DER_cert(trustme.CA().cert_pem.bytes().decode())
    connection = Connection("cqd.example.com", is_encrypted=True, certificate=der)
    for is_bound in (True, False):
        windows.says = [TICKET]
        login = start_login(Credentials("auto", is_bound=is_bound), ["Negotiate"], connection)
        login.step(None)
        bindings = windows.asked[-1][-1]["channel_bindings"]
        assert (login.is_bound, bindings is not None) == (is_bound, is_bound)
