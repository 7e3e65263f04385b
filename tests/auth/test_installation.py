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
MINOR = f"python3.{sys.version_info.minor}"
SITE_PACKAGES = f"/usr/lib64/{MINOR}/site-packages"
DEBIAN_PYTHON = ("/usr", "/usr", "/usr/bin/python3")
APT, DNF = "/usr/bin/apt", "/usr/bin/dnf"
COMPILER = ("/usr/bin/gcc", "/usr/bin/krb5-config")


def installed(
    monkeypatch: pytest.MonkeyPatch,
    python: tuple[str, str, str],
    *path: str,
    has: tuple[str, ...] = (),
    default: str = MINOR,
) -> None:
    """Be a Python by its prefix, that of its base and its executable, on a host that has files.

    ``default``: what the distribution's own is called.
    """
    for name, value in zip(("prefix", "base_prefix", "executable"), python):
        monkeypatch.setattr(sys, name, value)
    monkeypatch.setattr(sys, "path", list(path))
    real = Path.exists
    monkeypatch.setattr(
        f"{installation.__name__}.os.path.exists",
        lambda path: path in has if path.startswith("/usr/") else real(Path(path)),
    )
    monkeypatch.setattr(
        f"{installation.__name__}.os.path.realpath",
        lambda path: {"/usr/bin/python3": f"/usr/bin/{default}"}[path],
    )


@pytest.mark.parametrize(
    "first", ["/usr/share/check-cqd-integration", "/usr/lib/nagios/plugins/check_cqd_integration"]
)
def test_debian_package_and_single_file(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    installed(monkeypatch, DEBIAN_PYTHON, first, DIST_PACKAGES, has=(APT,))
    assert command_for("kerberos") == "apt install python3-gssapi"
    assert command_for("ntlm") == "apt install python3-gssapi gss-ntlmssp"


def test_single_file_where_no_package_for_python_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, DEBIAN_PYTHON, "/opt/cqd.pyz", has=(APT,))
    assert command_for("kerberos") == "apt install python3-gssapi"


def test_single_file_on_red_hat(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ("/opt/check_cqd_integration.pyz", SITE_PACKAGES)
    installed(monkeypatch, DEBIAN_PYTHON, *path, has=(DNF,))
    assert command_for("kerberos") == "dnf install python3-gssapi"
    assert command_for("ntlm") == "dnf install python3-gssapi gssntlmssp"


def test_single_file_with_another_python_of_red_hat(monkeypatch: pytest.MonkeyPatch) -> None:
    """For which there is no package: gssapi is compiled, once there is what it takes."""
    python = ("/usr", "/usr", f"/usr/bin/{MINOR}")
    path = ("/opt/check_cqd_integration.pyz", SITE_PACKAGES)
    installed(monkeypatch, python, *path, has=(DNF,), default="python3.6")
    assert command_for("ntlm") == f"/usr/bin/{MINOR} -m pip install pyspnego"
    assert command_for("kerberos") == f"dnf install gcc krb5-devel {MINOR}-devel"
    installed(monkeypatch, python, *path, has=(DNF, *COMPILER), default="python3.6")
    assert command_for("kerberos") == f"/usr/bin/{MINOR} -m pip install gssapi"


@pytest.mark.parametrize("missing", COMPILER)
def test_single_file_with_a_python_of_its_own(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    python = ("/usr/local", "/usr/local", "/usr/local/bin/python3.13")
    path = ("/opt/check_cqd_integration.pyz", "/usr/local/lib/python3.13/site-packages")
    has_all = (APT, *COMPILER)
    installed(monkeypatch, python, *path, has=tuple(each for each in has_all if each != missing))
    assert command_for("ntlm") == "/usr/local/bin/python3.13 -m pip install pyspnego"
    assert command_for("kerberos") == "apt install gcc libkrb5-dev"
    installed(monkeypatch, python, *path, has=has_all)
    assert command_for("kerberos") == "/usr/local/bin/python3.13 -m pip install gssapi"


def test_system_python_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, DEBIAN_PYTHON, "/usr/lib/python3.12/site-packages")
    assert command_for("kerberos") == "/usr/bin/python3 -m pip install gssapi"


@pytest.mark.parametrize(
    ("tool", "modules", "command"),
    [
        (APT, DIST_PACKAGES, "apt install python3-gssapi"),
        (DNF, SITE_PACKAGES, "dnf install python3-gssapi"),
    ],
)
@pytest.mark.parametrize(
    ("prefix", "form"), [("/opt/cqd", "/opt/cqd/{}"), ("/opt/c q", '"/opt/c q/{}"')]
)
def test_virtual_environment(
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    modules: str,
    command: str,
    prefix: str,
    form: str,
) -> None:
    """It takes the distribution's gssapi, which nobody has to compile."""
    python = (prefix, "/usr", f"{prefix}/bin/python")
    path = f"{prefix}/lib/{MINOR}/site-packages"
    installed(monkeypatch, python, path, has=(tool,))
    assert command_for("ntlm") == f"{form.format('bin/pip')} install pyspnego"
    assert command_for("kerberos") == command
    installed(monkeypatch, python, path, has=(tool, f"{modules}/gssapi"))
    assert command_for("kerberos") == f"sed -i s/false/true/ {form.format('pyvenv.cfg')}"


def test_virtual_environment_of_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    python = ("/opt/cqd", "/usr/local", "/opt/cqd/bin/python")
    path = "/opt/cqd/lib/python3.13/site-packages"
    installed(monkeypatch, python, path, has=(APT, f"{DIST_PACKAGES}/gssapi"))
    assert command_for("kerberos") == "apt install gcc libkrb5-dev"
    installed(monkeypatch, python, path, has=(APT, *COMPILER))
    assert command_for("kerberos") == "/opt/cqd/bin/pip install gssapi"


@pytest.mark.parametrize(
    ("tool", "modules", "command", "more"),
    [
        (APT, DIST_PACKAGES, "apt install python3-gssapi", "gss-ntlmssp"),
        (DNF, SITE_PACKAGES, "dnf install python3-gssapi", "gssntlmssp"),
    ],
)
def test_virtual_environment_that_sees_what_the_system_has(
    monkeypatch: pytest.MonkeyPatch, tool: str, modules: str, command: str, more: str
) -> None:
    python = ("/opt/cqd", "/usr", "/opt/cqd/bin/python")
    installed(monkeypatch, python, f"/opt/cqd/lib/{MINOR}/site-packages", modules, has=(tool,))
    assert command_for("kerberos") == command
    assert command_for("ntlm") == f"{command} {more}"


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


def test_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "os", SimpleNamespace(name="nt", path=ntpath))
    installed(monkeypatch, (r"C:\Program Files\cqd", r"C:\Python", "unused"))
    assert command_for("ntlm") == r'"C:\Program Files\cqd\Scripts\pip.exe" install pyspnego'
    installed(monkeypatch, (r"C:\Python", r"C:\Python", r"C:\Python\python.exe"))
    assert command_for("ntlm") == r"C:\Python\python.exe -m pip install pyspnego"
    venv = tmp_path / "cqd"
    Path(rf"{venv}\pipx_metadata.json").touch()
    installed(monkeypatch, (str(venv), r"C:\Python", "unused"))
    assert command_for("ntlm") == "pipx inject cqd pyspnego"
