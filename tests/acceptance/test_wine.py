"""The plugin on Windows: CPython for Windows, run by Wine. See wine_lab.py for what that proves.

What was built is installed as on Windows, and run there; servers are on this side. Login by SSPI
is not here: Wine's is none of Microsoft's.
"""

from __future__ import annotations

import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from expected import (
    AT_DOCUMENTED_MOMENT,
    DOCUMENTED_LINE,
    DOCUMENTED_MOMENT,
    OVER_THE_NETWORK,
    critical,
    item,
    once_in_time,
    unknown,
    url_of,
    within_1s,
)
from faults import FAULTS, Fault, authority
from portal_simulator import DOCUMENTED, PortalSimulator
from raw_server import free_port
from tls_portal import https_portal, server_tls, write_pem_files
from windows_login_lab import PASSWORDS, WindowsLoginLab
from wine_lab import (
    COMMAND,
    PLACE,
    ROOT,
    Outcome,
    WineLab,
    missing,
    of_plugin,
    state_directories,
    windows_path,
)

from check_cqd_integration import __version__

SAMPLE = windows_path(ROOT / "tests" / "data" / "status-documented.txt")
REPLAY = (*AT_DOCUMENTED_MOMENT, "--input", SAMPLE)
READ = Outcome(2, DOCUMENTED_LINE, "")
STATUS_PATH = "/QoEDataService/IntegrationLog/Status"
PATIENCE = 4.0
"""Seconds of -t for a fault that lasts. Wine takes its time to start a check, but five bytes, one
each second, are a record of TLS that can be told to be none.
"""
BY_WINE = {"reset in body": "reading the answer of 127.0.0.1: the answer ended too early"}
"""Faults that do not reach programs under Wine: its sockets take a reset for an end."""
UNIT_TESTS = ("tests/pipeline", "tests/report", "tests/portal", "tests/test_options.py")

_reason = missing()
pytestmark = [
    pytest.mark.skipif(_reason is not None, reason=str(_reason)),
    pytest.mark.filterwarnings("default:under Wine"),  # a process that was begun again
]


@pytest.fixture(scope="module")
def windows(dist: Path) -> Iterator[WineLab]:
    """A Windows whose Python has the plugin, installed by pip as for all its users."""
    for path in [COMMAND, *state_directories()]:
        path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
    [wheel] = dist.glob("*.whl")
    with WineLab() as lab:
        pip = ("-m", "pip", "install", "--no-index", "--no-deps", "--force-reinstall")
        done = lab.run("python", *pip, windows_path(wheel))
        assert done.code == 0, done
        assert f"Successfully installed check-cqd-integration-{__version__}" in done.out
        yield lab


@pytest.fixture(scope="module", autouse=True)
def _begun(request: pytest.FixtureRequest) -> None:
    """Begin first what takes long: it runs beside the other tests."""
    for name in ("unit_tests", "outcomes"):
        if any(name in getattr(each, "fixturenames", ()) for each in request.session.items):
            request.getfixturevalue(name)


@pytest.fixture(scope="module")
def unit_tests(
    windows: WineLab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Outcome]]:
    """The outcome of pytest there, in the checkout."""
    options = ("-q", "-p", "no:cacheprovider", "--tb=short", "-rfEs")
    place = f"--basetemp={windows_path(tmp_path_factory.mktemp('windows') / 'pytest')}"
    with ThreadPoolExecutor(1) as pool:
        command = ("python", "-m", "pytest", *options, place, *UNIT_TESTS)
        yield pool.submit(windows.run, *command, cwd=windows_path(ROOT), patience=600)


def right(fault: Fault, port: int) -> list[tuple[int, str]]:
    """What the plugin may make of it."""
    by_wine = [critical(BY_WINE[fault.name])] if fault.name in BY_WINE else []
    return fault.expected(port) + by_wine


