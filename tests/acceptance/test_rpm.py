"""The package for Red Hat's systems, installed into an empty directory, and run there.

Debian's rpm installs it. Beside it the directory has a Python that has nothing else, as far as this
machine has one of the versions that those systems have, at the places where they have it; and the C
libraries of this machine. It is no Red Hat: SELinux, dnf and their builds of Python are not there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nagios_lab import PATH
from package_lab import NAME, PACKAGE, ROOT, SAMPLE, Tree, call, look_at, only
from windows_login_lab import WindowsLoginLab

from check_cqd_integration import __version__

GSSAPI = {"3.9": "1.6.9", "3.12": "1.8.3"}
"""The version of Python in RHEL 9 and 10, and of its gssapi in 9, and of that time for 10."""
PLUGIN = f"/usr/lib64/nagios/plugins/{NAME}"
LIBRARIES = f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"
NEEDED_PROGRAMS = ("rpm", "rpmbuild", "rpmlint", "krb5-config")

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root can make a tree of its own"),
    *(
        pytest.mark.skipif(
            not shutil.which(program, path=PATH), reason=f"{program} is not installed"
        )
        for program in NEEDED_PROGRAMS
    ),
]


def python(version: str) -> str | None:
    """A Python of that version, on the path or of pyenv; Debian has only its own."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{version}", path="/usr/local/bin:/usr/bin")]
    found += map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")))
    return next(filter(None, found), None)


class RpmTree(Tree):
    """An empty directory, with what a package is told to be there."""

    plugin = PLUGIN

    def __init__(self, root: Path, version: str) -> None:
        super().__init__(root)
        self.mounts: dict[str, str] = {}
        self.version = version
        for folder in ("etc", "lib64", "usr/bin", "usr/lib"):
            self.path(folder).mkdir(parents=True)
        self.path("lib").symlink_to("usr/lib")
        self.path("etc/group").write_text("root:x:0:\nicinga:x:990:\nnagios:x:991:\n")
        self.path("sample").write_bytes(SAMPLE.read_bytes())

    def rpm(self, *words: str | Path) -> str:
        told = call("rpm", "--root", self.root, "--dbpath", "/var/lib/rpm", *words)
        # What Debian's rpm says of itself.
        return "".join(line for line in told.splitlines(True) if not line.startswith("rpm: "))

    def add_python(self, python: str) -> None:
        """Put it where the system's is."""
        program = "import sys, sysconfig; print(sys.executable, sysconfig.get_path('stdlib'))"
        executable, modules = call(python, "-c", program).split()
        name = f"python{self.version}"
        shutil.copy(Path(executable).resolve(), self.path(f"usr/bin/{name}"))
        self.path("usr/bin/python3").symlink_to(name)
        for library in Path(modules).parent.glob("libpython3.*.so.*"):
            shutil.copy(library, self.path("usr/lib"))
        for loader in Path("/lib64").glob("ld-linux*"):
            self.path("lib64").joinpath(loader.name).symlink_to(loader.readlink())
        here = f"usr/lib/python{self.version}"
        self.mounts = {LIBRARIES: LIBRARIES.lstrip("/"), modules: here}
        for place in self.mounts.values():
            self.path(place).mkdir(parents=True)

    def set_libraries(self, directory: Path) -> None:
        """Let this be all that Python has besides its own."""
        here = f"usr/lib/python{self.version}/site-packages"
        self.mounts = {there: place for there, place in self.mounts.items() if place != here}
        self.mounts[str(directory)] = here


def stub(place: Path, name: str, version: str) -> Path:
    """Build a package of that name and version, which is empty."""
    spec = place / f"{name}.spec"
    spec.write_text(
        f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: Stub\nLicense: MIT\n"
        "BuildArch: noarch\n%description\nA stub.\n%files\n"
    )
    call("rpmbuild", "-bb", f"--define=_topdir {place}", spec)
    return only(place, f"RPMS/noarch/{name}-{version}-1.noarch.rpm")


