"""What `make dist` builds, installed and run as an administrator does, where nothing else is.

The package for Debian and the single file run in a minimal Debian, fresh from the mirror that this
machine uses, as a user who can write nowhere: no pip was ever there. The simulator answers from
outside: the tree has a root directory of its own, and this machine's network.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from expected import item
from nagios_lab import PATH, write_nagios_configuration
from portal_simulator import STATUS_PATH, PortalSimulator
from windows_login_lab import PASSWORDS, WindowsLoginLab

from check_cqd_integration import __version__

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "status-documented.txt"
REPLAY = ("--now", "2015-01-18T15:31:00Z", "--timezone", "America/New_York")
NAME = "check_cqd_integration"
PACKAGE = "check-cqd-integration"
PLUGIN = f"/usr/lib/nagios/plugins/{NAME}"
EXAMPLES = f"usr/share/doc/{PACKAGE}/examples"
NEEDED_PROGRAMS = ("dh", "dh_python3", "faketime", "lintian", "mmdebstrap", "nagios4", "pipx")
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PIPX", "MAKE", "MFLAGS"))
}
ENVIRONMENT["PATH"] = PATH
GENERATED = {
    "build/man": "usr/share/man/man1",
    "build/completion/bash": "usr/share/bash-completion/completions",
    "build/completion/zsh": "usr/share/zsh/vendor-completions",
    "build/completion/fish": "usr/share/fish/vendor_completions.d",
}

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root can make a tree of its own"),
    *(
        pytest.mark.skipif(
            not shutil.which(program, path=PATH), reason=f"{program} is not installed"
        )
        for program in NEEDED_PROGRAMS
    ),
]


class Outcome(NamedTuple):
    """What came of one run of the plugin."""

    code: int
    out: str
    err: str

    def is_replay(self) -> bool:
        return (self.code, self.err) == (2, "") and f" {item('integration_streak', 0)}" in self.out


def call(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Run a command that must succeed; return all it says."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def outcome(*command: str, **environment: str) -> Outcome:
    done = subprocess.run(
        command, env={**ENVIRONMENT, **environment}, capture_output=True, encoding="utf-8"
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory into which `make dist` built everything."""
    folder = tmp_path_factory.mktemp("dist")
    call("make", "dist", f"VENV={sys.prefix}", f"DIST={folder}", cwd=ROOT, CQD_NOTHING_SKIPPED="1")
    return folder


