"""What Nagios and NRPE know after a check is what the plugin prints by hand.

Commands and services are those of contrib/nagios, unchanged: what they find in $USER1$ sends them
to the simulator, whatever portal they name.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from nagios_lab import (
    CHECK_NRPE,
    Nagios,
    Nrpe,
    Outcome,
    missing_program,
    running_nagios,
    running_nrpe,
    verify,
    wait_until,
    write_nagios_configuration,
)
from portal_simulator import PASSWORD, USERNAME, PortalSimulator

ROOT = Path(__file__).parents[2]
CONTRIB = ROOT / "contrib" / "nagios"
NOW = datetime(2026, 11, 24, 10, 7, 30, tzinfo=timezone.utc)
ZONE = "Europe/Berlin"  # of the examples
INSTALLED = "/usr/local/bin/check_cqd_integration"
SHIPPED = ("--verbose", "--timezone", ZONE)
STATES = {"healthy": 0, "recovered": 1, "failing": 2, "disabled": 3, "unreachable": 2}
EVERY_STATE = pytest.mark.parametrize(("scenario", "state"), STATES.items(), ids=STATES)

# What a shell and Nagios would like to do something with, and how it is written for Nagios.
NASTY = 'a  b "c" `id` $(id) $HOME #d &e *f; ~g \\h !i | j > k {l,m} %n'
NASTY_IN_NAGIOS = NASTY.replace("!", r"\!").replace("$", "$$").replace(";", r"\;")
MORE_SERVICES = f"""
define service {{
    host_name               cqd-portal
    service_description     nasty
    use                     cqd-service
    check_command           check_cqd_integration!portal.example.com!{NASTY_IN_NAGIOS}!!
}}
define service {{
    host_name               cqd-portal
    service_description     limits
    use                     cqd-service
    check_command           check_cqd_integration!portal.example.com!{ZONE}!1m!~:2m
}}
define service {{
    host_name               cqd-portal
    service_description     more
    use                     cqd-service
    check_command           check_cqd_integration!portal.example.com!{ZONE}!!!--stage cube -t 9
}}
"""


class Plugin:
    """The plugin where the daemons look for it; it asks the simulator at a moment of its own."""

    def __init__(self, directory: Path, portal: PortalSimulator) -> None:
        self.portal = portal
        self.path = directory / "check_cqd_integration"
        self._unreachable = socket.socket()  # kept from others, but nobody listens
        self._unreachable.bind(("127.0.0.1", 0))

    def close(self) -> None:
        self._unreachable.close()

    def play(self, scenario: str, *options: str) -> None:
        """From now on the portal is in this scenario."""
        port = self.portal.port
        if scenario == "unreachable":
            port = self._unreachable.getsockname()[1]
        else:
            self.portal.scenario = scenario
        words = ["--hostname", "127.0.0.1", "--http", "--port", str(port)]
        words += ["--now", NOW.isoformat(), *options]
        real = Path(sys.executable).with_name("check_cqd_integration")
        script = f'#!/bin/sh\nexec {shlex.quote(str(real))} "$@" {shlex.join(words)}\n'
        self.path.write_text(script, encoding="utf-8")
        self.path.chmod(0o755)

    def by_hand(self, *options: str) -> Outcome:
        done = subprocess.run([self.path, *options], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return Outcome.printed(done.returncode, done.stdout)


def timeless(outcome: Outcome) -> Outcome:
    """The same, less the time that the portal took to answer."""
    took = r"(?<=response_time=)[0-9.]+|(?<=answered in )[0-9.]+"
    state, *texts = outcome
    return Outcome(state, *(re.sub(took, "0.001", text) for text in texts))


def in_nagios(outcome: Outcome) -> Outcome:
    """The same as Nagios keeps it: with colons for the semicolons of the first line's text."""
    return timeless(outcome._replace(output=outcome.output.replace(";", ":")))


def example_of_readme(macros: dict[str, object]) -> str:
    """The host, service and command of the front page, with a password file of our own."""
    text = (ROOT / "README.md").read_text("utf-8")
    [example] = re.findall("^```nagios\n(.*?)^```", text, re.M | re.S)
    assert example.count("/etc/cqd/password") == 1
    return str(example).replace("/etc/cqd/password", str(macros["USER12"]))


