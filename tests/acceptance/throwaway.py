"""This machine, to be thrown away: all may be installed on it and removed, nothing of it remains.

    with Throwaway(directory) as machine:
        with machine.copy() as one:
            one.call("apt install python3-gssapi")

Each copy has a directory of its own above all directories of this machine, in memory (overlayfs);
only what is temporary is shared with it, and the network and the processes. Root only.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
MOUNT = """
set -eu
mount -t overlay none -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount --rbind /proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
mount --bind "$3" "$2/root$3"
"""


class Throwaway:
    """The first layer: what is done with `call` is there in each copy that is made later."""

    def __init__(self, directory: Path):
        self._place = directory
        self._stack = ExitStack()

    def __enter__(self) -> Throwaway:
        keep = f"mount -t tmpfs none {shlex.quote(str(self._place))} && echo mounted && read line"
        self._namespace = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", keep],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._namespace.stdout
        self._stack.enter_context(self._namespace)  # waits, once there is nothing more to read
        try:
            assert self._namespace.stdout.readline() == "mounted\n"
            self._base = self._layer("base", "/")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def call(self, line: str) -> str:
        return self._base.call(line)

    @contextmanager
    def copy(self) -> Iterator[Machine]:
        """A machine that is as this one is now, until the block ends; one at a time."""
        yield self._layer("copy", f"{self._place}/base/upper:/")
        self._inside("umount", "--recursive", f"{self._place}/copy/root")
        self._inside("rm", "-r", f"{self._place}/copy")

    def _layer(self, name: str, below: str) -> Machine:
        place = f"{self._place}/{name}"
        self._inside("mkdir", "-p", *(f"{place}/{each}" for each in ("upper", "work", "root")))
        self._inside("sh", "-c", MOUNT, "sh", below, place, tempfile.gettempdir())
        return Machine(
            ["nsenter", f"--mount=/proc/{self._namespace.pid}/ns/mnt", "chroot", f"{place}/root"]
        )

    def _inside(self, *command: str) -> None:
        subprocess.run(
            ["nsenter", f"--mount=/proc/{self._namespace.pid}/ns/mnt", *command], check=True
        )


class Machine:
    """What can be done on one."""

    def __init__(self, enter: list[str]) -> None:
        self._enter = enter

    def run(
        self, *command: str, environment: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._enter, *command],
            env={**ENVIRONMENT, **environment},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
        )

    def call(self, line: str) -> str:
        """Enter a line in root's shell, which must succeed; return what it said."""
        done = self.run("sh", "-c", line)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout
