"""What the tests of packages share: running things in a directory that is a system of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from expected import item
from nagios_lab import PATH
from portal_simulator import STATUS_PATH, PortalSimulator
from windows_login_lab import PASSWORDS, WindowsLoginLab

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "status-documented.txt"
REPLAY = ("--now", "2015-01-18T15:31:00Z", "--timezone", "America/New_York")
NAME = "check_cqd_integration"
PACKAGE = "check-cqd-integration"
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PIPX", "MAKE", "MFLAGS"))
}
ENVIRONMENT["PATH"] = PATH


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


def only(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


class Tree:
    """A directory that is a system of its own, but for this machine's network."""

    plugin: str
    """Where the package puts the plugin."""
    mounts: Mapping[str, str] = {}
    """Directories of this machine that are to be seen inside, and where."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, inside: str) -> Path:
        return self.root / inside.lstrip("/")

    def execute(self, user: str, *command: str) -> Outcome:
        """Run a command as a user without a home, where nothing can be written."""
        steps = [("$0", "$0"), *((there, f"$0/{here}") for there, here in self.mounts.items())]
        read_only = (
            "".join(f'mount --bind "{there}" "{here}" && ' for there, here in steps)
            + "".join(f'mount -o remount,ro,bind "{here}" && ' for _, here in steps)
            + "exec env -i PATH=/usr/bin:/bin HOME=/nonexistent "
            + f'/usr/sbin/chroot --userspec={user} "$0" "$@"'
        )
        return outcome("unshare", "--mount", "sh", "-c", read_only, str(self.root), *command)

    def check(self, *options: str, user: str = "65534:65534") -> Outcome:
        return self.execute(user, self.plugin, *options)

    def show_demo(self) -> list[str]:
        """Return the exit codes that the first look shows, the one command of the docs."""
        demo = f"/usr/share/doc/{PACKAGE}/examples/simulator/demo.py"
        told = self.execute("0:0", "python3", demo)
        assert (told.code, told.err) == (0, "")
        assert "$ check_cqd_integration --input /usr/share/doc/" in told.out
        return re.findall("^exit code (.*)", told.out, re.M)

    def prepare_logins(self, lab: WindowsLoginLab) -> None:
        """Do what an administrator does before the first login."""
        self.path("etc/hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
        self.path("etc/krb5.conf").write_text(Path(lab.environment["KRB5_CONFIG"]).read_text())
        shutil.copy(lab.ca_file, self.path("etc/ca.pem"))
        password = self.path("etc/cqd/password")
        password.write_text(PASSWORDS["monitor"] + "\n", encoding="utf-8")
        shutil.copyfile(lab.keytab, self.path("etc/cqd/monitor.keytab"))
        for file in self.path("etc/cqd").iterdir():
            file.chmod(0o640)
            os.chown(file, 0, self.path("etc/cqd").stat().st_gid)

    def log_in(self, lab: WindowsLoginLab, scheme: str) -> Outcome:
        """Log in as the monitoring system's user; if it succeeds, it did so in one attempt."""
        acceptor = lab.acceptor(extended_protection="require")
        login = {
            "kerberos": ("-l", "monitor@CQD.TEST", "--keytab", "/etc/cqd/monitor.keytab"),
            "ntlm": ("-l", r"CQD\monitor", "--password-file", "/etc/cqd/password"),
        }[scheme]
        gid = self.path("etc/cqd").stat().st_gid
        options = ("-u", acceptor.url + STATUS_PATH, *REPLAY, *login, "--ca-file", "/etc/ca.pem")
        found = self.check(*options, user=f"65534:{gid}")
        if found.is_replay():
            logins = [(each["login"], each["bound"]) for each in acceptor.logins()]
            assert logins == [("granted", True)]
        return found

    def files(self) -> set[str]:
        """Everything in it that has to do with the plugin."""
        inside = {str(path.relative_to(self.root)) for path in self.root.rglob("*")}
        return {name for name in inside if "cqd" in name and not name.startswith("var/lib/")}


def look_at(tree: Tree) -> None:
    """Check what a first user tries."""
    code, out, err = tree.check("--help")
    assert (code, err) == (3, "")
    assert out.startswith("usage: check_cqd_integration (-H HOST | ")
    version = tree.check("--version")
    assert (version.code, version.err) == (3, "")
    assert version.out.startswith(f"{NAME} ")
    assert tree.check("--input", "/sample", *REPLAY).is_replay()
    with PortalSimulator() as portal:
        code, out, err = tree.check("--url", portal.url + STATUS_PATH, "--timezone=UTC")
    assert (code, err) == (0, "")
    assert out.startswith("CQD OK - integration: last success ")