def only(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


def tracked() -> list[str]:
    listed = call("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return [name for name in listed.splitlines() if ROOT.joinpath(name).is_file()]


# --- the files ------------------------------------------------------------------------------------


def test_two_builds_are_the_same(dist: Path, tmp_path: Path) -> None:
    """Built again elsewhere, at another time, with another umask, zone, language and home."""
    copy, again = tmp_path / "elsewhere" / "copy", tmp_path / "again"
    call("git", "clone", "--quiet", ROOT, copy)
    generated = [
        str(path.relative_to(ROOT))
        for folder in GENERATED
        for path in ROOT.joinpath(folder).rglob("*")
        if path.is_file()
    ]
    for name in [*tracked(), *generated]:  # what is not committed yet is built, too
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    call(
        *("sh", "-c", 'umask 077; exec faketime "+26 hours" "$@"', "sh"),
        *(sys.executable, copy / "packages" / "dist.py", again),
        cwd=tmp_path,
        TZ="Pacific/Chatham",
        LC_ALL="C",
        HOME=str(tmp_path),
    )
    names = sorted(path.name for path in dist.iterdir())
    assert len(names) == 4
    assert sorted(path.name for path in again.iterdir()) == names
    assert filecmp.cmpfiles(dist, again, names, shallow=False) == (names, [], [])


def test_sdist_has_everything_but_what_is_for_git(dist: Path) -> None:
    with tarfile.open(only(dist, "*.tar.gz")) as archive:
        files = {member.name.split("/", 1)[1] for member in archive if member.isfile()}
    made = {"PKG-INFO"} | {name for name in files if name.startswith(f"{NAME}.egg-info/")}
    assert files - made == {name for name in tracked() if not name.startswith(".")}


def test_tests_pass_in_the_sdist(dist: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(only(dist, "*.tar.gz"), tmp_path)
    folder = tmp_path / f"{NAME}-{__version__}"
    told = call("make", "test", "PYTHON=/usr/bin/python3", cwd=folder)
    assert re.search(r"=== [0-9]+ passed in ", told)


def test_lintian_has_nothing_to_say(dist: Path) -> None:
    package = only(dist, "*.deb")
    assert package.name == f"{PACKAGE}_{__version__}_all.deb"
    assert call("lintian", "--allow-root", "--fail-on=error,warning", package) == ""


def test_debian_package_takes_along_what_logs_in(dist: Path) -> None:
    def field(name: str) -> str:
        return call("dpkg-deb", "--field", only(dist, "*.deb"), name).strip()

    assert field("Recommends") == "gss-ntlmssp, python3-gssapi"
    assert field("Suggests").endswith(", python3-pyspnego")


# --- with pip -------------------------------------------------------------------------------------


def logs_in_by_ntlm(lab: WindowsLoginLab, command: str) -> bool:
    acceptor = lab.acceptor(extended_protection="require")
    found = outcome(
        *(command, "-u", acceptor.url + STATUS_PATH, *REPLAY, "-l", r"CQD\monitor"),
        *("--auth", "ntlm", "--ca-file", str(lab.ca_file)),
        **lab.environment,
        CQD_PASSWORD=PASSWORDS["monitor"],
    )
    logins = [(each["login"], each["bound"]) for each in acceptor.logins()]
    return found.is_replay() and logins == [("granted", True)]


def test_wheel_with_pipx(lab: WindowsLoginLab, dist: Path, tmp_path: Path) -> None:
    binaries = tmp_path / "bin"
    places = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(binaries)}
    call("pipx", "install", only(dist, "*.whl"), cwd=tmp_path, **places)
    command = str(binaries / NAME)
    assert outcome(command, "--version") == (3, f"{NAME} {__version__}\n", "")
    assert outcome(command, "--input", str(SAMPLE), *REPLAY).is_replay()
    assert logs_in_by_ntlm(lab, command)
    call("pipx", "uninstall", NAME, cwd=tmp_path, **places)
    assert list(binaries.iterdir()) == []


@pytest.mark.parametrize("extra", ["", "[ntlm]"])  # which was needed once, for NTLM
def test_sdist_with_pip(lab: WindowsLoginLab, dist: Path, tmp_path: Path, extra: str) -> None:
    call("/usr/bin/python3", "-m", "venv", tmp_path)
    call(tmp_path / "bin" / "pip", "install", "--quiet", f"{only(dist, '*.tar.gz')}{extra}")
    command = str(tmp_path / "bin" / NAME)
    assert outcome(command, "--version") == (3, f"{NAME} {__version__}\n", "")
    assert outcome(command, "--input", str(SAMPLE), *REPLAY).is_replay()
    assert logs_in_by_ntlm(lab, command)


@pytest.mark.parametrize("scheme", ["kerberos", "ntlm"])
def test_pyz_logs_in_with_what_its_python_has(
    lab: WindowsLoginLab, dist: Path, scheme: str
) -> None:
    """Debian's own Python has gssapi; pyspnego comes from pip."""
    acceptor = lab.acceptor(extended_protection="require")
    python, *login = {
        "kerberos": ("/usr/bin/python3", "-l", "monitor@CQD.TEST", "--keytab", str(lab.keytab)),
        "ntlm": (sys.executable, "-l", r"CQD\monitor"),
    }[scheme]
    found = outcome(
        *(python, str(dist / f"{NAME}.pyz"), "-u", acceptor.url + STATUS_PATH, *REPLAY, *login),
        *("--auth", scheme, "--ca-file", str(lab.ca_file)),
        **lab.environment,
        **({"CQD_PASSWORD": PASSWORDS["monitor"]} if scheme == "ntlm" else {}),
    )
    assert found.is_replay()
    assert [(each["login"], each["bound"]) for each in acceptor.logins()] == [("granted", True)]


# --- in a minimal Debian --------------------------------------------------------------------------


class Tree:
    """A minimal Debian with Python, in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, inside: str) -> Path:
        return self.root / inside.lstrip("/")

    def run(self, *command: str | Path) -> str:
        """Run a command inside as root; it must succeed."""
        return call("chroot", self.root, *command, DEBIAN_FRONTEND="noninteractive")

    def check(self, *options: str) -> Outcome:
        """Run the plugin as a user without a home, where nothing can be written."""
        read_only = (
            'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && '
            'exec chroot --userspec=nobody "$0" env -i PATH=/usr/bin:/bin HOME=/nonexistent "$@"'
        )
        command = ("unshare", "--mount", "sh", "-c", read_only, str(self.root), PLUGIN)
        return outcome(*command, *options)

    def files(self) -> set[str]:
        """Everything in it that has to do with the plugin."""
        inside = {str(path.relative_to(self.root)) for path in self.root.rglob("*")}
        return {name for name in inside if "cqd" in name and not name.startswith("var/lib/dpkg/")}


@pytest.fixture(scope="module")
def bare_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """With Python, and without any package that the plugin needs."""
    place = tmp_path_factory.mktemp("debian")
    place.chmod(0o755)
    root, settings = place / "tree", place / "apt.conf"
    call("apt-get", "update", "-qq")
    settings.write_text(call("apt-config", "dump", "Acquire"))
    sources = debian_sources()
    call(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=python3:native"),
        *(f"--aptopt={settings}", "--format=directory"),
        *(sources[0].split()[2], str(root), *sources),
    )
    tree = Tree(root)
    tree.path("sample").write_bytes(SAMPLE.read_bytes())
    tree.path(PLUGIN).parent.mkdir(parents=True)
    yield tree
    shutil.rmtree(root)


def debian_sources() -> Sequence[str]:
    """Where this machine gets Debian from, as lines for apt."""
    form = "deb $(SITE) $(RELEASE) $(COMPONENT)"
    conditions = ("Identifier: Packages", "Origin: Debian")
    return call("apt-get", "indextargets", "--format", form, *conditions).splitlines()


@pytest.fixture(scope="module")
def tree(bare_tree: Tree, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """With the package, and what apt finds that it needs."""
    archives = tmp_path_factory.mktemp("archives")
    (archives / "partial").mkdir()
    package = only(dist, "*.deb")
    call(
        *("apt-get", "install", "--yes", "--download-only", "--no-install-recommends"),
        *("-o", f"Dir::State::status={bare_tree.root}/var/lib/dpkg/status"),
        *("-o", f"Dir::Cache::archives={archives}", "-o", "APT::Sandbox::User=root", package),
    )
    shutil.copytree(archives, bare_tree.path("archives"))
    shutil.copy(package, bare_tree.path("archives"))
    bare_tree.path(PLUGIN).unlink(missing_ok=True)
    bare_tree.run("sh", "-c", "dpkg --install /archives/*.deb")
    return bare_tree


def test_pyz(bare_tree: Tree, dist: Path) -> None:
    """Copied to where the plugins are, on a machine without any package for Python, or zones."""
    zones = bare_tree.path("usr/share/zoneinfo")
    zones.rename(zones.with_name("hidden"))
    shutil.copy(dist / f"{NAME}.pyz", bare_tree.path(PLUGIN))
    look_at(bare_tree)
    zones.with_name("hidden").rename(zones)
    kinds = call(sys.executable, "-m", "zipfile", "--list", bare_tree.path(PLUGIN))
    assert ".so" not in kinds
    assert ".pyd" not in kinds
    assert "requests" in kinds
    bare_tree.path(PLUGIN).unlink()
    assert bare_tree.files() == set()


def test_debian_package(tree: Tree) -> None:
    packages = tree.run("dpkg-query", "--show", "--showformat=${Package}\n").split()
    needed = {PACKAGE, "python3-nagiosplugin", "python3-requests", "python3-tzlocal", "tzdata"}
    assert needed <= set(packages)
    assert "python3-pip" not in packages
    assert "python3-gssapi" not in packages
    assert tree.run("dpkg", "--verify", PACKAGE) == ""
    look_at(tree)


def look_at(tree: Tree) -> None:
    """Check what a first user tries."""
    code, out, err = tree.check("--help")
    assert (code, err) == (3, "")
    assert out.startswith("usage: check_cqd_integration [-")
    assert tree.check("--version") == (3, f"{NAME} {__version__}\n", "")
    assert tree.check("--input", "/sample", *REPLAY).is_replay()
    with PortalSimulator() as portal:
        code, out, err = tree.check("--url", portal.url + STATUS_PATH, "--timezone=UTC")
        assert (code, err) == (0, "")
        assert out.startswith("CQD OK - integration: last success ")
        url = portal.url + "/http-401" + STATUS_PATH
        assert tree.check("--url", url, "--timezone=UTC", "--auth=kerberos") == (
            3,
            "CQD UNKNOWN - a login by Kerberos needs a library that this installation lacks: apt "
            "install python3-gssapi\n",
            "",
        )


def test_debian_package_trusts_no_others_than_ca_file(tree: Tree, lab: WindowsLoginLab) -> None:
    """Debian's urllib3 names the system's authorities to whoever names none."""
    url = lab.acceptor().url + STATUS_PATH
    tree.path("etc/hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
    with tree.path("etc/ssl/certs/ca-certificates.crt").open("ab") as system:
        system.write(lab.ca_file.read_bytes())
    other = "/etc/ssl/certs/ISRG_Root_X1.pem"
    options = ("--url", url, "--timezone=UTC")
    assert "HTTP 401" in tree.check(*options).out
    assert tree.check(*options, "--ca-file", other) == (
        2,
        "CQD CRITICAL - TLS with localhost: its certificate is not trusted; give its CA with "
        "--ca-file\n",
        "",
    )


def test_configuration_of_the_debian_package(tree: Tree, tmp_path: Path) -> None:
    """Nagios reads the commands by itself; the rest are examples."""
    commands = tree.path("etc/nagios-plugins/config/cqd_integration.cfg")
    services = tree.path(f"{EXAMPLES}/nagios/cqd_services.cfg")
    assert "define service" not in commands.read_text(encoding="utf-8")
    together = commands.read_text(encoding="utf-8") + services.read_text(encoding="utf-8")
    source = ROOT / "contrib" / "nagios" / "cqd_integration.cfg"
    assert together.strip() == source.read_text(encoding="utf-8").strip()
    macros = {"USER1": str(tree.path(PLUGIN).parent)}
    main_file = write_nagios_configuration(tmp_path, (commands, services), macros)
    assert "Total Warnings: 0\nTotal Errors:   0" in call("nagios4", "--verify-config", main_file)
    for path in ROOT.joinpath("contrib").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc") and path != source:
            copy = tree.path(EXAMPLES) / path.relative_to(ROOT / "contrib")
            if path.name == "nrpe.cfg":
                assert f"={PLUGIN} " in copy.read_text(encoding="utf-8")
            else:
                assert copy.read_bytes() == path.read_bytes()


def test_what_was_generated_is_in_the_debian_package(tree: Tree) -> None:
    """The manual page, and with it a command on the path; what shells complete."""
    for folder, place in GENERATED.items():
        for path in ROOT.joinpath(folder).glob("*"):
            assert list(tree.path(place).glob(f"{path.name}*")), path
    is_explained = any(ROOT.joinpath("build/man").glob("*.1"))
    assert tree.path(f"usr/bin/{NAME}").is_symlink() == is_explained


def test_debian_package_leaves_nothing(tree: Tree) -> None:
    """The last test of the tree."""
    assert tree.files()
    tree.run("dpkg", "--purge", PACKAGE)
    shutil.rmtree(tree.path("archives"))
    assert tree.files() == set()
