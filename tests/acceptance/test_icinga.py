"""Icinga 2 executes the plugin with the shipped configuration, and knows what the plugin says."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import cycle
from pathlib import Path

import pytest
from icinga_lab import Authority, Icinga, Result, missing_program, processes
from portal_simulator import PASSWORD, STATUS_PATH, USERNAME, PortalSimulator

from check_cqd_integration.options import build_parser

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
SHIPPED = ROOT / "contrib" / "icinga"
COMMAND, SERVICES, AGENT_HOST = (
    SHIPPED / name for name in ("cqd_integration.conf", "cqd_services.conf", "agent.conf")
)
AGENT = "agent.example.com"  # as in agent.conf
NOW = datetime(2026, 11, 24, 9, 7, tzinfo=timezone.utc)
AT_NOW = {"now": NOW.isoformat(), "timezone": "UTC"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    missing = missing_program()
    if missing:
        pytest.skip(f"{missing} is not installed")
    with tempfile.TemporaryDirectory(prefix="icinga-lab-") as place:
        yield Path(place)
        assert processes(place) == []


@pytest.fixture(scope="module")
def plugin(directory: Path) -> Path:
    """The plugin where Icinga looks for it."""
    (directory / "plugins").mkdir()
    link = directory / "plugins" / "check_cqd_integration"
    link.symlink_to(Path(sys.executable).with_name("check_cqd_integration"))
    return link


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    return Authority(directory)


@pytest.fixture(scope="module")
def clock(directory: Path) -> Path:
    """What the clocks of master and agent are ahead."""
    file = directory / "clock"
    file.write_text("+0")
    return file


@pytest.fixture(scope="module")
def icinga(directory: Path, plugin: Path, authority: Authority, clock: Path) -> Iterator[Icinga]:
    """The master of a distributed Icinga, with the shipped files where its README puts them."""
    master = Icinga(
        directory / "master",
        "master",
        plugins=plugin.parent,
        authority=authority,
        configuration=f'''
            object Endpoint "{AGENT}" {{ }}
            object Zone "{AGENT}" {{ endpoints = [ "{AGENT}" ]; parent = "master" }}
        ''',
        zones={"global-templates": [COMMAND], "master": [SERVICES, AGENT_HOST]},
        clock=clock,
    )
    with master:
        yield master


@pytest.fixture(scope="module")
def portal() -> Iterator[PortalSimulator]:
    with PortalSimulator(clock=lambda: NOW, zone=timezone.utc) as simulator:
        yield simulator


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:  # kept from others, but nobody listens
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A host's name that no other test has."""
    return re.sub(r"\W+", "-", request.node.name).strip("-")


@contextmanager
def connected(agent: Icinga, master: Icinga) -> Iterator[None]:
    """The agent runs and has a connection to its master; afterwards it is gone without a trace."""
    with agent:
        agent.wait_for(lambda: agent.is_connected(master.name), "its master")
        master.wait_for(lambda: master.is_connected(agent.name), "its agent")
        yield
    assert processes(str(agent.directory)) == []
    master.wait_for(lambda: not master.is_connected(agent.name), "its agent to be gone")


def variables(options: Mapping[str, object]) -> dict[str, object]:
    """Return the variables that give the command these options."""
    return {f"cqd_integration_{key.replace('-', '_')}": value for key, value in options.items()}