@pytest.fixture(scope="module")
def outcomes(windows: WineLab) -> Iterator[Mapping[str, Future[tuple[Outcome, int]]]]:
    """What the plugin made of each fault, and the port."""

    def ask(fault: Fault) -> tuple[Outcome, int]:
        return once_in_time(
            lambda seconds: ask_once(fault, PATIENCE + seconds - 1),
            lambda done: done[0].out,
            lambda done: [out for _, out in right(fault, done[1])],
        )

    def ask_once(fault: Fault, seconds: float) -> tuple[Outcome, int]:
        with fault.serve() as port, authority() as trusted:
            url = f"{fault.scheme}://127.0.0.1:{port}/"
            options = ["--ca-file", windows_path(trusted)] if fault.scheme == "https" else []
            limit = f"{seconds if fault.lasts else fault.timeout:g}"
            done = windows.check("-u", url, *AT_DOCUMENTED_MOMENT, "-t", limit, *options)
        return done._replace(out=within_1s(done.out)), port

    with ThreadPoolExecutor(6) as idle, ThreadPoolExecutor(2) as busy:
        yield {
            fault.name: (idle if fault.lasts else busy).submit(ask, fault)
            for fault in sorted(FAULTS, key=lambda fault: not fault.lasts)
        }


# --- installed, and run --------------------------------------------------------------------------


def test_this_is_windows(windows: WineLab) -> None:
    """And the plugin is the installed one: this is what the other tests rest on."""
    program = (
        "import check_cqd_integration as plugin, os, sys\n"
        "print(sys.platform, os.name, os.getcwd(), plugin.__file__)"
    )
    installed = windows_path(PLACE / "py/Lib/site-packages/check_cqd_integration/__init__.py")
    assert windows.python(program) == Outcome(0, f"win32 nt C:\\ {installed}\n", "")


def test_crash_is_seen(windows: WineLab) -> None:
    """It has none of the codes that the plugin has."""
    program = "import faulthandler; print(1, flush=True); faulthandler._read_null()"
    done = windows.run("python", "-c", program)
    assert (done.code, done.out) == (0xC0000005, "1\r\n")


def test_command_of_pip(windows: WineLab) -> None:
    done = of_plugin(windows.run(windows_path(COMMAND), "--version"))
    assert done == Outcome(3, f"check_cqd_integration {__version__}\n", "")
    assert of_plugin(windows.run(windows_path(COMMAND), *REPLAY)) == READ


def test_copy_of_the_command(windows: WineLab) -> None:
    """As contrib/windows tells to put it where the agent looks."""
    program = "import os, shutil, sys; os.makedirs(sys.argv[2], exist_ok=True); "
    program += "shutil.copy(*sys.argv[1:])"
    place = "C:\\Program Files\\ICINGA2\\sbin"
    assert windows.python(program, windows_path(COMMAND), place) == Outcome(0, "", "")
    command = f"{place}\\check_cqd_integration.exe"
    assert of_plugin(windows.run(command, *REPLAY)) == READ


def test_module(windows: WineLab) -> None:
    assert windows.check(*REPLAY) == READ


def test_single_file(windows: WineLab, dist: Path) -> None:
    """It brings all packages that it needs: those of this Python are not seen."""
    file = windows_path(dist / "check_cqd_integration.pyz")
    assert of_plugin(windows.run("python", "-S", file, *REPLAY)) == READ


def test_single_file_polls(windows: WineLab, dist: Path) -> None:
    file = windows_path(dist / "check_cqd_integration.pyz")
    with simulator() as portal:
        options = ("-u", url_of(portal), *AT_DOCUMENTED_MOMENT)
        done = of_plugin(windows.run("python", "-S", file, *options))
    assert done == Outcome(2, OVER_THE_NETWORK, "")


def test_help_is_no_ok(windows: WineLab) -> None:
    code, out, errors = windows.check("--help")
    assert (code, errors) == (3, "")
    assert out.startswith("usage: check_cqd_integration ")
    assert out.isascii()


def test_usage_error(windows: WineLab) -> None:
    code, out, errors = windows.check("-w", "3h", *REPLAY)
    told = "-w 3h: the integration's critical is 1h by default; give -c too"
    assert (code, errors) == (3, "")
    assert out.startswith(f"CQD UNKNOWN - {told}")


def test_name_of_a_file_that_is_not_ascii(windows: WineLab, tmp_path: Path) -> None:
    file = tmp_path / "Größe €.json"
    file.write_bytes(DOCUMENTED)
    assert windows.check(*AT_DOCUMENTED_MOMENT, "--input", windows_path(file)) == READ


