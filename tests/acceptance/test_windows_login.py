"""The plugin logs in to IIS look-alikes and to Apache; the servers' logs say who came, and how."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from expected import item
from windows_login_lab import PASSWORDS, Acceptor, WindowsLoginLab

PATH = "/QoEDataService/IntegrationLog/Status"
AT_DOCUMENTED_MOMENT = ("--now", "2015-01-18T10:31:00Z", "--timezone", "UTC")
PYSPNEGO = "ntlm by pyspnego"
USER = {"kerberos": "monitor@CQD.TEST", **dict.fromkeys(("ntlm", PYSPNEGO), "CQD\\monitor")}
HEADER = {"kerberos": "Negotiate", **dict.fromkeys(("ntlm", PYSPNEGO), "NTLM")}
HINT = ", or a TLS proxy (--no-channel-binding)"
SCHEMES = pytest.mark.parametrize("scheme", ["kerberos", "ntlm", PYSPNEGO])
NTLM = pytest.mark.parametrize("scheme", ["ntlm", PYSPNEGO])
LACKS_NTLM = """
import os, sys
os.environ["GSS_MECH_CONFIG"] = os.devnull
sys.modules["spnego"] = None
"""
"""Python's sitecustomize: Kerberos by GSSAPI is there, NTLM is not."""


