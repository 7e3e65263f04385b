"""A Windows to run the plugin in: CPython for Windows under Wine, in .venv-windows of the checkout.

`make .venv-windows/installed` makes it (`install_windows`). Programs there share this machine's
network and, as drive Z:, its files. It is not Microsoft's: Wine's C library, certificate store and
Winsock answer, so what fails here may fail on Windows, and what passes is likely to pass.

    with WineLab() as windows:
        done = windows.check("-H", "localhost", "--http", "-p", str(portal.port))
        assert (done.code, done.out) == (0, "CQD OK - ...")

Nobody asserts an exit code alone.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from expected import masked

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".venv-windows"
PYTHON = PLACE / "py" / "python.exe"
COMMAND = PLACE / "py" / "Scripts" / "check_cqd_integration.exe"
LOCAL_APPDATA = PLACE / "prefix" / "drive_c" / "users"
PATIENCE = 120
"""Seconds until a process that does not end is ended. When it is 60 seconds old, Python tells where
it hangs: `install_windows` sees to that.
"""


def cannot_be_installed() -> str | None:
    """Why this machine cannot have it, if `make` has tried."""
    reason = PLACE / "missing"
    return reason.read_text(encoding="utf-8").strip() if reason.exists() else None


def missing() -> str | None:
    """Why it is not there."""
    if not (PLACE / "installed").exists():
        return "make .venv-windows/installed was not run"
    return cannot_be_installed()


def windows_path(path: Path | str) -> str:
    """The name that programs of Windows have for a file of this machine."""
    return f"Z:{PureWindowsPath(os.path.abspath(path))}"


class Outcome(NamedTuple):
    """What came of a process: its exit code as Windows tells it, and what it wrote.

    A crash has a code beyond 255. It is None if the process could not be started, or did not end.
    """

    code: int | None
    out: str
    errors: str


class WineLab:
    """Starts on entering, ends on leaving, with all that runs in it. ``zone`` is Windows' own.

    Wine keeps the zone in the registry, so another zone is that of another Windows: a copy that is
    gone in the end.
    """

    def __init__(self, zone: str = "") -> None:
        name = f"prefix-{zone.replace('/', '-')}" if zone else "prefix"
        self._prefix = PLACE / name
        self._is_copy = bool(zone)
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(PLACE / "home"),
            "LANG": "C.UTF-8",  # without it arguments that are not ASCII arrive mangled
            "WINEPREFIX": str(self._prefix),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "winemenubuilder.exe,winedbg.exe,mscoree,mshtml=d",
            "TZ": zone or "UTC",  # Wine's zone is that of the Unix side
        }
        self._numbers = itertools.count()
        self._answers: dict[int, Outcome] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._has_hung = False

    def __enter__(self) -> WineLab:
        if self._is_copy:
            shutil.rmtree(self._prefix, ignore_errors=True)
            # Links: Wine writes its registry anew, and no other file.
            shutil.copytree(PLACE / "prefix", self._prefix, symlinks=True, copy_function=os.link)
        self._driver = subprocess.Popen(
            ["wine", PYTHON, windows_path(Path(__file__).with_name("wine_driver.py"))],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._reader = threading.Thread(target=self._read_answers, daemon=True)
        self._reader.start()
        try:
            if self._outcome(-1).code is None:
                raise RuntimeError("Wine does not start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._driver.stdin
        assert self._driver.stdout
        self._driver.stdin.close()
        subprocess.run(["wineserver", "-k"], env=self._environment, check=False)
        self._driver.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._driver.stdout.close()
        if self._is_copy:
            shutil.rmtree(self._prefix)

    def _read_answers(self) -> None:
        assert self._driver.stdout
        for line in self._driver.stdout:
            answer = json.loads(line)
            with self._changed:
                outcome = Outcome(answer["code"], answer["out"], answer["errors"])
                self._answers[answer["number"]] = outcome
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _outcome(self, number: int, patience: float = PATIENCE) -> Outcome:
        with self._changed:
            # Wine may hang while it starts a process, too.
            self._changed.wait_for(lambda: number in self._answers or self._ended, patience + 10)
            if self._ended and number not in self._answers:
                raise RuntimeError("Wine has ended")
            return self._answers.pop(number, Outcome(None, "", ""))

    def run(
        self,
        *command: str,
        stdin: str = "",
        stdout: str = "pipe",
        environment: Mapping[str, str | None] | None = None,
        cwd: str = "C:\\",
        patience: float = PATIENCE,
    ) -> Outcome:
        """Run a program of Windows, `python` being its Python; see wine_driver.py.

        Now and then Wine does not bring one to life: the first such is begun again. Raises
        RuntimeError for the next, and for one that tells where it hangs.
        """
        # What the program sees is Windows' own, not what made Wine so.
        given: dict[str, str | None] = dict.fromkeys(("TZ", "LANG", "HOME", "CQD_PASSWORD"))
        request: dict[str, Any] = {
            "command": command,
            "stdin": stdin,
            "stdout": stdout,
            "cwd": cwd,
            "environment": given | dict(environment or {}),
            "patience": patience,
        }
        for _ in range(2):
            number = next(self._numbers)
            assert self._driver.stdin
            with self._changed:
                self._driver.stdin.write(json.dumps({**request, "number": number}).encode() + b"\n")
                self._driver.stdin.flush()
            done = self._outcome(number, patience)
            if done.code is not None:
                return done
            if done.errors or self._has_hung:
                break
            self._has_hung = True
            warnings.warn(f"under Wine, {command} hangs, and is begun again: {done}", stacklevel=2)
        raise RuntimeError(f"{command} could not be started, or hangs: {done}")

    def check(self, *options: str, **how: Any) -> Outcome:
        """Run the installed plugin."""
        return of_plugin(self.run("python", "-m", "check_cqd_integration", *options, **how))

    def python(self, program: str, *arguments: str, **how: Any) -> Outcome:
        """Run a program in Python there; its lines end as here."""
        done = self.run("python", "-c", program, *arguments, **how)
        return done._replace(out=done.out.replace("\r\n", "\n"))

    @contextmanager
    def trusting(self, certificate: Path) -> Iterator[None]:
        """Have a certificate among the trusted authorities of Windows' user meanwhile."""
        done = self.python(_ADD, windows_path(certificate))
        assert done == Outcome(0, "added\n", "")
        try:
            yield
        finally:
            done = self.python(_REMOVE, windows_path(certificate))
            assert done == Outcome(0, "removed\n", "")


