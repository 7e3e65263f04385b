"""What `make dist` builds, installed and run as an administrator does, where nothing else is.

The package for Debian and the single file run in minimal systems, Debian 12 and 13, fresh from the
mirror that this machine uses, as a user who can write nowhere: no pip was ever there. The simulator
answers from outside: the tree has a root directory of its own, and this machine's network.
"""

from __future__ import annotations

import filecmp
import os
import re
import runpy
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from nagios_lab import PATH, write_nagios_configuration
from package_lab import (
    NAME,
    PACKAGE,
    REPLAY,
    ROOT,
    SAMPLE,
    Tree,
    call,
    look_at,
    only,
    outcome,
)
from portal_simulator import STATUS_PATH, PortalSimulator
from windows_login_lab import PASSWORDS, WindowsLoginLab

from check_cqd_integration import __version__

PLUGIN = f"/usr/lib/nagios/plugins/{NAME}"
EXAMPLES = f"usr/share/doc/{PACKAGE}/examples"
FIRST = "04c06b4"
"""The commit that brought a package for Debian, which was one of version 0.1.0."""
RELEASES = ("bookworm", "trixie")
NEEDED_PROGRAMS = (
    *("dh", "dh_python3", "faketime", "lintian", "mmdebstrap", "nagios4", "pipx"),
    *("rpm", "rpmbuild"),
)
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
    assert len(names) == 5
    assert sorted(path.name for path in again.iterdir()) == names
    assert filecmp.cmpfiles(dist, again, names, shallow=False) == (names, [], [])


def test_make_dist_says_first_what_it_needs(tmp_path: Path) -> None:
    for program in ("echo", "git", "id", "make", "python3", "sh", "xargs"):
        tmp_path.joinpath(program).symlink_to(shutil.which(program, path="/usr/bin:/bin") or "")
    told = outcome("make", "--silent", "-C", str(ROOT), "dist", PATH=str(tmp_path))
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith(
        "make dist needs, as root: apt install --no-install-recommends "
        "dpkg-dev debhelper dh-python rpm\n"
        "or, without packages for Debian and Red Hat: make dist SKIP=1\n"
    )


def test_sdist_has_everything_but_what_is_for_git(dist: Path) -> None:
    with tarfile.open(only(dist, "*.tar.gz")) as archive:
        files = {member.name.split("/", 1)[1] for member in archive if member.isfile()}
    made = {"PKG-INFO"} | {name for name in files if name.startswith(f"{NAME}.egg-info/")}
    assert files - made == {name for name in tracked() if not name.startswith(".")}


def test_tests_pass_in_the_sdist(dist: Path, tmp_path: Path) -> None:
    """All can begin; those that read what an sdist may lack, and some that need little, pass."""
    shutil.unpack_archive(only(dist, "*.tar.gz"), tmp_path)
    folder = tmp_path / f"{NAME}-{__version__}"
    call("make", "demo", ".venv/test.installed", "PYTHON=/usr/bin/python3", cwd=folder)
    python = folder / ".venv" / "bin" / "python"
    call(python, "-m", "pytest", "--collect-only", cwd=folder)
    some = ["docs", "contrib", "pipeline", "report", "support", "test_layers.py", "test_cli.py"]
    told = call(python, "-m", "pytest", *(f"tests/{each}" for each in some), cwd=folder)
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


class DebianTree(Tree):
    """A minimal Debian with Python."""

    plugin = PLUGIN

    def run(self, *command: str | Path) -> str:
        """Run a command inside as root; it must succeed."""
        return call("chroot", self.root, *command, DEBIAN_FRONTEND="noninteractive")

    def apt(self, *words: str) -> str:
        return self.run("apt-get", "--yes", "-o", "Dpkg::Options::=--force-unsafe-io", *words)

    def install(self, package: Path) -> str:
        """Install a package's file, with all that is recommended."""
        shutil.copy(package, self.root)
        told = self.apt("install", f"/{package.name}")
        self.path(package.name).unlink()
        return told


