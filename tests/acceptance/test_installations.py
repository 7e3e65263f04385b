"""Each installation logs in by NTLM and by Kerberos: by itself, or after what it says.

The installations are real, and so is each command that a message tells: it is entered as it was
told, and the check is run again. All of it is done on a copy of this machine (throwaway.py).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from expected import item
from portal_simulator import STATUS_PATH
from throwaway import Machine, Throwaway
from windows_login_lab import PASSWORDS, WindowsLoginLab

from check_cqd_integration import __version__

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root can have a copy of this machine"),
    pytest.mark.skipif(not shutil.which("pipx"), reason="pipx is not installed"),
]

NAME = "check_cqd_integration"
REPLAY = ("--now", "2015-01-18T15:31:00Z", "--timezone", "America/New_York")
VENV = "/opt/check_cqd_integration"
PIPX = "PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx"
OF_APT = [
    ("kerberos", ["apt install python3-gssapi"]),
    ("ntlm", ["apt install python3-gssapi gss-ntlmssp"]),
]
INSTALLATIONS: dict[str, tuple[str, list[tuple[str, list[str]]]]] = {
    "venv": (
        f"python3 -m venv {VENV} && {VENV}/bin/pip install --quiet {{wheel}} && "
        f"ln -s {VENV}/bin/{NAME} /usr/local/bin/ && {VENV}/bin/pip uninstall --yes pyspnego",
        [
            ("ntlm", [f"{VENV}/bin/pip install pyspnego"]),
            (
                "kerberos",
                ["apt install python3-gssapi", f"sed -i s/false/true/ {VENV}/pyvenv.cfg"],
            ),
        ],
    ),
    "pipx": (
        f"{PIPX} install {{wheel}} && {PIPX} runpip check-cqd-integration uninstall --yes pyspnego",
        [
            ("ntlm", ["PIPX_HOME=/opt/pipx pipx inject check-cqd-integration pyspnego"]),
            (
                "kerberos",
                [
                    "apt install python3-gssapi",
                    "sed -i s/false/true/ /opt/pipx/venvs/check-cqd-integration/pyvenv.cfg",
                ],
            ),
        ],
    ),
    "file": (f"install -m 755 {{file}} /usr/local/bin/{NAME}", OF_APT),
    "debian": ("apt install --no-install-recommends {package}", OF_APT),
}
"""How it comes to lack everything, and what it tells then for each login."""

GSSAPI = "python3-gssapi gss-ntlmssp"
LINES = {
    "pip": (
        f"apt install python3-venv {GSSAPI} && python3 -m venv --system-site-packages {VENV} && "
        f"{VENV}/bin/pip install --upgrade {{wheel}} && ln -sf {VENV}/bin/{NAME} /usr/local/bin/"
    ),
    "pipx": f"apt install pipx {GSSAPI} && {PIPX} install --force --system-site-packages {{wheel}}",
}
"""What installs the plugin and all that a login needs, and upgrades it as well."""

OLD_LINES = {
    "pip": (
        f"python3 -m venv {VENV} && {VENV}/bin/pip install {{wheel}} && "
        f"ln -s {VENV}/bin/{NAME} /usr/local/bin/"
    ),
    "pipx": f"{PIPX} install {{wheel}}",
}


@pytest.fixture(scope="module")
def without_libraries() -> Iterator[Throwaway]:
    """This machine, less what it has for logins, and with an apt that does not ask back."""
    # Not pytest's, to which nobody else has access: apt has a user of its own.
    with tempfile.TemporaryDirectory() as place, Throwaway(Path(place)) as machine:
        machine.call(
            "echo 'APT::Get::Assume-Yes \"true\";' >/etc/apt/apt.conf.d/99assume-yes && "
            "rm -f /var/lib/man-db/auto-update && apt-get update -qq && "
            f"dpkg --remove --force-depends {GSSAPI} && dpkg --force-depends --purge gss-ntlmssp"
        )
        yield machine


@pytest.fixture
def machine(without_libraries: Throwaway) -> Iterator[Machine]:
    with without_libraries.copy() as machine:
        yield machine


def files(dist: Path) -> dict[str, Path]:
    patterns = {"wheel": "*.whl", "file": "*.pyz", "package": "*.deb"}
    return {name: next(dist.glob(pattern)) for name, pattern in patterns.items()}


def logs_in_after(machine: Machine, lab: WindowsLoginLab, scheme: str) -> list[str]:
    """Log in, and enter what each message tells, until the portal is read; return what was."""
    entered: list[str] = []
    login = {
        "kerberos": ("-l", "monitor@CQD.TEST", "--keytab", str(lab.keytab)),
        "ntlm": ("-l", r"CQD\monitor", "--auth", "ntlm"),
    }[scheme]
    while True:
        acceptor = lab.acceptor(extended_protection="require")
        password = {"CQD_PASSWORD": PASSWORDS["monitor"]} if scheme == "ntlm" else {}
        done = machine.run(
            *(NAME, "-u", acceptor.url + STATUS_PATH, *REPLAY, *login),
            *("--ca-file", str(lab.ca_file)),
            environment={**lab.environment, **password},
        )
        assert done.stderr == ""
        if f" {item('integration_streak', 0)}" in done.stdout:
            assert done.returncode == 2  # as the answer of 2015 is
            logins = [(each["login"], each["bound"]) for each in acceptor.logins()]
            assert logins == [("granted", True)]
            return entered
        words = {"kerberos": "Kerberos", "ntlm": "NTLM"}[scheme]
        told = re.fullmatch(
            f"CQD UNKNOWN - a login by {words} needs a library that this installation lacks: "
            "(.*)\n",
            done.stdout,
        )
        assert told, done.stdout
        assert told[1] not in entered
        entered.append(told[1])
        machine.call(told[1])


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_command_that_is_told_brings_what_is_missing(
    machine: Machine, lab: WindowsLoginLab, dist: Path, installation: str
) -> None:
    line, commands = INSTALLATIONS[installation]
    machine.call(line.format(**files(dist)))
    for scheme, told in commands:
        assert logs_in_after(machine, lab, scheme) == told
    assert logs_in_after(machine, lab, commands[0][0]) == []


@pytest.mark.parametrize("tool", LINES)
def test_one_line_installs_and_upgrades_to_both_logins(
    machine: Machine, lab: WindowsLoginLab, dist: Path, tmp_path: Path, tool: str
) -> None:
    """From a version that had no NTLM; an upgrade begins with nothing of it, as does the first."""
    wheel = files(dist)["wheel"]
    machine.call(OLD_LINES[tool].format(wheel=old_version(wheel, tmp_path)))
    assert machine.run(NAME, "--version").stdout == f"{NAME} 0.0.9\n"
    machine.call(LINES[tool].format(wheel=wheel))
    assert machine.run(NAME, "--version").stdout == f"{NAME} {__version__}\n"
    for scheme in ("ntlm", "kerberos"):
        assert logs_in_after(machine, lab, scheme) == []


def old_version(wheel: Path, folder: Path) -> Path:
    """The same, as 0.0.9, which did not need pyspnego."""
    path = folder / wheel.name.replace(__version__, "0.0.9")
    with zipfile.ZipFile(wheel) as archive, zipfile.ZipFile(path, "w") as old:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(("/METADATA", f"{NAME}/__init__.py")):
                content = content.replace(__version__.encode(), b"0.0.9")
                content = re.sub(rb"Requires-Dist: pyspnego.*\n", b"", content)
            if not name.endswith("/RECORD"):
                old.writestr(name.replace(f"-{__version__}.", "-0.0.9."), content)
        old.writestr(f"{NAME}-0.0.9.dist-info/RECORD", "")
    return path