def test_file_that_is_not_there(windows: WineLab) -> None:
    done = windows.check(*AT_DOCUMENTED_MOMENT, "--input", "C:\\absent.json")
    assert done.code == 3
    assert done.out == "CQD UNKNOWN - reading C:\\absent.json: No such file or directory\n"
    assert done.errors == ""


# --- streams -------------------------------------------------------------------------------------


def test_standard_input(windows: WineLab) -> None:
    options = (*AT_DOCUMENTED_MOMENT, "--input", "-")
    assert windows.check(*options, stdin=DOCUMENTED.decode()) == READ


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        ("file", READ),
        ("nul", Outcome(2, "", "")),
        ("unread", Outcome(3, "", "")),
    ],
)
def test_standard_output(windows: WineLab, stdout: str, expected: Outcome) -> None:
    """What cannot be written is no proof: UNKNOWN."""
    assert windows.check(*REPLAY, stdout=stdout) == expected


@pytest.mark.parametrize(
    "closed",
    ["os.close(1)", "sys.stdout = None", "sys.stdout = sys.stderr = sys.stdin = None"],
)
def test_standard_output_that_is_closed(windows: WineLab, closed: str) -> None:
    """Or that is none at all, as for a program without a console."""
    program = (
        f"import os, sys; {closed}\nfrom check_cqd_integration.cli import main; sys.exit(main())"
    )
    code, out, errors = windows.python(program, *REPLAY)
    assert (code, out, errors) == (3, "", "")


def test_standard_error_that_is_closed(windows: WineLab) -> None:
    program = (
        "import os, sys; os.close(2)\nfrom check_cqd_integration.cli import main; sys.exit(main())"
    )
    assert windows.python(program, *REPLAY) == READ


def test_standard_input_that_is_closed(windows: WineLab) -> None:
    program = (
        "import os, sys; os.close(0)\nfrom check_cqd_integration.cli import main; sys.exit(main())"
    )
    code, out, errors = windows.python(program, *AT_DOCUMENTED_MOMENT, "--input", "-")
    assert (code, errors) == (3, "")
    assert out.startswith("CQD UNKNOWN - reading standard input: ")


# --- zones ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["Europe/Berlin", "America/New_York"])
def elsewhere(request: pytest.FixtureRequest, windows: WineLab) -> Iterator[tuple[WineLab, str]]:
    """A Windows in a zone, and what that zone is ahead of UTC in the sample's January."""
    with WineLab(request.param) as lab:
        yield lab, {"Europe/Berlin": "+01:00", "America/New_York": "-05:00"}[request.param]


@pytest.mark.parametrize("options", [(), ("--timezone", "local")], ids=["default", "local"])
def test_zone_of_windows(elsewhere: tuple[WineLab, str], options: tuple[str, ...]) -> None:
    lab, ahead = elsewhere
    moment = ("--now", f"2015-01-18T10:31:00{ahead}")
    assert lab.check(*moment, *options, "--input", SAMPLE) == READ


def test_zone_of_windows_in_summer(elsewhere: tuple[WineLab, str], tmp_path: Path) -> None:
    lab, ahead = elsewhere
    summer = tmp_path / "summer.json"
    summer.write_bytes(DOCUMENTED.replace(b"01/1", b"07/1"))
    hours = int(ahead[:3]) + 1
    moment = ("--now", f"2015-07-18T10:31:00{hours:+03d}:00")
    assert lab.check(*moment, "--input", windows_path(summer)) == READ


@pytest.mark.parametrize(
    ("zone", "ahead"),
    [
        ("Europe/London", "+00:00"),
        ("America/New_York", "-05:00"),
        ("W. Europe Standard Time", "+01:00"),
        ("Russian Standard Time", "+03:00"),
        ("UTC", "+00:00"),
    ],
)
def test_zone_by_name(windows: WineLab, zone: str, ahead: str) -> None:
    """Windows has no zones of these names: they come from the package tzdata."""
    options = ("--now", f"2015-01-18T10:31:00{ahead}", "--timezone", zone)
    assert windows.check(*options, "--input", SAMPLE) == READ