class Plugin:
    """The plugin as a monitoring system runs it: a process, and nothing in its environment."""

    def __init__(self, lab: WindowsLoginLab) -> None:
        self.lab = lab
        self.environment = {
            "PATH": os.environ["PATH"],
            "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],  # of this test alone
            **lab.environment,
        }
        self.password = ""

    def without(self, *modules: str, customized: str = "") -> None:
        """Be an installation that lacks modules, or that is customized before it runs."""
        place = self.lab.directory / "-".join(["without", *modules, str(len(customized))])
        place.mkdir(exist_ok=True)
        for module in modules:
            (place / f"{module}.py").write_text("raise ImportError\n")
        if customized:
            (place / "sitecustomize.py").write_text(customized)
        self.environment["PYTHONPATH"] = str(place)

    def __call__(self, base: str, *options: str) -> tuple[int, str]:
        url = base + PATH
        is_verified = url.startswith("https") and "--insecure" not in options
        trust = ("--ca-file", str(self.lab.ca_file)) if is_verified else ()
        process = subprocess.run(
            [sys.executable, "-m", "check_cqd_integration", "-u", url, *trust, *options],
            env={**self.environment, "CQD_PASSWORD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.stderr == ""
        assert not self.password or self.password not in process.stdout
        return process.returncode, process.stdout

    def with_login(self, base: str, scheme: str, *options: str) -> tuple[int, str]:
        """Log in as monitor: by keytab with kerberos, by password with ntlm."""
        if scheme == "kerberos":
            options = ("--keytab", str(self.lab.keytab), *options)
        else:
            self.password = PASSWORDS["monitor"]
            self.without("gssapi" if scheme == PYSPNEGO else "spnego")
        return self(base, "--auth", scheme.split()[0], "-l", USER[scheme], *options)


@pytest.fixture
def plugin(lab: WindowsLoginLab) -> Plugin:
    return Plugin(lab)


def is_read(outcome: tuple[int, str]) -> bool:
    """Tell whether the documented answer was read: it is there for users who logged in only."""
    code, out = outcome
    return code == 2 and f" {item('integration_age', 47)} " in out


def unknown(message: str) -> tuple[int, str]:
    return 3, f"CQD UNKNOWN - {message}\n"


WHY = {
    "kerberos": "wrong group or SPN",
    **dict.fromkeys(("ntlm", PYSPNEGO), "wrong password, locked or expired account, or group"),
}


def refused(scheme: str, why: str = "", hint: str = HINT) -> tuple[int, str]:
    return unknown(
        f"logging in to localhost as {USER[scheme]}: HTTP 401 to {HEADER[scheme]} (of Negotiate, "
        f"NTLM); {why or WHY[scheme]}{hint}"
    )


def logins(acceptor: Acceptor) -> list[tuple[str, str, bool]]:
    """Return all login attempts that the server counted: outcome, user, bound."""
    return [(login["login"], login["user"], login["bound"]) for login in acceptor.logins()]


@SCHEMES
@pytest.mark.parametrize("certificate", ["sha256", "sha384"])
@pytest.mark.parametrize("protection", ["off", "accept", "require"])
def test_bound_login(plugin: Plugin, scheme: str, certificate: str, protection: str) -> None:
    acceptor = plugin.lab.acceptor(extended_protection=protection, certificate=certificate)
    outcome = plugin.with_login(acceptor.url, scheme, *AT_DOCUMENTED_MOMENT)
    assert is_read(outcome)
    assert logins(acceptor) == [("granted", USER[scheme], protection != "off")]
    requests = [(record["connection"], record["request"]) for record in acceptor.log()]
    assert requests == [(1, number) for number in range(1, {"kerberos": 3}.get(scheme, 4))]


@SCHEMES
def test_log_is_asked_for_on_the_connection_that_is_logged_in(plugin: Plugin, scheme: str) -> None:
    acceptor = plugin.lab.acceptor(extended_protection="require")
    code, out = plugin.with_login(acceptor.url, scheme, "-v", *AT_DOCUMENTED_MOMENT)
    # It gives the status whatever is asked for.
    assert (code, "\nlog not read: the answer is not a list of entries\n" in out) == (2, True)
    # NTLM is of the connection; Kerberos, to a server that wants it so, of each request.
    assert logins(acceptor) == {"kerberos": 2}.get(scheme, 1) * [("granted", USER[scheme], True)]
    requests = [(record["connection"], record["request"]) for record in acceptor.log()]
    assert requests == [(1, number) for number in range(1, 5)]


@SCHEMES
@pytest.mark.parametrize("protection", ["off", "accept"])
def test_login_that_is_not_bound(plugin: Plugin, scheme: str, protection: str) -> None:
    acceptor = plugin.lab.acceptor(extended_protection=protection)
    options = ("--no-channel-binding", *AT_DOCUMENTED_MOMENT)
    assert is_read(plugin.with_login(acceptor.url, scheme, *options))
    assert logins(acceptor) == [("granted", USER[scheme], False)]


@SCHEMES
def test_login_that_is_not_bound_where_it_must_be(plugin: Plugin, scheme: str) -> None:
    acceptor = plugin.lab.acceptor(extended_protection="require")
    outcome = plugin.with_login(acceptor.url, scheme, "--no-channel-binding")
    assert outcome == refused(scheme, hint=", see --auth")
    assert [login[0] for login in logins(acceptor)] == ["refused"]


@SCHEMES
@pytest.mark.parametrize("protection", ["accept", "require"])
def test_proxy_that_ends_tls(plugin: Plugin, scheme: str, protection: str) -> None:
    acceptor = plugin.lab.acceptor(
        extended_protection=protection, binding_certificate="sha384", certificate="sha256"
    )
    assert plugin.with_login(acceptor.url, scheme) == refused(scheme)
    assert [login[0] for login in logins(acceptor)] == ["refused"]


@SCHEMES
def test_login_through_a_tunnel_is_bound_to_the_portal(plugin: Plugin, scheme: str) -> None:
    acceptor = plugin.lab.acceptor(extended_protection="require")
    options = ("--proxy", plugin.lab.proxy_url, *AT_DOCUMENTED_MOMENT)
    assert is_read(plugin.with_login(acceptor.url, scheme, *options))
    assert logins(acceptor) == [("granted", USER[scheme], True)]


@SCHEMES
def test_login_over_plain_http(plugin: Plugin, scheme: str) -> None:
    acceptor = plugin.lab.acceptor(certificate=None)
    assert is_read(plugin.with_login(acceptor.url, scheme, *AT_DOCUMENTED_MOMENT))
    assert logins(acceptor) == [("granted", USER[scheme], False)]


def test_auto_with_a_key_table_is_kerberos(plugin: Plugin) -> None:
    acceptor = plugin.lab.acceptor(extended_protection="require")
    options = ("-l", USER["kerberos"], "--keytab", str(plugin.lab.keytab), *AT_DOCUMENTED_MOMENT)
    assert is_read(plugin(acceptor.url, *options))
    assert [login["mechanism"] for login in acceptor.logins()] == ["kerberos"]


@pytest.mark.parametrize("options", [("--auth", "auto"), ("-l", "monitor@CQD.TEST")])
def test_auto_with_a_ticket_is_kerberos(plugin: Plugin, options: tuple[str, ...]) -> None:
    plugin.environment["KRB5CCNAME"] = str(plugin.lab.ticket_cache)
    acceptor = plugin.lab.acceptor(extended_protection="require")
    assert is_read(plugin(acceptor.url, *options, *AT_DOCUMENTED_MOMENT))
    assert [login["mechanism"] for login in acceptor.logins()] == ["kerberos"]


@pytest.mark.parametrize("offered", ["Negotiate,NTLM", "Negotiate", "NTLM"])
def test_auto_with_a_password_is_ntlm(plugin: Plugin, offered: str) -> None:
    plugin.password = PASSWORDS["monitor"]
    acceptor = plugin.lab.acceptor(extended_protection="require", schemes=offered)
    assert is_read(plugin(acceptor.url, "-l", USER["ntlm"], *AT_DOCUMENTED_MOMENT))
    assert [login["mechanism"] for login in acceptor.logins()] == ["ntlm"]


def test_auto_with_a_password_is_kerberos_where_there_is_no_ntlm(plugin: Plugin) -> None:
    plugin.without(customized=LACKS_NTLM)
    plugin.password = PASSWORDS["monitor"]
    acceptor = plugin.lab.acceptor(extended_protection="require")
    assert is_read(plugin(acceptor.url, "-l", USER["kerberos"], *AT_DOCUMENTED_MOMENT))
    assert [login["mechanism"] for login in acceptor.logins()] == ["kerberos"]
    code, out = plugin(acceptor.url, "-l", USER["ntlm"])
    assert (code, out) == unknown(
        "a login by NTLM needs a library that this installation lacks: apt install python3-gssapi "
        "gss-ntlmssp"
    )
    assert len(acceptor.logins()) == 1


@pytest.mark.parametrize(
    ("lacking", "advice"),
    [
        (
            (),
            "give --username with --password-file (NTLM) or --keytab (Kerberos)",
        ),
        (
            ("gssapi",),
            "give --username with --password-file (NTLM); Kerberos needs: apt install "
            "python3-gssapi",
        ),
        (
            ("gssapi", "spnego"),
            "NTLM (--username with --password-file) needs: apt install python3-gssapi gss-ntlmssp",
        ),
    ],
)
def test_advice_of_this_installation(plugin: Plugin, lacking: tuple[str, ...], advice: str) -> None:
    plugin.without(*lacking)
    assert plugin(plugin.lab.acceptor().url) == unknown(
        f"HTTP 401: the portal wants a login and offers Negotiate, NTLM; {advice}"
    )


def test_krb5_conf_that_cannot_be_read_is_told_in_the_words_of_the_library(
    plugin: Plugin, tmp_path: Path
) -> None:
    conf = tmp_path / "krb5.conf"
    conf.write_text("[libdefaults\nx")
    plugin.environment["KRB5_CONFIG"] = str(conf)
    acceptor = plugin.lab.acceptor()
    assert plugin(acceptor.url, "--auth", "kerberos") == unknown(
        "logging in to localhost as the user of the ticket cache: Kerberos fails: Improper format "
        "of Kerberos configuration file"
    )


def test_auto_with_a_password_is_basic_where_nothing_else_is_offered(plugin: Plugin) -> None:
    plugin.password = PASSWORDS["monitor"]
    acceptor = plugin.lab.acceptor(schemes="Basic")
    assert is_read(plugin(acceptor.url, "-l", USER["ntlm"], *AT_DOCUMENTED_MOMENT))
    assert [login["mechanism"] for login in acceptor.logins()] == ["basic"]


@NTLM
@pytest.mark.parametrize("user", ["CQD\\umlaut", "umlaut@CQD.TEST", "umlaut"])
def test_password_beyond_latin_1_by_ntlm(plugin: Plugin, user: str, scheme: str) -> None:
    plugin.password = PASSWORDS["umlaut"]
    plugin.without("gssapi" if scheme == PYSPNEGO else "spnego")
    acceptor = plugin.lab.acceptor(extended_protection="require")
    assert is_read(plugin(acceptor.url, "--auth", "ntlm", "-l", user, *AT_DOCUMENTED_MOMENT))
    assert [login[0] for login in logins(acceptor)] == ["granted"]


@pytest.mark.parametrize("user", ["umlaut@CQD.TEST", "umlaut"])
def test_password_beyond_latin_1_by_kerberos(plugin: Plugin, user: str) -> None:
    plugin.password = PASSWORDS["umlaut"]
    acceptor = plugin.lab.acceptor(extended_protection="require")
    options = ("--auth", "kerberos", "-l", user, *AT_DOCUMENTED_MOMENT)
    assert is_read(plugin(acceptor.url, *options))
    assert logins(acceptor) == [("granted", "umlaut@CQD.TEST", True)]


@NTLM
def test_wrong_password_by_ntlm_is_one_attempt(plugin: Plugin, scheme: str) -> None:
    plugin.password = "hunter2"
    plugin.without("gssapi" if scheme == PYSPNEGO else "spnego")
    acceptor = plugin.lab.acceptor(extended_protection="accept")
    assert plugin(acceptor.url, "-l", USER["ntlm"]) == refused("ntlm")
    assert [login[0] for login in logins(acceptor)] == ["refused"]


def test_wrong_password_by_kerberos_is_one_attempt(plugin: Plugin) -> None:
    plugin.password = "hunter2"
    acceptor = plugin.lab.acceptor()
    before = plugin.lab.failed_logins("other")
    assert plugin(acceptor.url, "--auth", "kerberos", "-l", "other@CQD.TEST") == unknown(
        "logging in to localhost as other@CQD.TEST: the password or the key is wrong"
    )
    assert plugin.lab.failed_logins("other") == before + 1
    assert logins(acceptor) == []


@pytest.mark.parametrize(
    ("keytab", "reason"),
    [
        ("{keytab}.none", "--keytab {keytab}.none: there is no such file"),
        ("{directory}", "--keytab {directory}: it is a directory"),
        ("{key}", "--keytab {key}: it is not a keytab"),
        (
            "{other}",
            "--keytab {other}: it has no key for this user; upper and lower case matter (klist -k)",
        ),
        ("{stale}", "the password or the key is wrong"),
    ],
    ids=["missing", "directory", "garbage", "other", "stale"],
)
def test_key_table_that_is_not_right(
    plugin: Plugin, keytab: str, reason: str, tmp_path: Path
) -> None:
    lab = plugin.lab
    paths = {
        "keytab": lab.keytab,
        "directory": tmp_path,
        "key": lab.client_key,
        "other": lab.other_keytab,
        "stale": lab.stale_keytab,
    }
    options = ("-l", USER["kerberos"], "--keytab", keytab.format(**paths))
    acceptor = lab.acceptor()
    assert plugin(acceptor.url, *options) == unknown(
        f"logging in to localhost as monitor@CQD.TEST: {reason.format(**paths)}"
    )
    assert logins(acceptor) == []


def test_no_ticket(plugin: Plugin) -> None:
    acceptor = plugin.lab.acceptor()
    neither = "neither --password-file nor --keytab was given, and there is no ticket (kinit)"
    for option, value, told in (
        (
            "--auth",
            "kerberos",
            "the user of the ticket cache: there is no ticket; get one with kinit, or give "
            "--username and --keytab",
        ),
        ("-l", USER["kerberos"], f"{USER['kerberos']}: {neither}"),
    ):
        assert plugin(acceptor.url, option, value) == unknown(f"logging in to localhost as {told}")
    assert logins(acceptor) == []


def test_ticket_that_has_expired(plugin: Plugin) -> None:
    plugin.environment["KRB5CCNAME"] = str(plugin.lab.expired_ticket_cache)
    acceptor = plugin.lab.acceptor()
    assert plugin(acceptor.url, "-l", USER["kerberos"]) == unknown(
        "logging in to localhost as monitor@CQD.TEST: the ticket has expired; get a new one with "
        "kinit, or give --keytab"
    )
    assert logins(acceptor) == []


def test_kdc_that_is_down(plugin: Plugin) -> None:
    plugin.environment.update(plugin.lab.refusing_kdc_environment)
    acceptor = plugin.lab.acceptor()
    assert plugin.with_login(acceptor.url, "kerberos") == unknown(
        "logging in to localhost as monitor@CQD.TEST: no KDC of the realm CQD.TEST can be reached"
    )


def test_kdc_that_never_answers_ends_with_the_timeout(plugin: Plugin) -> None:
    plugin.environment.update(plugin.lab.silent_kdc_environment)
    acceptor = plugin.lab.acceptor()
    begin = time.monotonic()
    outcome = plugin.with_login(acceptor.url, "kerberos", "-t", "4")
    assert time.monotonic() - begin < 15  # krb5 itself gives up after 25
    assert outcome == (
        3,
        "CQD UNKNOWN - logging in to localhost as monitor@CQD.TEST: asking the KDC of CQD.TEST: no "
        "answer within 4s (-t)\n",
    )


def test_service_principal_that_nobody_knows(plugin: Plugin) -> None:
    acceptor = plugin.lab.acceptor()
    by_address = acceptor.url.replace("localhost", "127.0.0.1")
    assert plugin.with_login(by_address, "kerberos") == unknown(
        "logging in to 127.0.0.1 as monitor@CQD.TEST: the KDC knows no service HTTP/127.0.0.1; is "
        "the host given by its name, and its SPN set?"
    )
    assert logins(acceptor) == []


def test_user_that_nobody_knows(plugin: Plugin) -> None:
    plugin.password = "x"
    acceptor = plugin.lab.acceptor()
    assert plugin(acceptor.url, "--auth", "kerberos", "-l", "nobody@CQD.TEST") == unknown(
        "logging in to localhost as nobody@CQD.TEST: the KDC does not know this user"
    )


def test_realm_that_nobody_knows(plugin: Plugin) -> None:
    plugin.password = "x"
    acceptor = plugin.lab.acceptor()
    assert plugin(acceptor.url, "--auth", "kerberos", "-l", "monitor@ELSE.TEST") == unknown(
        "logging in to localhost as monitor@ELSE.TEST: no KDC is known for the realm ELSE.TEST; "
        "is it right, and in DNS or krb5.conf?"
    )


def test_windows_name_is_none_of_kerberos(plugin: Plugin) -> None:
    acceptor = plugin.lab.acceptor()
    options = ("-l", USER["ntlm"], "--keytab", str(plugin.lab.keytab))
    assert plugin(acceptor.url, *options) == unknown(
        "logging in to localhost as CQD\\monitor: Kerberos wants --username as user@REALM"
    )


def test_account_that_is_locked(plugin: Plugin) -> None:
    plugin.password = "hunter2"
    acceptor = plugin.lab.acceptor()
    options = ("--auth", "kerberos", "-l", "monitor2@CQD.TEST", "--login-retry", "0")
    reasons = [plugin(acceptor.url, *options)[1].split(": ", 1)[1] for _ in range(4)]
    assert reasons == 3 * ["the password or the key is wrong\n"] + [
        "the account is locked, disabled or expired\n"
    ]
    plugin.lab.unlock("monitor2")


@SCHEMES
@pytest.mark.parametrize("fault", ["empty-401", "close-401"])
def test_fault_that_does_no_harm(plugin: Plugin, scheme: str, fault: str) -> None:
    acceptor = plugin.lab.acceptor(extended_protection="require", fault=fault)
    assert is_read(plugin.with_login(acceptor.url, scheme, *AT_DOCUMENTED_MOMENT))
    assert logins(acceptor) == [("granted", USER[scheme], True)]


@SCHEMES
@pytest.mark.parametrize(
    ("fault", "state", "message"),
    [
        (
            "close-in-handshake",
            2,
            "CQD CRITICAL - logging in to localhost as {user}: the connection was closed by the "
            "other side, or a TLS proxy (--no-channel-binding)\n",
        ),
        (
            "503-in-handshake",
            2,
            "CQD CRITICAL - HTTP 503 Service Unavailable: the portal cannot answer now\n",
        ),
        (
            "hang",
            2,
            "CQD CRITICAL - logging in to localhost as {user}: no answer within 4s (-t)\n",
        ),
    ],
)
def test_fault_in_the_handshake(
    plugin: Plugin, scheme: str, fault: str, state: int, message: str
) -> None:
    acceptor = plugin.lab.acceptor(fault=fault)
    outcome = plugin.with_login(acceptor.url, scheme, "-t", "4" if fault == "hang" else "20")
    assert outcome == (state, message.format(user=USER[scheme]))
    assert logins(acceptor) == []


@SCHEMES
def test_refusal_without_a_challenge(plugin: Plugin, scheme: str) -> None:
    acceptor = plugin.lab.acceptor(fault="no-challenge")
    why = {"kerberos": ""}.get(scheme, "it sends no challenge")
    assert plugin.with_login(acceptor.url, scheme) == refused(scheme, why)
    assert len(acceptor.log()) == 2


@SCHEMES
def test_refusal_after_a_good_login_is_not_tried_again(plugin: Plugin, scheme: str) -> None:
    acceptor = plugin.lab.acceptor(fault="401-after-login", extended_protection="require")
    assert plugin.with_login(acceptor.url, scheme) == refused(scheme)
    assert logins(acceptor) == [("granted", USER[scheme], True)]
    assert len(acceptor.log()) == {"kerberos": 2}.get(scheme, 3)


NO_PROOF = unknown(
    "logging in to localhost as monitor@CQD.TEST: the portal did not prove that it is the one that "
    "was asked for"
)


@pytest.mark.parametrize("path", ["", "/moved?/x", "/forbidden"])
def test_portal_that_does_not_prove_who_it_is(plugin: Plugin, path: str) -> None:
    acceptor = plugin.lab.acceptor(fault="no-proof", certificate=None)
    assert plugin.with_login(acceptor.url + path, "kerberos") == NO_PROOF
    assert len(acceptor.log()) == 2


def test_certificate_that_is_verified_is_proof_enough(plugin: Plugin) -> None:
    acceptor = plugin.lab.acceptor(fault="no-proof", extended_protection="require")
    assert is_read(plugin.with_login(acceptor.url, "kerberos", *AT_DOCUMENTED_MOMENT))


def test_certificate_that_is_not_verified_is_no_proof(plugin: Plugin) -> None:
    acceptor = plugin.lab.acceptor(fault="no-proof")
    assert plugin.with_login(acceptor.url, "kerberos", "--insecure") == NO_PROOF


@pytest.mark.parametrize("certificate", ["sha256", None])
@pytest.mark.parametrize("path", ["", "/moved?/x", "/forbidden"])
def test_portal_with_a_wrong_proof(plugin: Plugin, certificate: str | None, path: str) -> None:
    acceptor = plugin.lab.acceptor(fault="wrong-proof", certificate=certificate)
    assert plugin.with_login(acceptor.url + path, "kerberos") == unknown(
        "logging in to localhost as monitor@CQD.TEST: the portal proves wrongly who it is: "
        "Decrypt integrity check failed"
    )
    assert len(acceptor.log()) == 2


@pytest.mark.parametrize(
    ("scheme", "offered", "why"),
    [
        ("kerberos", "NTLM", "--auth kerberos was given"),
        ("ntlm", "Basic", "--auth ntlm was given"),
    ],
)
def test_scheme_that_is_not_offered(plugin: Plugin, scheme: str, offered: str, why: str) -> None:
    acceptor = plugin.lab.acceptor(schemes=offered)
    assert plugin.with_login(acceptor.url, scheme) == unknown(
        f"logging in to localhost as {USER[scheme]}: the portal offers {offered}, but {why}"
    )
    assert len(acceptor.log()) == 1


@SCHEMES
def test_user_who_may_not_read(plugin: Plugin, scheme: str) -> None:
    acceptor = plugin.lab.acceptor()
    assert plugin.with_login(f"{acceptor.url}/forbidden", scheme) == unknown(
        f"HTTP 403: {USER[scheme]} is not allowed to read it; is it in the group of portal users? "
        f"The portal offers Negotiate, NTLM, see --auth"
    )
    assert [login[0] for login in logins(acceptor)] == ["granted"]


@SCHEMES
def test_login_to_apache(plugin: Plugin, scheme: str) -> None:
    for place in (f"/{scheme.split()[0]}", "/negotiate"):
        url = plugin.lab.apache_url(place)
        assert is_read(plugin.with_login(url, scheme, *AT_DOCUMENTED_MOMENT))


def test_client_certificate_for_one_path_alone(plugin: Plugin) -> None:
    url = plugin.lab.apache_url("/client-certificate")  # asked for after TLS 1.3's handshake
    code, out = plugin(url, *AT_DOCUMENTED_MOMENT)
    assert (code, out.startswith("CQD UNKNOWN - HTTP 403: ")) == (3, True)
    client = ["--client-cert", str(plugin.lab.client_certificate)]
    client += ["--client-key", str(plugin.lab.client_key)]
    assert is_read(plugin(url, *client, *AT_DOCUMENTED_MOMENT))


def test_key_table_leaves_nothing_behind(plugin: Plugin, tmp_path: Path) -> None:
    acceptor = plugin.lab.acceptor()
    plugin.environment["TMPDIR"] = plugin.environment["HOME"] = str(tmp_path)
    before = sorted(Path("/tmp").glob("krb5cc*"))
    assert is_read(plugin.with_login(acceptor.url, "kerberos", *AT_DOCUMENTED_MOMENT))
    assert sorted(Path("/tmp").glob("krb5cc*")) == before
    assert list(tmp_path.iterdir()) == []


def test_exchange_at_vvv_shows_no_token(plugin: Plugin) -> None:
    acceptor = plugin.lab.acceptor(extended_protection="require")
    _, out = plugin.with_login(acceptor.url, "kerberos", "-vvv", *AT_DOCUMENTED_MOMENT)
    assert "with a token" in out
    assert max(map(len, out.split())) < 120