def minimal_debian(release: str, root: Path) -> DebianTree:
    """With Python, and without any package that the plugin needs."""
    settings = root.with_suffix(".conf")
    settings.write_text(call("apt-config", "dump", "Acquire"))
    sources = debian_sources()
    here = sources[0].split()[2]
    call(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=python3:native"),
        *("--skip=cleanup/apt", "--dpkgopt=force-unsafe-io"),
        *(f"--aptopt={settings}", "--format=directory"),
        *(release, str(root), *(line.replace(here, release) for line in sources)),
    )
    tree = DebianTree(root)
    tree.path("sample").write_bytes(SAMPLE.read_bytes())
    tree.path(PLUGIN).parent.mkdir(parents=True)
    return tree


def debian_sources() -> Sequence[str]:
    """Where this machine gets Debian from, as lines for apt."""
    form = "deb $(SITE) $(RELEASE) $(COMPONENT)"
    conditions = ("Identifier: Packages", "Origin: Debian")
    return call("apt-get", "indextargets", "--format", form, *conditions).splitlines()


@pytest.fixture(scope="module", autouse=True)
def trees_in_the_making(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[DebianTree]]]:
    """Both, made while the first tests run, if any will need them."""
    items = request.session.items
    releases = RELEASES if any("bare_tree" in each.fixturenames for each in items) else ()  # type: ignore[attr-defined]
    place = tmp_path_factory.mktemp("debian")
    place.chmod(0o755)
    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(minimal_debian, name, place / name) for name in releases}
    shutil.rmtree(place)


@pytest.fixture(scope="module", params=RELEASES)
def bare_tree(
    trees_in_the_making: dict[str, Future[DebianTree]], request: pytest.FixtureRequest
) -> DebianTree:
    return trees_in_the_making[request.param].result()


@pytest.fixture(scope="module")
def tree(bare_tree: DebianTree, dist: Path) -> DebianTree:
    """With the package, and what apt finds that it needs and recommends."""
    bare_tree.path(PLUGIN).unlink(missing_ok=True)
    bare_tree.install(only(dist, "*.deb"))
    return bare_tree


def test_pyz(bare_tree: DebianTree, dist: Path) -> None:
    """Copied to where the plugins are, on a machine without any package for Python, or zones."""
    zones = bare_tree.path("usr/share/zoneinfo")
    zones.rename(zones.with_name("hidden"))
    shutil.copy(dist / f"{NAME}.pyz", bare_tree.path(PLUGIN))
    try:
        look_at(bare_tree)
        is_told_what_kerberos_needs(bare_tree, "apt install python3-gssapi")
    finally:  # the tests that follow need them
        zones.with_name("hidden").rename(zones)
    kinds = call(sys.executable, "-m", "zipfile", "--list", bare_tree.path(PLUGIN))
    assert ".so" not in kinds
    assert ".pyd" not in kinds
    assert "requests" in kinds
    bare_tree.path(PLUGIN).unlink()
    assert bare_tree.files() == set()


def test_what_make_dist_needs_is_one_line(bare_tree: DebianTree) -> None:
    """Python's part is there, or not; and no compiler is needed."""
    shutil.copy(ROOT / "packages" / "missing", bare_tree.root)
    told = bare_tree.run("/missing", "python", "deb", "rpm").split()
    assert told == ["git", "python3-venv", "dpkg-dev", "debhelper", "dh-python", "rpm"]
    assert bare_tree.apt("install", "--simulate", "--no-install-recommends", *told)
    bare_tree.path("missing").unlink()


def test_debian_package(tree: DebianTree) -> None:
    packages = tree.run("dpkg-query", "--show", "--showformat=${Package}\n").split()
    needed = {PACKAGE, "python3-nagiosplugin", "python3-requests", "python3-tzlocal", "tzdata"}
    assert needed | {"python3-gssapi", "gss-ntlmssp"} <= set(packages)
    assert "python3-pip" not in packages
    assert tree.run("dpkg", "--verify", PACKAGE) == ""
    assert tree.show_demo() == ["0", "1", "2", "3", "2"]
    look_at(tree)