def by_hand(
    plugin: Path, options: Mapping[str, object], *switches: str, **environment: str
) -> Result:
    """Run the plugin with these options, as a person does, and read what it says as Icinga does."""
    arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    done = subprocess.run(
        [plugin, *arguments, *switches],
        env=environment,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    first_line, *others = done.stdout.splitlines()
    text, _, performance_data = first_line.partition("|")
    return Result(
        state=done.returncode,
        output="\n".join([text, *others]),
        performance_data=performance_data.split(),
        command=[],
        check_source="",
    )


def parsed_by_hand(item: str) -> dict[str, object]:
    """Return what Icinga is to read in one item. It knows no ranges."""
    label, _, rest = item.partition("=")
    value, *limits = rest.split(";")
    warn, crit, low, high = (
        float(text) if re.fullmatch("-?[0-9.]+", text) else None
        for text in [*limits, "", "", "", ""][:4]
    )
    return {
        "type": "PerfdataValue",
        "label": label,
        "value": float(value.rstrip("s")),
        "unit": "seconds" if value.endswith("s") else "",
        "counter": False,
        "warn": warn,
        "crit": crit,
        "min": low,
        "max": high,
    }


def told(result: Result) -> tuple[int, str, list[str]]:
    """Return what must be equal: without the command, and with one response time."""

    def same(text: str) -> str:
        return re.sub(r"[0-9]+\.[0-9]{3}s", "0.001s", text)

    return result.state, same(result.output), [same(item) for item in result.performance_data]


def test_shipped_files_are_accepted_without_a_warning(icinga: Icinga) -> None:
    said = icinga.validate()
    assert "Finished validating the configuration file(s)." in said
    assert [line for line in said.splitlines() if "information/" not in line] == []
    assert "Instantiated 5 Services." in said


def test_shipped_files_are_accepted_in_conf_d(
    directory: Path, plugin: Path, authority: Authority
) -> None:
    """And so is the example of README.md."""
    examples = re.findall(
        r"^ *```icinga2\n(.*?)^ *```", README.read_text(encoding="utf-8"), re.M | re.S
    )
    icinga = Icinga(
        directory / "single",
        "single",
        plugins=plugin.parent,
        authority=authority,
        configuration="\n".join([f'include "{COMMAND}"', f'include "{SERVICES}"', *examples]),
    )
    said = icinga.validate()
    assert "Finished validating the configuration file(s)." in said
    assert [line for line in said.splitlines() if "information/" not in line] == []
    assert len(examples) == 1
    assert "Instantiated 5 Services." in said


@pytest.mark.parametrize(
    ("state", "scenario", "verbosity"),
    [
        pytest.param(0, "healthy", 0, id="ok-healthy"),
        pytest.param(1, "recovered", 0, id="warning-recovered"),
        pytest.param(2, "failing", 0, id="critical-failing"),
        pytest.param(3, "disabled", 0, id="unknown-disabled"),
        pytest.param(1, "recovered", 1, id="warning-with-v"),
        pytest.param(2, "failing", 2, id="critical-with-vv"),
        pytest.param(0, "healthy", 3, id="ok-with-vvv"),
    ],
)
def test_icinga_knows_what_the_plugin_says(
    icinga: Icinga,
    plugin: Path,
    portal: PortalSimulator,
    name: str,
    state: int,
    scenario: str,
    verbosity: int,
) -> None:
    options = {"url": f"{portal.url}/{scenario}{STATUS_PATH}", **AT_NOW}
    icinga.create_host(
        name, {"cqd_portals": {"portal": variables({**options, "verbose": verbosity})}}
    )
    result = icinga.check(f"{name}!cqd-portal")
    expected = by_hand(plugin, options, *["-v"] * verbosity)
    assert told(result) == told(expected)
    assert result.state == state
    assert len(result.output.splitlines()) > verbosity
    for item in result.performance_data:
        assert icinga.parse_performance_data(item) == parsed_by_hand(item)
    icinga.wait_for(lambda: bool(icinga.written_performance_data(name)), "its PerfdataWriter")
    [written] = icinga.written_performance_data(name)
    assert written.split() == result.performance_data
    assert bool(written) == (state != 3)


def test_unreachable_portal(icinga: Icinga, plugin: Path, closed_port: int, name: str) -> None:
    options = {"hostname": "127.0.0.1", "port": closed_port}
    config = {**variables(options), "cqd_integration_http": True, "cqd_integration_verbose": 0}
    icinga.create_host(name, {"cqd_portals": {"portal": config}})
    result = icinga.check(f"{name}!cqd-portal")
    assert told(result) == told(by_hand(plugin, options, "--http"))
    assert result.state == 2
    assert "connection refused" in result.output


def test_services_for_each_portal_and_for_each_stage(
    icinga: Icinga, portal: PortalSimulator, name: str
) -> None:
    """The templates and apply rules of cqd_services.conf, as they are shipped."""

    def playing(scenario: str) -> dict[str, object]:
        return variables({"url": f"{portal.url}/{scenario}{STATUS_PATH}", **AT_NOW})

    portals = {"good": playing("healthy"), "bad": playing("failing")}
    icinga.create_host(name, {"cqd_portals": portals, "cqd_by_stage": playing("failing")})
    results = {
        service: icinga.check(f"{name}!cqd-{service}")
        for service in ("good", "bad", "integration", "cube")
    }
    states = {service: result.state for service, result in results.items()}
    assert states == {"good": 0, "bad": 2, "integration": 0, "cube": 2}
    assert "[OK] integration: " in results["bad"].output
    assert not any("cube" in item for item in results["integration"].performance_data)


def test_password_shows_nowhere(icinga: Icinga, name: str) -> None:
    with PortalSimulator() as portal:
        login = {"username": USERNAME, "password": PASSWORD, "insecure": True}
        portals = {
            scenario: variables({"url": f"{portal.url}/{scenario}{STATUS_PATH}", **login})
            for scenario in ("basic", "silent")
        }
        icinga.create_host(name, {"cqd_portals": portals})
        result = icinga.check(f"{name}!cqd-basic")
        assert result.state == 0  # so the password came through
        assert PASSWORD not in str(result)

        portal.requests.clear()
        has_ended = icinga.request_check(f"{name}!cqd-silent")
        icinga.wait_for(lambda: bool(portal.requests), "the plugin to ask the portal")
        [waiting] = processes(f"{portal.url}/silent{STATUS_PATH}")
        assert processes(PASSWORD) == []
        environment = Path(f"/proc/{waiting}/environ").read_bytes().split(b"\0")
        assert f"CQD_PASSWORD={PASSWORD}".encode() in environment
    icinga.wait_for(has_ended, "the plugin to end")
    result = icinga.result(f"{name}!cqd-silent")
    assert result.state == 2
    assert PASSWORD not in str(result)


NASTY = [
    "two words",
    'it\'s "quoted"',
    "`id`",
    "$$HOME",
    "$$(id)",
    "a;b|c&d>e",
    "\\back\\",
    "ü€",
    "",
]


@pytest.fixture
def echo(plugin: Path) -> Iterator[Path]:
    """In place of the plugin: what writes its arguments and password into this file."""
    original = plugin.readlink()
    told = plugin.with_name("echo.json")
    plugin.unlink()
    plugin.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"with open({str(told)!r}, 'w', encoding='utf-8') as file:\n"
        "    json.dump([sys.argv[1:], os.environ.get('CQD_PASSWORD')], file)\n"
    )
    plugin.chmod(0o755)
    yield told
    told.unlink(missing_ok=True)  # else the next test could read it
    plugin.unlink()
    plugin.symlink_to(original)