def settings_for_a_graph(directory: Path) -> str:
    """The settings that contrib's README has for a graph, with a file of our own."""
    readme = (CONTRIB / "README.md").read_text("utf-8")
    settings = readme.partition("```\n")[2].partition("```")[0]
    assert "=/var/lib/nagios4/service-perfdata\n" in settings
    return settings.replace("/var/lib/nagios4", str(directory))


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    missing = missing_program()
    if missing:
        pytest.skip(f"{missing} is not installed")
    # Not pytest's, which it would keep.
    with tempfile.TemporaryDirectory(prefix="nagios-lab-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def plugin(directory: Path) -> Iterator[Plugin]:
    (directory / "plugins").mkdir()
    with PortalSimulator(clock=lambda: NOW, zone=ZoneInfo(ZONE)) as portal:
        plugin = Plugin(directory / "plugins", portal)
        yield plugin
        plugin.close()


@pytest.fixture(scope="module")
def nrpe(directory: Path, plugin: Plugin) -> Iterator[Nrpe]:
    commands = (CONTRIB / "nrpe.cfg").read_text("utf-8")
    assert f"={INSTALLED} " in commands
    with running_nrpe(directory, commands.replace(INSTALLED, str(plugin.path))) as nrpe:
        yield nrpe


@pytest.fixture(scope="module")
def macros(directory: Path, plugin: Plugin) -> dict[str, object]:
    password_file = directory / "password"
    password_file.write_text(PASSWORD + "\n", encoding="utf-8")
    password_file.chmod(0o600)
    return {
        "USER1": plugin.path.parent,
        "USER11": USERNAME,
        "USER12": password_file,
        "USER13": directory / "svc-cqd.keytab",
    }


@pytest.fixture(scope="module")
def nagios(
    directory: Path, plugin: Plugin, nrpe: Nrpe, macros: dict[str, object]
) -> Iterator[Nagios]:
    check_nrpe = plugin.path.with_name("check_nrpe")
    check_nrpe.write_text(f'#!/bin/sh\nexec {CHECK_NRPE} "$@" -H 127.0.0.1 -p {nrpe.port}\n')
    check_nrpe.chmod(0o755)
    more = directory / "more.cfg"
    more.write_text(MORE_SERVICES + example_of_readme(macros), encoding="utf-8")
    objects = (CONTRIB / "cqd_integration.cfg", more)
    with running_nagios(directory, objects, macros, settings_for_a_graph(directory)) as nagios:
        yield nagios


def test_nagios_finds_nothing_to_warn_of(directory: Path, macros: dict[str, object]) -> None:
    own = directory / "verified"
    own.mkdir()
    example = own / "readme.cfg"
    example.write_text(example_of_readme(macros), encoding="utf-8")
    objects = (CONTRIB / "cqd_integration.cfg", example)
    main_file = write_nagios_configuration(own, objects, macros)
    verdict = verify(main_file)
    assert "Total Warnings: 0\nTotal Errors:   0\n" in verdict, verdict


@EVERY_STATE
def test_nagios_knows_what_the_plugin_prints(
    nagios: Nagios, plugin: Plugin, scenario: str, state: int
) -> None:
    plugin.play(scenario)
    outcome = timeless(nagios.check("cqd-portal", "CQD"))
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED))
    assert outcome.state == state
    assert outcome._replace(long_output="") == in_nagios(plugin.by_hand("--timezone", ZONE))
    assert outcome.long_output.count("\n[") >= 1
    assert bool(outcome.perfdata) == (scenario not in ("disabled", "unreachable"))


def test_example_of_readme(nagios: Nagios, plugin: Plugin, macros: dict[str, object]) -> None:
    plugin.play("healthy")
    outcome = timeless(nagios.check("portal.example.com", "CQD"))
    login = ("-l", "svc-cqd@EXAMPLE.COM", "--password-file", str(macros["USER12"]))
    expected = plugin.by_hand("-v", "-H", "portal.example.com", "--timezone", ZONE, *login)
    assert outcome == in_nagios(expected)
    assert outcome.state == 0