@pytest.mark.parametrize("zone", ["Mars/Phobos", "Middle Standard Time", "../UTC", "C:\\zone"])
def test_zone_that_nobody_knows(windows: WineLab, zone: str) -> None:
    code, out, errors = windows.check("--timezone", zone, "--input", SAMPLE)
    assert (code, errors) == (3, "")
    assert " is not a zone this host knows, like Europe/Berlin, UTC or local" in out


def test_variable_with_a_name(windows: WineLab) -> None:
    """As on other systems: it comes before Windows' own zone."""
    moment = ("--now", "2015-01-18T10:31:00-05:00")
    environment = {"TZ": "America/New_York"}
    assert windows.check(*moment, "--input", SAMPLE, environment=environment) == READ


@pytest.mark.parametrize("rule", ["<+03>-3", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT4", "XYZ+1"])
def test_variable_with_a_rule(windows: WineLab, rule: str) -> None:
    """Microsoft's C library reads some otherwise than POSIX: none is taken."""
    code, out, errors = windows.check("--input", SAMPLE, environment={"TZ": rule})
    assert (code, errors) == (3, "")
    assert out.startswith("CQD UNKNOWN - TZ in the environment: ")
    assert out.endswith("; give --timezone\n")


# --- polls ---------------------------------------------------------------------------------------


def simulator(scenario: str = "healthy") -> PortalSimulator:
    return PortalSimulator(scenario, body=DOCUMENTED, clock=lambda: DOCUMENTED_MOMENT)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_poll(windows: WineLab, host: str) -> None:
    with simulator() as portal:
        options = ("-H", host, "-p", str(portal.port), "--http")
        assert windows.check(*options, *AT_DOCUMENTED_MOMENT) == Outcome(2, OVER_THE_NETWORK, "")


def test_healthy_portal_is_ok(windows: WineLab) -> None:
    """By the clock of Windows."""
    with PortalSimulator("healthy") as portal:
        code, out, errors = windows.check("-u", url_of(portal), "--timezone", "UTC", "-v")
    assert (code, errors) == (0, "")
    assert re.match(r"CQD OK - integration: last success .* ago / cube: ", out)
    assert "\n[OK] integration: last success " in out
    assert "\n[OK] clock: " in out


def test_trust_by_file(windows: WineLab, tmp_path: Path) -> None:
    files = write_pem_files(tmp_path)
    with https_portal(server_tls()) as url:
        options = ("-u", url, "--ca-file", windows_path(files.ca))
        assert windows.check(*options, *AT_DOCUMENTED_MOMENT) == Outcome(2, OVER_THE_NETWORK, "")


def test_trust_by_the_store_of_windows(windows: WineLab, tmp_path: Path) -> None:
    files = write_pem_files(tmp_path)
    refused = critical(
        "TLS with localhost: its certificate is not trusted; give its CA with --ca-file"
    )
    with https_portal(server_tls()) as url:
        options = ("-u", url, *AT_DOCUMENTED_MOMENT)
        assert windows.check(*options) == (*refused, "")
        with windows.trusting(Path(files.ca)):
            assert windows.check(*options) == Outcome(2, OVER_THE_NETWORK, "")
        assert windows.check(*options) == (*refused, "")


def test_client_certificate(windows: WineLab, tmp_path: Path) -> None:
    files = write_pem_files(tmp_path)
    tls = server_tls()
    tls.load_verify_locations(files.ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    options = ("--ca-file", windows_path(files.ca), *AT_DOCUMENTED_MOMENT)
    with https_portal(tls) as url:
        shown = ("--client-cert", windows_path(files.client))
        assert windows.check("-u", url, *options, *shown) == Outcome(2, OVER_THE_NETWORK, "")


def test_time_runs_out(windows: WineLab) -> None:
    def ask(seconds: int) -> tuple[float, Outcome]:
        begin = time.monotonic()
        done = windows.check("-u", url_of(portal, "silent"), "-t", str(seconds))
        return time.monotonic() - begin - seconds, done._replace(out=within_1s(done.out))

    told = critical("waiting for the answer of 127.0.0.1: no answer within 1s (-t)")
    with simulator() as portal:
        longer, done = once_in_time(ask, lambda outcome: outcome[1].out, lambda _: [told[1]])
    assert longer < 10
    assert done == (*told, "")


def test_nothing_listens(windows: WineLab) -> None:
    port = free_port()
    done = windows.check("-H", "127.0.0.1", "-p", str(port), "--http")
    told = f"connecting to 127.0.0.1 port {port}: connection refused; is the server running?"
    assert done == (*critical(told), "")


def test_address_that_no_way_leads_to(windows: WineLab) -> None:
    """Winsock's numbers are others than those of the C library, and have no text there."""
    done = windows.check("-H", "255.255.255.255", "--http")
    assert done == (*critical("connecting to 255.255.255.255 port 80: Network is unreachable"), "")


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_fault(fault: Fault, outcomes: Mapping[str, Future[tuple[Outcome, int]]]) -> None:
    """The words are those of other systems."""
    (code, out, errors), port = outcomes[fault.name].result()
    assert (code, out) in right(fault, port)
    assert errors == ""


# --- signals -------------------------------------------------------------------------------------

INTERRUPTED = """
import signal, socket, sys, threading, time
from check_cqd_integration.cli import main

def interrupt():
    connection, _ = listener.accept()
    connection.recv(65536)
    signal.raise_signal(getattr(signal, sys.argv[1]))
    threading.Event().wait()

listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=interrupt, daemon=True).start()
begin = time.monotonic()
code = main(["-u", "http://127.0.0.1:%d/" % listener.getsockname()[1], "-t", "60"])
print(code, time.monotonic() - begin < 10)
sys.stdout.flush()
sys.exit(code)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGBREAK"])
def test_signal(windows: WineLab, name: str) -> None:
    """Raised in the process itself: no console can be had here to press Ctrl-C in."""
    told = "CQD UNKNOWN - waiting for the answer of 127.0.0.1: interrupted\n"
    assert windows.python(INTERRUPTED, name) == Outcome(3, f"{told}3 True\n", "")


# --- logins --------------------------------------------------------------------------------------


@pytest.fixture
def login(windows: WineLab, lab: WindowsLoginLab) -> Iterator[Callable[..., Outcome]]:
    """Run the plugin with the login of monitor, in an account that remembers nothing yet."""

    def ask(
        base: str, *options: str, password: str = PASSWORDS["monitor"], **how: str | None
    ) -> Outcome:
        trust = ("--ca-file", windows_path(lab.ca_file)) if base.startswith("https") else ()
        return windows.check(
            *("-u", base + STATUS_PATH, "-l", "CQD\\monitor", *trust, *AT_DOCUMENTED_MOMENT),
            *options,
            environment={"CQD_PASSWORD": password or None, **how},
        )

    yield ask
    for path in state_directories():
        shutil.rmtree(path)


def is_read(done: Outcome) -> bool:
    return (
        done.code == 2
        and done.out.startswith("CQD CRITICAL - cube: age 19h 14m (2h), streak 2 (0), ")
        and f" {item('integration_age', 47)} " in done.out
        and done.errors == ""
    )


@pytest.mark.parametrize("auth", ["auto", "ntlm"])
@pytest.mark.parametrize("protection", ["off", "accept", "require"])
def test_ntlm(
    lab: WindowsLoginLab, login: Callable[..., Outcome], auth: str, protection: str
) -> None:
    """With a password it is pyspnego's own, bound to the TLS connection."""
    acceptor = lab.acceptor(extended_protection=protection)
    assert is_read(login(acceptor.url, "--auth", auth))
    [granted] = acceptor.logins()
    found = (granted["login"], granted["user"], granted["mechanism"], granted["bound"])
    assert found == ("granted", "CQD\\monitor", "ntlm", protection != "off")


def test_ntlm_over_plain_http(lab: WindowsLoginLab, login: Callable[..., Outcome]) -> None:
    acceptor = lab.acceptor(certificate=None)
    assert is_read(login(acceptor.url))
    assert [(each["login"], each["bound"]) for each in acceptor.logins()] == [("granted", False)]


def test_ntlm_that_is_not_bound_where_it_must_be(
    lab: WindowsLoginLab, login: Callable[..., Outcome]
) -> None:
    acceptor = lab.acceptor(extended_protection="require")
    done = login(acceptor.url, "--no-channel-binding")
    told = (
        "logging in to localhost as CQD\\monitor: HTTP 401 to NTLM (of Negotiate, NTLM); wrong "
        "password, locked or expired account, or group, see --auth"
    )
    assert done == (*unknown(told), "")
    assert [each["login"] for each in acceptor.logins()] == ["refused"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["none", "unix", "windows"])
@pytest.mark.parametrize("begin", ["", "\ufeff"], ids=["plain", "marked"])
def test_password_file(
    lab: WindowsLoginLab, login: Callable[..., Outcome], tmp_path: Path, begin: str, end: str
) -> None:
    """As Notepad and PowerShell write it."""
    file = tmp_path / "password.txt"
    file.write_bytes(f"{begin}{PASSWORDS['monitor']}{end}".encode())
    acceptor = lab.acceptor(extended_protection="require")
    assert is_read(login(acceptor.url, "--password-file", windows_path(file), password=""))


def test_refused_login_is_remembered(lab: WindowsLoginLab, login: Callable[..., Outcome]) -> None:
    """In %LOCALAPPDATA%, by whichever check of that account: the password is tried once."""
    acceptor = lab.acceptor(extended_protection="require")
    begin = "CQD UNKNOWN - logging in to localhost as CQD\\monitor: "
    reason = "HTTP 401 to NTLM (of Negotiate, NTLM); wrong password, locked or expired account, or"
    assert state_directories() == []
    done = login(acceptor.url, password="wrong")
    assert (done.code, done.errors) == (3, "")
    assert done.out.startswith(f"{begin}{reason}")
    [place] = state_directories()
    assert len(list(place.iterdir())) == 2  # the key, and the refusal
    for _ in range(2):
        done = login(acceptor.url, password="wrong")
        assert (done.code, done.errors) == (3, "")
        told = r"refused \d+s ago, tried again in (1h|59m \d+s) or with new "
        assert re.match(re.escape(begin) + told, done.out)
    assert [each["login"] for each in acceptor.logins()] == ["refused"]
    # Other credentials are tried at once; so are these, if it is demanded.
    assert is_read(login(acceptor.url))
    assert login(acceptor.url, "--login-retry", "0", password="wrong").out.startswith(
        begin + reason
    )
    assert [each["login"] for each in acceptor.logins()] == ["refused", "granted", "refused"]


def test_refused_login_is_remembered_elsewhere(
    lab: WindowsLoginLab, login: Callable[..., Outcome], tmp_path: Path
) -> None:
    acceptor = lab.acceptor(extended_protection="require")
    place = tmp_path / "new" / "state"
    for _ in range(2):
        assert login(acceptor.url, "--state-dir", windows_path(place), password="wrong").code == 3
    assert len(list(place.iterdir())) == 2
    assert state_directories() == []
    assert [each["login"] for each in acceptor.logins()] == ["refused"]


def test_account_without_a_place_to_remember(
    lab: WindowsLoginLab, login: Callable[..., Outcome]
) -> None:
    acceptor = lab.acceptor(extended_protection="require")
    done = login(acceptor.url, password="wrong", LOCALAPPDATA=None)
    note = "refused, not remembered: this user has no home directory (--state-dir): "
    assert (done.code, done.errors) == (3, "")
    assert done.out.startswith(
        f"CQD UNKNOWN - logging in to localhost as CQD\\monitor: {note}HTTP 401 to NTLM"
    )


# --- unit tests ----------------------------------------------------------------------------------


def test_unit_tests(unit_tests: Future[Outcome]) -> None:
    """Of what reads and writes: the pipeline, the report, the options, the way to the portal."""
    done = unit_tests.result()
    last = done.out.splitlines()[-1] if done.out else ""
    assert re.match(r"[1-9][0-9]{3} passed", last), done.out + done.errors
    assert "failed" not in last
    assert "error" not in last
    assert done.code == 0
