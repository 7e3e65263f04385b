"""Icinga reads the files of contrib/windows, and runs pip's .exe where it takes itself for Windows.

An Icinga of Windows is not here. What it is told of its system is a constant, PlatformKernel, which
is replaced in the file here.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from icinga_lab import Authority, Icinga, missing_program, processes
from portal_simulator import PortalSimulator

SHIPPED = Path(__file__).parents[2] / "contrib"
COMMAND, SERVICES, WINDOWS = (
    SHIPPED / name
    for name in ("icinga/cqd_integration.conf", "icinga/cqd_services.conf", "windows/services.conf")
)
AGENT = "cqd-server.example.com"  # as in windows/services.conf
NOW = datetime(2026, 11, 24, 9, 7, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    missing = missing_program()
    if missing:
        pytest.skip(f"{missing} is not installed")
    with tempfile.TemporaryDirectory(prefix="icinga-windows-") as place:
        yield Path(place)
        assert processes(place) == []


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    return Authority(directory)


def test_shipped_files_are_accepted_without_a_warning(
    directory: Path, authority: Authority
) -> None:
    agent = f"""
        object Endpoint "{AGENT}" {{ }}
        object Zone "{AGENT}" {{ endpoints = [ "{AGENT}" ]; parent = "master" }}
    """
    master = Icinga(
        directory / "master",
        "master",
        plugins=directory,
        authority=authority,
        configuration=agent,
        zones={"global-templates": [COMMAND], "master": [SERVICES, WINDOWS]},
    )
    said = master.validate()
    assert "Finished validating the configuration file(s)." in said
    assert [line for line in said.splitlines() if "information/" not in line] == []
    assert "Instantiated 5 Services." in said


@pytest.mark.parametrize(("kernel", "ending"), [("Windows", ".exe"), ("Linux", "")])
def test_command_of_the_platform(
    directory: Path, authority: Authority, kernel: str, ending: str
) -> None:
    plugins = directory / f"plugins-{kernel}"
    plugins.mkdir()
    plugin = plugins / f"check_cqd_integration{ending}"
    plugin.symlink_to(Path(sys.executable).with_name("check_cqd_integration"))
    text = COMMAND.read_text(encoding="utf-8")
    assert text.count("PlatformKernel") == 1
    command = directory / f"{kernel}.conf"
    command.write_text(text.replace("PlatformKernel", f'"{kernel}"'), encoding="utf-8")
    icinga = Icinga(
        directory / kernel,
        kernel.lower(),
        plugins=plugins,
        authority=authority,
        configuration=f'include "{command}"\ninclude "{SERVICES}"',
    )
    with icinga, PortalSimulator(clock=lambda: NOW, zone=timezone.utc) as portal:
        config = {
            "cqd_integration_hostname": "127.0.0.1",
            "cqd_integration_port": portal.port,
            "cqd_integration_http": True,
            "cqd_integration_timezone": "UTC",
            "cqd_integration_now": NOW.isoformat(),
        }
        icinga.create_host("server", {"cqd_portals": {"portal": config}})
        result = icinga.check("server!cqd-portal")
    assert (result.state, result.command[0]) == (0, str(plugin))
    assert result.output.startswith("CQD OK - integration: last success 6m 20s ago / cube: ")
