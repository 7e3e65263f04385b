"""The plugin logs in to a portal that has joined a real directory, which counts what goes wrong."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from directory_lab import (
    ALIAS,
    LOCKOUT_THRESHOLD,
    NO_SPN,
    PASSWORD,
    PORTAL,
    REALM,
    WRONG_SPN,
    DirectoryLab,
    missing,
)
from expected import AT_DOCUMENTED_MOMENT, OVER_THE_NETWORK, item, masked, unknown
from portal_simulator import DOCUMENTED, STATUS_PATH

NOT_BOUND = ", or a TLS proxy (--no-channel-binding)"
NTLM_REFUSED = (
    "HTTP 401 to NTLM (of Negotiate, NTLM); wrong password, locked or expired account, or group"
    f"{NOT_BOUND}"
)
GROUP_REFUSED = f"HTTP 401 to Negotiate (of Negotiate, NTLM); wrong group or SPN{NOT_BOUND}"
FORBIDDEN = (
    "HTTP 403: {} is not allowed to read it; is it in the group of portal users? The portal offers "
    "Negotiate, NTLM, see --auth"
)
WRONG = "the password or the key is wrong"
NOT_USABLE = "the account is locked, disabled or expired"
EXPIRED = "the password has expired"
TICKET_EXPIRED = "the ticket has expired already; the clocks of this host and of the KDC differ"
CLOCK = "the clocks of this host and of the KDC or the portal differ too much"
CLOCK_BY_DAYS = "the clocks of this host and of the portal differ by more than 36 hours"
NO_KEY = "--keytab {}: it has no key for this user; upper and lower case matter (klist -k)"
UNKNOWN_USER = "the KDC does not know this user"
LOWER_CASE_REALM = "the KDC answers for another realm; write that of --username in capitals"
UNKNOWN_SPN = (
    f"the KDC knows no service HTTP/{NO_SPN}; is the host given by its name, and its SPN set?"
)
SPN_OF_ANOTHER = (
    f"the ticket is not for the portal; is its SPN HTTP/{WRONG_SPN} on another account?"
)

LOGGED_IN = (2, OVER_THE_NETWORK)

UNUSABLE = {
    "disabled": NOT_USABLE,
    "ended": NOT_USABLE,
    "expired": EXPIRED,
    "locked": NOT_USABLE,
    "mustchange": EXPIRED,
}
LIBRARIES = {"gssapi": "spnego", "pyspnego": "gssapi"}
"""What does NTLM, and the Python module that is then hidden from the plugin."""

LIBRARY = pytest.mark.parametrize("library", LIBRARIES)
CLOCKS = pytest.mark.parametrize("clock", ["+10m", "-10m"])


class Plugin:
    """The plugin on the monitoring host, where nothing is remembered of other tests."""

    def __init__(self, lab: DirectoryLab, state: Path) -> None:
        self.lab = lab
        self.environment = {"XDG_STATE_HOME": str(state)}
        self._modules = state / "modules"

    def __call__(self, *options: str, host: str = PORTAL, path: str = "") -> tuple[int, str]:
        every = self._options(host, path)
        done = self.lab.ask(*every, *options, environment=self.environment)
        assert PASSWORD not in done.out
        return done.code, re.sub(r"clock_skew=\S+", item("clock_skew", 0), masked(done.out))

    def lines_of(self, program: str, argument: str, *options: str) -> list[str]:
        """Run a program that runs the plugin with options, and return what both print."""
        done = self.lab.run_python(
            *("-c", program, argument, *self._options(PORTAL), *options),
            environment=self.environment,
        )
        return done.out.splitlines()

    def _options(self, host: str, path: str = "") -> tuple[str, ...]:
        trust = ("--ca-file", str(self.lab.ca_file))
        clock = (*AT_DOCUMENTED_MOMENT, "--max-skew", "1000w")
        return ("-u", f"https://{host}{path}{STATUS_PATH}", *trust, *clock)

    def by_keytab(self, user: str, **place: str) -> tuple[int, str]:
        return self("-l", user, "--keytab", str(self.lab.keytab), **place)

    def by_password(
        self, user: str, scheme: str, password: str = PASSWORD, **place: str
    ) -> tuple[int, str]:
        self.environment["CQD_PASSWORD"] = password
        return self("--auth", scheme, "-l", user, **place)

    def by_ticket(self, **place: str) -> tuple[int, str]:
        self.lab.get_ticket()
        self.environment["KRB5CCNAME"] = f"FILE:{self.lab.ticket_cache}"
        return self("--auth", "kerberos", **place)

    def use(self, library: str) -> None:
        """Let NTLM be done by this library: the plugin cannot import the other."""
        self._modules.mkdir()
        module = self._modules / f"{LIBRARIES[library]}.py"
        module.write_text('raise ImportError("hidden by the test")\n')
        self.environment["PYTHONPATH"] = str(self._modules)


def refused(user: str, reason: str, host: str = PORTAL) -> tuple[int, str]:
    return unknown(f"logging in to {host} as {user}: {reason}")


@pytest.fixture(scope="session")
def lab() -> Iterator[DirectoryLab]:
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    place = tempfile.TemporaryDirectory(prefix="directory-lab-")
    with place as directory, DirectoryLab(Path(directory), DOCUMENTED.decode()) as running:
        yield running


@pytest.fixture
def plugin(lab: DirectoryLab, tmp_path: Path) -> Plugin:
    return Plugin(lab, tmp_path)


@pytest.fixture
def _counted_from_zero(lab: DirectoryLab) -> Iterator[None]:
    yield
    lab.forget_failed_logins("monitor")


counts = pytest.mark.usefixtures("_counted_from_zero")


# --- by Kerberos ----------------------------------------------------------------------------------


def test_login_by_keytab(plugin: Plugin) -> None:
    assert plugin.by_keytab("monitor@CORP.TEST") == LOGGED_IN
    assert plugin.lab.failed_logins("monitor") == 0


@pytest.mark.parametrize("user", ["monitor@CORP.TEST", "monitor", "Monitor@CORP.TEST"])
def test_login_by_password(plugin: Plugin, user: str) -> None:
    assert plugin.by_password(user, "kerberos") == LOGGED_IN
    assert plugin.lab.failed_logins("monitor") == 0


def test_login_by_ticket(plugin: Plugin) -> None:
    assert plugin.by_ticket() == LOGGED_IN


def test_alias_of_the_portal_needs_no_spn(plugin: Plugin) -> None:
    assert plugin.by_keytab("monitor@CORP.TEST", host=ALIAS) == LOGGED_IN


@counts
def test_wrong_password_is_counted_once(plugin: Plugin) -> None:
    user = "monitor@CORP.TEST"
    assert plugin.by_password(user, "kerberos", "hunter2") == refused(user, WRONG)
    assert plugin.lab.failed_logins("monitor") == 1


@counts
def test_old_key_is_counted_once(plugin: Plugin) -> None:
    user = "monitor@CORP.TEST"
    assert plugin("-l", user, "--keytab", str(plugin.lab.old_keytab)) == refused(user, WRONG)
    assert plugin.lab.failed_logins("monitor") == 1


@pytest.mark.parametrize("user", UNUSABLE)
def test_account_that_cannot_be_used(plugin: Plugin, user: str) -> None:
    before = plugin.lab.failed_logins(user)
    assert before == (LOCKOUT_THRESHOLD if user == "locked" else 0)
    name = f"{user}@{REALM}"
    assert plugin.by_keytab(name) == refused(name, UNUSABLE[user])
    assert plugin.by_password(name, "kerberos") == refused(name, UNUSABLE[user])
    assert plugin.lab.failed_logins(user) == before


def test_user_that_the_directory_does_not_know(plugin: Plugin) -> None:
    user = "nobody@CORP.TEST"
    assert plugin.by_password(user, "kerberos") == refused(user, UNKNOWN_USER)


@pytest.mark.parametrize("user", ["Monitor@CORP.TEST", "monitor@corp.test"])
def test_name_in_a_keytab_has_upper_and_lower_case(plugin: Plugin, user: str) -> None:
    assert plugin.by_keytab(user) == refused(user, NO_KEY.format(plugin.lab.keytab))


def test_realm_in_lower_case(plugin: Plugin) -> None:
    user = "monitor@corp.test"
    assert plugin.by_password(user, "kerberos") == refused(user, LOWER_CASE_REALM)
    assert plugin.lab.failed_logins("monitor") == 0


@pytest.mark.parametrize(("host", "why"), [(NO_SPN, UNKNOWN_SPN), (WRONG_SPN, SPN_OF_ANOTHER)])
def test_spn_that_is_not_right(plugin: Plugin, host: str, why: str) -> None:
    user = "monitor@CORP.TEST"
    assert plugin.by_keytab(user, host=host) == refused(user, why, host)
    assert plugin.lab.failed_logins("monitor") == 0


def test_member_of_the_group(plugin: Plugin) -> None:
    assert plugin.by_keytab("monitor@CORP.TEST", path="/restricted") == LOGGED_IN
    assert plugin.by_keytab("monitor@CORP.TEST", path="/unauthorized") == LOGGED_IN


def test_user_who_is_not_in_the_group(plugin: Plugin) -> None:
    user = "stranger@CORP.TEST"
    assert plugin.by_keytab(user, path="/restricted") == unknown(FORBIDDEN.format(user))
    assert plugin.by_keytab(user, path="/unauthorized") == refused(user, GROUP_REFUSED)
    assert plugin.lab.failed_logins("stranger") == 0


@CLOCKS
def test_clock_that_does_not_matter(plugin: Plugin, clock: str) -> None:
    plugin.environment["FAKETIME"] = clock
    assert plugin.by_keytab("monitor@CORP.TEST") == LOGGED_IN
    assert plugin.by_password("monitor@CORP.TEST", "kerberos") == LOGGED_IN


@CLOCKS
def test_clock_that_matters_to_a_ticket(plugin: Plugin, clock: str) -> None:
    plugin.environment["FAKETIME"] = clock
    assert plugin.by_ticket() == refused("the user of the ticket cache", CLOCK)


def test_clock_that_is_further_off_than_a_ticket_lasts(plugin: Plugin) -> None:
    plugin.environment["FAKETIME"] = "+37h"
    user = "monitor@CORP.TEST"
    assert plugin.by_keytab(user) == refused(user, TICKET_EXPIRED)
    assert plugin.lab.failed_logins("monitor") == 0


# --- by NTLM --------------------------------------------------------------------------------------


@LIBRARY
@pytest.mark.parametrize(
    "user", ["CORP\\monitor", "corp.test\\monitor", "monitor", "monitor@CORP.TEST"]
)
def test_login_by_ntlm(plugin: Plugin, library: str, user: str) -> None:
    plugin.use(library)
    assert plugin.by_password(user, "ntlm") == LOGGED_IN
    assert plugin.lab.failed_logins("monitor") == 0


@counts
@LIBRARY
@pytest.mark.parametrize(
    ("user", "counted"),
    [
        ("CORP\\monitor", (1,)),
        ("monitor", (1,)),
        ("monitor@CORP.TEST", (0, 1)),  # Samba counts it or not, by library and release
    ],
)
def test_wrong_password_by_ntlm(
    plugin: Plugin, library: str, user: str, counted: tuple[int, ...]
) -> None:
    plugin.use(library)
    assert plugin.by_password(user, "ntlm", "hunter2") == refused(user, NTLM_REFUSED)
    assert plugin.lab.failed_logins("monitor") in counted


@LIBRARY
@pytest.mark.parametrize("user", [*UNUSABLE, "nobody"])
def test_account_that_cannot_be_used_by_ntlm(plugin: Plugin, library: str, user: str) -> None:
    plugin.use(library)
    before = plugin.lab.failed_logins(user)
    name = f"CORP\\{user}"
    assert plugin.by_password(name, "ntlm") == refused(name, NTLM_REFUSED)
    assert plugin.lab.failed_logins(user) == before


@LIBRARY
def test_user_who_is_not_in_the_group_by_ntlm(plugin: Plugin, library: str) -> None:
    plugin.use(library)
    user = "CORP\\stranger"
    forbidden = plugin.by_password(user, "ntlm", path="/restricted")
    assert forbidden == unknown(FORBIDDEN.format(user))
    unauthorized = plugin.by_password(user, "ntlm", path="/unauthorized")
    assert unauthorized == refused(user, NTLM_REFUSED)
    assert plugin.lab.failed_logins("stranger") == 0


@LIBRARY
@CLOCKS
def test_clock_does_not_matter_to_ntlm(plugin: Plugin, library: str, clock: str) -> None:
    plugin.use(library)
    plugin.environment["FAKETIME"] = clock
    assert plugin.by_password("CORP\\monitor", "ntlm") == LOGGED_IN


def test_clock_that_is_further_ahead_than_gss_ntlmssp_bears(plugin: Plugin) -> None:
    plugin.environment["FAKETIME"] = "+37h"
    user = "CORP\\monitor"
    assert plugin.by_password(user, "ntlm") == refused(user, CLOCK_BY_DAYS)
    assert plugin.lab.failed_logins("monitor") == 0
    plugin.use("pyspnego")
    assert plugin.by_password(user, "ntlm") == LOGGED_IN


# --- a wrong login, for hours ---------------------------------------------------------------------

TWO_HOURS = """
import os, sys
import gssapi, requests, spnego
from check_cqd_integration.cli import main