def test_logins_of_the_debian_package(tree: DebianTree, lab: WindowsLoginLab) -> None:
    """What is missing is named with the command that brings it: that very command is run."""
    is_of(tree, "root", 0o750)
    tree.run("groupadd", "--system", "nagios")
    tree.run("dpkg-trigger", "--by-package=icinga2-common", "/etc/icinga2")
    tree.run("dpkg", "--configure", "--pending")
    is_of(tree, "nagios", 0o750)
    tree.prepare_logins(lab)
    assert tree.log_in(lab, "kerberos").is_replay()
    assert tree.log_in(lab, "ntlm").is_replay()
    tree.apt("purge", "python3-gssapi", "gss-ntlmssp")
    for scheme in ("kerberos", "ntlm"):
        told = tree.log_in(lab, scheme)
        [words] = re.findall(r"apt install ([\w -]+)\n", told.out)
        assert told.code == 3
        tree.apt("install", *words.split())
        assert tree.log_in(lab, scheme).is_replay()


def is_of(tree: DebianTree, group: str, mode: int) -> None:
    expected = f"root {group} {mode:o} /etc/cqd\n"
    assert tree.run("stat", "--format=%U %G %a %n", "/etc/cqd") == expected


def is_told_what_kerberos_needs(tree: DebianTree, command: str) -> None:
    with PortalSimulator() as portal:
        url = portal.url + "/http-401" + STATUS_PATH
        assert tree.check("--url", url, "--timezone=UTC", "--auth=kerberos") == (
            3,
            "CQD UNKNOWN - a login by Kerberos needs a library that this installation lacks: "
            f"{command}\n",
            "",
        )


def test_debian_package_trusts_nobody_but_ca_file(tree: DebianTree, lab: WindowsLoginLab) -> None:
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


def test_configuration_of_the_debian_package(tree: DebianTree, tmp_path: Path) -> None:
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


def test_what_was_generated_is_in_the_debian_package(tree: DebianTree) -> None:
    """The manual page, and with it a command on the path; what shells complete."""
    for folder, place in GENERATED.items():
        for path in ROOT.joinpath(folder).glob("*"):
            assert list(tree.path(place).glob(f"{path.name}*")), path
    is_explained = any(ROOT.joinpath("build/man").glob("*.1"))
    assert tree.path(f"usr/bin/{NAME}").is_symlink() == is_explained


def test_documents_of_the_debian_package(tree: DebianTree) -> None:
    """To be read as they are; README's links lead somewhere."""
    documents = tree.path(f"usr/share/doc/{PACKAGE}")
    assert (documents / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
    links = re.findall(r"\]\(((?:docs|contrib)/[^)#]*)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if not (documents / link).exists()] == []


def test_debian_package_leaves_nothing_but_secrets(tree: DebianTree) -> None:
    secrets = {"etc/cqd", "etc/cqd/password", "etc/cqd/monitor.keytab"}
    commands = "etc/nagios-plugins/config/cqd_integration.cfg"
    tree.run("dpkg", "--remove", PACKAGE)
    assert tree.files() == {*secrets, commands}
    tree.run("dpkg", "--purge", PACKAGE)
    assert tree.files() == secrets


def test_upgrade_of_the_first_debian_package(tree: DebianTree, dist: Path, tmp_path: Path) -> None:
    """The last test of the tree."""
    shutil.rmtree(tree.path("etc/cqd"))
    old = tmp_path / "old"
    old.mkdir()
    call("sh", "-c", f"git archive {FIRST} | tar -x -C {old}", cwd=ROOT)
    build = runpy.run_path(str(ROOT / "packages" / "dist.py"))["debian_package"]
    tree.install(build(old, "0.1.0", 0))
    assert tree.check("--version") == (3, f"{NAME} 0.1.0\n", "")
    assert not tree.path("etc/cqd").exists()
    tree.install(only(dist, "*.deb"))
    assert tree.run("dpkg", "--verify", PACKAGE) == ""
    is_of(tree, "nagios", 0o750)
    look_at(tree)
    tree.apt("purge", PACKAGE)
    assert tree.files() == set()