@pytest.fixture(scope="module")
def package(dist: Path) -> Path:
    return only(dist, "*.rpm")


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `dnf install python3-gssapi` brings, built for each Python, unless pip has kept it."""
    place = tmp_path_factory.mktemp("gssapi")
    place.chmod(0o755)
    constraints = place / "constraints.txt"
    constraints.write_text("cython < 3\nsetuptools < 70\n")

    def install(version: str) -> None:
        call(
            *(python(version) or "", "-m", "pip", "install", "--quiet", "--target"),
            *(place / version, f"gssapi=={GSSAPI[version]}", "decorator"),
            PIP_CONSTRAINT=str(constraints),
            PIP_BUILD_CONSTRAINT=str(constraints),
            CFLAGS="-O0",
        )

    with ThreadPoolExecutor() as pool:
        list(pool.map(install, filter(python, GSSAPI)))
    return {version: place / version for version in GSSAPI}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(version, marks=() if python(version) else pytest.mark.xfail(run=False))
        for version in GSSAPI
    ],
)
def tree(
    request: pytest.FixtureRequest, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> RpmTree:
    place = tmp_path_factory.mktemp("rpm")
    place.chmod(0o755)
    tree = RpmTree(place / "tree", request.param)
    tree.rpm("--install", stub(place, "python3", f"{request.param}.18"), package)
    tree.add_python(str(python(request.param)))
    return tree


def query(package: Path, form: str) -> list[str]:
    return call("rpm", "--query", "--package", f"--queryformat={form}", package).splitlines()


def test_rpmlint_has_nothing_to_say(package: Path) -> None:
    assert package.name == f"{PACKAGE}-{__version__}-1.noarch.rpm"
    told = call("rpmlint", "--config", ROOT / "packages/rpm/rpmlint.toml", package)
    assert "0 errors, 0 warnings," in told


def test_rpm_takes_along_what_logs_in(package: Path) -> None:
    requires = query(package, r"[%{REQUIRES} %{REQUIREFLAGS:depflags} %{REQUIREVERSION}\n]")
    assert [line for line in requires if not line.startswith("rpmlib(")] == ["python3 >= 3.9"]
    assert query(package, r"[%{RECOMMENDS}\n]") == ["gssntlmssp", "python3-gssapi"]
    carried = "".join(
        path.read_text("utf-8") for path in (ROOT / "packages" / "pyz").glob("requirements*.txt")
    )
    expected = [f"bundled(python3dist({each})) {number}" for each, number in versions(carried)]
    provided = query(package, r"[%{PROVIDES} %{PROVIDEVERSION}\n]")
    assert sorted(provided) == sorted([*expected, f"{PACKAGE} {__version__}-1"])


def versions(requirements: str) -> list[tuple[str, str]]:
    return re.findall(r"^([\w-]+)==(\S+)", requirements, re.M)


def test_rpm_is_not_for_older_pythons(package: Path, tmp_path: Path) -> None:
    tree = RpmTree(tmp_path / "tree", "3.6")
    tree.rpm("--install", stub(tmp_path, "python3", "3.6.8"))
    command = ("rpm", "--root", str(tree.root), "--dbpath", "/var/lib/rpm", "--install", package)
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    assert f"\tpython3 >= 3.9 is needed by {PACKAGE}-{__version__}-1.noarch\n" in done.stderr


def test_rpm_without_libraries(tree: RpmTree, lab: WindowsLoginLab, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    tree.set_libraries(tmp_path)
    seen = tree.execute("0:0", "python3", "-c", "import sys; print(sys.prefix, sys.version)")
    assert seen.out.startswith(f"/usr {tree.version}.")
    assert tree.show_demo() == ["0", "1", "2", "3", "2"]
    look_at(tree)
    tree.path("usr/bin/dnf").touch()
    tree.prepare_logins(lab)
    for scheme, command in (
        ("kerberos", "dnf install python3-gssapi"),
        ("ntlm", "dnf install python3-gssapi gssntlmssp"),
    ):
        told = tree.log_in(lab, scheme)
        assert told.code == 3
        assert told.out.endswith(f" {command}\n")


def test_rpm_logs_in(tree: RpmTree, lab: WindowsLoginLab, site_packages: dict[str, Path]) -> None:
    tree.set_libraries(site_packages[tree.version])
    shutil.copytree("/etc/gss", tree.path("etc/gss"))
    tree.prepare_logins(lab)
    assert tree.log_in(lab, "kerberos").is_replay()
    assert tree.log_in(lab, "ntlm").is_replay()


def test_rpm_has_what_was_generated(tree: RpmTree) -> None:
    for made, place in (
        ("build/completion/bash", "usr/share/bash-completion/completions"),
        ("build/completion/zsh", "usr/share/zsh/site-functions"),
        ("build/completion/fish", "usr/share/fish/vendor_completions.d"),
    ):
        [file] = (ROOT / made).iterdir()
        assert tree.path(place).joinpath(file.name).read_bytes() == file.read_bytes()
    manual = tree.path(f"usr/share/man/man1/{NAME}.1.gz")
    page = only(ROOT / "build" / "man", "*.1").read_text("utf-8")
    assert call("gzip", "--decompress", "--stdout", manual) == page
    documents = tree.path(f"usr/share/doc/{PACKAGE}")
    assert (documents / "README.md").read_bytes() == (ROOT / "README.md").read_bytes()
    assert f"={PLUGIN} " in (documents / "contrib/nagios/nrpe.cfg").read_text("utf-8")


def test_rpm_leaves_nothing_but_secrets(tree: RpmTree, tmp_path: Path) -> None:
    """The last test of the tree; what its group was, it stays, until somebody removes it."""
    assert tree.path("etc/cqd").stat().st_gid == 990
    os.chown(tree.path("etc/cqd"), 0, 991)
    tree.rpm("--install", stub(tmp_path, "nagios-common", "4"))
    assert tree.path("etc/cqd").stat().st_gid == 991
    os.chown(tree.path("etc/cqd"), 0, 0)
    tree.rpm("--install", stub(tmp_path, "icinga2-common", "2"))
    assert tree.path("etc/cqd").stat().st_gid == 990
    assert tree.rpm("--verify", PACKAGE) == ""
    assert tree.path("etc/cqd").stat().st_mode & 0o777 == 0o750
    tree.rpm("--erase", PACKAGE)
    secrets = {"etc/cqd", "etc/cqd/password", "etc/cqd/monitor.keytab"}
    assert tree.files() == secrets