clock, *options = sys.argv[1:]
for minute in range(120):
    with open(clock, "w") as file:
        file.write(f"+{minute}m")
    if os.fork():
        os.wait()
    else:
        code = main(options)
        print(code, flush=True)
        os._exit(0)
"""
"""A check every minute, each in a process of its own, which needs no new start of Python."""


@counts
@pytest.mark.parametrize("way", ["ntlm", "keytab"])
def test_wrong_login_is_tried_once_an_hour(plugin: Plugin, tmp_path: Path, way: str) -> None:
    secret, clock, state = tmp_path / "secret", tmp_path / "clock", tmp_path / "remembered"
    wrong, right = b"hunter2\n", PASSWORD.encode()
    login: tuple[str, ...] = ("--auth", "ntlm", "-l", "monitor", "--password-file", str(secret))
    if way == "keytab":
        wrong, right = plugin.lab.old_keytab.read_bytes(), plugin.lab.keytab.read_bytes()
        login = ("-l", "monitor@CORP.TEST", "--keytab", str(secret))
    options = (*login, "--login-retry", "1h", "--state-dir", str(state))
    secret.touch(0o600)
    secret.write_bytes(wrong)
    plugin.environment.update(FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1")
    clock.write_text("+0m")

    lines = plugin.lines_of(TWO_HOURS, str(clock), *options)
    assert [line for line in lines if line != "3"] == [
        line for line in lines if line.startswith("CQD UNKNOWN - ")
    ]
    assert lines.count("3") == len(lines) / 2 == 120
    assert plugin.lab.failed_logins("monitor") == 2

    secret.write_bytes(right)
    assert plugin(*options) == LOGGED_IN
    assert plugin.lab.failed_logins("monitor") == 0