@pytest.mark.parametrize("shift", range(len(NASTY)))
def test_every_value_arrives_whole(icinga: Icinga, echo: Path, name: str, shift: int) -> None:
    values = NASTY[shift:] + NASTY[:shift]
    given: dict[str, str] = {}
    switches = []
    for action, value in zip(build_parser()._actions, cycle(values)):
        option = action.option_strings[-1]
        if action.metavar:
            given[option] = value
        elif option not in ("--verbose", "--version", "--help"):
            switches.append(option)
    config = {
        **variables({option[2:]: value for option, value in given.items()}),
        **variables({option[2:]: True for option in switches}),
        **variables({"verbose": 3, "password": values[0]}),
    }
    icinga.create_host(name, {"cqd_portals": {"portal": config}})
    icinga.check(f"{name}!cqd-portal")

    arguments, password = json.loads(echo.read_text(encoding="utf-8"))
    assert password == values[0].replace("$$", "$")
    for option, value in given.items():  # in any order
        place = arguments.index(option)
        assert arguments[place : place + 2] == [option, value.replace("$$", "$")]
        del arguments[place : place + 2]
    assert sorted(arguments) == sorted([*switches, "-vvv"])


@pytest.mark.parametrize(
    ("verbose", "passed"),
    [
        *[(False, []), (0, []), ("", []), ("0", [])],
        *[(True, ["-v"]), (1, ["-v"]), (2, ["-vv"]), (3, ["-vvv"]), (4, ["-vvv"]), ("2", ["-vv"])],
    ],
)
def test_only_the_verbosity_is_set(
    icinga: Icinga, echo: Path, name: str, verbose: object, passed: list[str]
) -> None:
    icinga.create_host(name, {"cqd_portals": {"portal": variables({"verbose": verbose})}})
    icinga.check(f"{name}!cqd-portal")
    arguments, password = json.loads(echo.read_text(encoding="utf-8"))
    assert sorted(arguments) == sorted(["--timeout", "10", *passed])
    assert password == ""


def test_check_on_an_agent(
    icinga: Icinga,
    directory: Path,
    plugin: Path,
    authority: Authority,
    clock: Path,
    portal: PortalSimulator,
    name: str,
) -> None:
    agent = Icinga(
        directory / "agent",
        AGENT,
        plugins=plugin.parent,
        authority=authority,
        parent=icinga,
        clock=clock,
    )
    options = {"url": f"{portal.url}/basic{STATUS_PATH}", "username": USERNAME, **AT_NOW}
    login = {"insecure": True, "password": PASSWORD, "verbose": 2}
    config = {"portal": variables({**options, **login})}
    icinga.create_host(name, {"cqd_endpoint": AGENT, "cqd_portals": config})
    expected = by_hand(plugin, options, "--insecure", "-vv", CQD_PASSWORD=PASSWORD)

    with agent:  # which restarts by itself for the new files
        agent.wait_for(lambda: agent.has("checkcommands", "cqd_integration"), "the master's files")
    icinga.wait_for(lambda: not icinga.is_connected(AGENT), "the agent to be gone")

    with connected(agent, icinga):
        result = icinga.check(f"{name}!cqd-portal")
        assert told(result) == told(expected)
        assert (result.state, result.check_source) == (0, AGENT)
        assert PASSWORD not in str(result)

    clock.write_text("+301")  # in its first five minutes, a master waits for its agents
    result = icinga.check(f"{name}!cqd-portal")
    assert (result.state, result.output) == (
        3,
        f"Remote Icinga instance '{AGENT}' is not connected to 'master'",
    )

    with connected(agent, icinga):
        result = icinga.check(f"{name}!cqd-portal")
        assert told(result) == told(expected)
        assert (result.state, result.check_source) == (0, AGENT)