def of_plugin(done: Outcome) -> Outcome:
    """Mask the response time, and see that lines end as the plugin's do everywhere."""
    assert "\r" not in done.out, done
    return done._replace(out=masked(done.out))


def state_directories() -> list[Path]:
    """Where the plugin remembers refused logins: in %LOCALAPPDATA% of Wine's user."""
    return list(LOCAL_APPDATA.glob("*/AppData/Local/check_cqd_integration"))


_ADD = """
import ctypes, ssl, sys
from ctypes import wintypes as w
crypt = ctypes.WinDLL("crypt32")
for name, result, *arguments in (
    ("CertOpenSystemStoreW", w.HANDLE, w.HANDLE, w.LPCWSTR),
    ("CertAddEncodedCertificateToStore",
     w.BOOL, w.HANDLE, w.DWORD, w.LPCSTR, w.DWORD, w.DWORD, w.HANDLE),
    ("CertCloseStore", w.BOOL, w.HANDLE, w.DWORD),
):
    getattr(crypt, name).restype, getattr(crypt, name).argtypes = result, arguments
with open(sys.argv[1]) as file:
    der = ssl.PEM_cert_to_DER_cert(file.read())
store = crypt.CertOpenSystemStoreW(None, "ROOT")
assert crypt.CertAddEncodedCertificateToStore(store, 1, der, len(der), 3, None)
assert crypt.CertCloseStore(store, 0)
print("added")
"""
# CertDeleteCertificateFromStore of Wine 8 says that it succeeded, and the certificate stays.
_REMOVE = """
import hashlib, ssl, sys, winreg
with open(sys.argv[1]) as file:
    name = hashlib.sha1(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest().upper()
place = "Software\\\\Microsoft\\\\SystemCertificates\\\\Root\\\\Certificates\\\\"
winreg.DeleteKey(winreg.HKEY_CURRENT_USER, place + name)
print("removed")
"""