@pytest.mark.parametrize("stage", ["integration", "cube"])
def test_nagios_checks_one_stage(nagios: Nagios, plugin: Plugin, stage: str) -> None:
    plugin.play("failing")
    limits = {"integration": ("-w", "45m", "-c", "90m"), "cube": ("-w", "2h", "-c", "4h")}[stage]
    outcome = timeless(nagios.check("cqd-portal", f"CQD {stage}"))
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED, "--stage", stage, *limits))
    assert outcome.state == {"integration": 0, "cube": 2}[stage]


def test_nagios_logs_in_with_the_password_file(
    nagios: Nagios, plugin: Plugin, macros: dict[str, object]
) -> None:
    plugin.play("basic", "--insecure")  # there is no TLS here
    outcome = timeless(nagios.check("cqd-portal", "CQD with password"))
    login = ("--username", USERNAME, "--password-file", str(macros["USER12"]))
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED, *login))
    assert outcome.state == 0


def test_nagios_logs_in_with_the_password_file_by_kerberos(
    nagios: Nagios, plugin: Plugin, macros: dict[str, object]
) -> None:
    plugin.play("http-401")
    outcome = nagios.check("cqd-portal", "CQD with password by Kerberos")
    login = ("--username", USERNAME, "--password-file", str(macros["USER12"]), "--auth", "kerberos")
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED, *login))
    assert f"as {USERNAME}: " in outcome.output


def test_more_options_of_a_service_arrive(nagios: Nagios, plugin: Plugin) -> None:
    """The example's own, which say what the laboratory does; and one that shows."""
    plugin.play("failing")
    plain = nagios.check("cqd-portal", "CQD over plain HTTP")
    assert timeless(plain) == in_nagios(plugin.by_hand(*SHIPPED))
    assert plain.state == 2
    outcome = timeless(nagios.check("cqd-portal", "more"))
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED, "--stage", "cube", "-t", "9"))
    assert outcome.state == 2


def test_nagios_logs_in_with_the_key_table(
    nagios: Nagios, plugin: Plugin, macros: dict[str, object]
) -> None:
    plugin.play("http-401")
    outcome = nagios.check("cqd-portal", "CQD with keytab")
    login = ("--username", USERNAME, "--keytab", str(macros["USER13"]))
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED, *login))
    assert f"as {USERNAME}: --keytab {macros['USER13']}: " in outcome.output


def test_limits_of_a_service_arrive(nagios: Nagios, plugin: Plugin) -> None:
    plugin.play("healthy")
    outcome = timeless(nagios.check("cqd-portal", "limits"))
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED, "-w", "1m", "-c", "~:2m"))
    assert ";60;~:120;" in outcome.perfdata


def test_no_shell_touches_an_argument(nagios: Nagios, plugin: Plugin) -> None:
    plugin.play("healthy")
    outcome = nagios.check("cqd-portal", "nasty")
    assert outcome == in_nagios(plugin.by_hand("--timezone", NASTY))
    assert outcome.state == 3


def test_a_grapher_finds_the_perfdata(nagios: Nagios, plugin: Plugin, directory: Path) -> None:
    plugin.play("late")
    perfdata = nagios.check("cqd-portal", "CQD").perfdata
    file = directory / "service-perfdata"
    wait_until(lambda: f"\tSERVICEPERFDATA::{perfdata}\t" in file.read_text("utf-8"))


@EVERY_STATE
def test_nrpe_passes_what_the_plugin_prints(
    nrpe: Nrpe, plugin: Plugin, scenario: str, state: int
) -> None:
    plugin.play(scenario)
    outcome = timeless(nrpe.check("check_cqd_integration"))
    assert outcome == timeless(plugin.by_hand(*SHIPPED))
    assert outcome.state == state


def test_nagios_asks_nrpe(nagios: Nagios, plugin: Plugin) -> None:
    plugin.play("failing")
    outcome = timeless(nagios.check("cqd-portal", "CQD by NRPE"))
    assert outcome == in_nagios(plugin.by_hand(*SHIPPED))
    assert outcome.state == 2
