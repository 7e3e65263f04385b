"""The command that brings a library, for each kind of installation, as its Python shows it."""

from __future__ import annotations

import ntpath
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from check_cqd_integration.auth import installation
from check_cqd_integration.auth.installation import command_for

DIST_PACKAGES = "/usr/lib/python3/dist-packages"
DEBIAN_PYTHON = ("/usr", "/usr", "/usr/bin/python3")


def installed(
    monkeypatch: pytest.MonkeyPatch, python: tuple[str, str, str], *path: str, tool: str = ""
) -> None:
    """Be a Python by its prefix, that of its base and its executable, on a host with a tool."""
    for name, value in zip(("prefix", "base_prefix", "executable"), python):
        monkeypatch.setattr(sys, name, value)
    monkeypatch.setattr(sys, "path", list(path))
    real = Path.exists
    monkeypatch.setattr(
        f"{installation.__name__}.os.path.exists",
        lambda path: path == tool if path.startswith("/usr/bin/") else real(Path(path)),
    )


@pytest.mark.parametrize(
    "first", ["/usr/share/check-cqd-integration", "/usr/lib/nagios/plugins/check_cqd_integration"]
)
def test_debian_package_and_single_file(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    installed(monkeypatch, DEBIAN_PYTHON, first, DIST_PACKAGES, tool="/usr/bin/apt")
    assert command_for("kerberos") == "apt install python3-gssapi"
    assert command_for("ntlm") == "apt install python3-gssapi gss-ntlmssp"


def test_single_file_where_no_package_for_python_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, DEBIAN_PYTHON, "/opt/cqd.pyz", tool="/usr/bin/apt")
    assert command_for("kerberos") == "apt install python3-gssapi"


def test_single_file_on_red_hat(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ("/opt/check_cqd_integration.pyz", "/usr/lib64/python3.9/site-packages")
    installed(monkeypatch, DEBIAN_PYTHON, *path, tool="/usr/bin/dnf")
    assert command_for("kerberos") == "dnf install python3-gssapi"
    assert command_for("ntlm") == "dnf install python3-gssapi gssntlmssp"


def test_single_file_with_a_python_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    python = ("/usr/local", "/usr/local", "/usr/local/bin/python3.13")
    path = ("/opt/check_cqd_integration.pyz", "/usr/local/lib/python3.13/site-packages")
    installed(monkeypatch, python, *path, tool="/usr/bin/apt")
    assert command_for("ntlm") == "/usr/local/bin/python3.13 -m pip install pyspnego"


def test_system_python_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, DEBIAN_PYTHON, "/usr/lib/python3.12/site-packages")
    assert command_for("kerberos") == "/usr/bin/python3 -m pip install gssapi"


def test_virtual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    python = ("/opt/cqd", "/usr", "/opt/cqd/bin/python")
    installed(monkeypatch, python, "/opt/cqd/lib/python3.11/site-packages", tool="/usr/bin/apt")
    assert command_for("kerberos") == "/opt/cqd/bin/pip install gssapi"
    assert command_for("ntlm") == "/opt/cqd/bin/pip install pyspnego"


def test_virtual_environment_that_sees_what_the_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    python = ("/opt/cqd", "/usr", "/opt/cqd/bin/python")
    path = ("/opt/cqd/lib/python3.11/site-packages", DIST_PACKAGES)
    installed(monkeypatch, python, *path, tool="/usr/bin/apt")
    assert command_for("kerberos") == "apt install python3-gssapi"


@pytest.mark.parametrize(
    ("home", "pipx"),
    [
        ("opt/pipx", "PIPX_HOME={home} pipx"),
        (".local/share/pipx", "pipx"),
        (".local/pipx", "pipx"),
    ],
)
def test_pipx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str, pipx: str) -> None:
    place = tmp_path / home
    venv = place / "venvs" / "check-cqd-integration"
    venv.mkdir(parents=True)
    (venv / "pipx_metadata.json").touch()
    installed(monkeypatch, (str(venv), "/usr", f"{venv}/bin/python"), f"{venv}/lib/site-packages")
    expected = pipx.format(home=place)
    assert command_for("ntlm") == f"{expected} inject check-cqd-integration pyspnego"


def test_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "os", SimpleNamespace(name="nt", path=ntpath))
    installed(monkeypatch, (r"C:\Program Files\cqd", r"C:\Python", "unused"))
    assert command_for("ntlm") == r'"C:\Program Files\cqd\Scripts\pip.exe" install pyspnego'
    installed(monkeypatch, (r"C:\Python", r"C:\Python", r"C:\Python\python.exe"))
    assert command_for("ntlm") == r"C:\Python\python.exe -m pip install pyspnego"
