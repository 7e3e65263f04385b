"""Run the plugin as far like on Windows as another system can.

    python tests/support/as_on_windows.py [OPTION]...

The standard library is loaded first, as it is here. Then what Windows does not have is taken away,
and the plugin and the packages that it needs are loaded anew.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import sys
import time
import types
from pathlib import Path, PosixPath

MODULES = (
    *("_curses", "_posixshmem", "_posixsubprocess", "crypt", "curses", "fcntl", "grp", "nis"),
    *("posix", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios", "tty"),
)
"""Of the standard library, with "Availability: Unix"."""
MISSING = {
    os: "chown chroot ctermid environb fchdir fchmod fchown fork forkpty fpathconf getegid geteuid "
    "getgid getgroups getloadavg getpgid getpgrp getpriority getresuid getsid getuid initgroups "
    "killpg lchown mkfifo mknod nice openpty pathconf pipe2 posix_spawn pread preadv pwrite readv "
    "register_at_fork sched_yield sendfile setegid seteuid setgid setpgid setsid setuid statvfs "
    "sync sysconf tcgetpgrp ttyname uname wait wait3 wait4 waitid writev",
    signal: "alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending "
    "sigtimedwait sigwait sigwaitinfo",
    socket: "AF_NETLINK AF_PACKET AF_UNIX CMSG_LEN SO_REUSEPORT sethostname socketpair",
    select: "epoll kqueue poll",
    time: "clock_getres clock_gettime pthread_getcpuclockid tzset",
}
"""Likewise, of modules that Windows has."""
ONLY = {
    (os, "O_"): "O_APPEND O_BINARY O_CREAT O_EXCL O_RDONLY O_RDWR O_TRUNC O_WRONLY",
    (signal, "SIG"): "SIGABRT SIGFPE SIGILL SIGINT SIGSEGV SIGTERM SIG_DFL SIG_IGN",
    (socket, "EAI_"): "EAI_AGAIN EAI_BADFLAGS EAI_FAIL EAI_FAMILY EAI_MEMORY EAI_NONAME "
    "EAI_SERVICE EAI_SOCKTYPE",
}
"""What Windows has of the names that begin so."""


ROOT = str(Path(__file__).parents[2])


def load_standard_library() -> None:
    """Load what the plugin and its packages use, now or at some later time."""
    for name in ("check", "portal.client", "portal.saved"):
        importlib.import_module(f"check_cqd_integration.{name}")
    for name in ("importlib.resources", "shutil", "subprocess", "tempfile", "zoneinfo"):
        importlib.import_module(name)


def take_away() -> None:
    """Take away what Windows does not have, and all that was loaded above the standard library."""
    for name in list(sys.modules):
        package = name.partition(".")[0]
        if package in ("check_cqd_integration", "nagiosplugin", "requests", "urllib3"):
            del sys.modules[name]
    sys.modules.update(dict.fromkeys(MODULES))  # type: ignore[arg-type]
    for module, names in MISSING.items():
        for name in names.split():
            vars(module).pop(name, None)
    for (module, prefix), names in ONLY.items():
        for name in [name for name in vars(module) if name.startswith(prefix)]:
            if name not in names.split():
                del vars(module)[name]
    os.name = "nt"
    sys.modules[Path.__module__].WindowsPath = PosixPath  # type: ignore[attr-defined]
    sys.modules["msvcrt"] = types.ModuleType("msvcrt")  # nagiosplugin loads it there


if __name__ == "__main__":
    load_standard_library()
    take_away()
    sys.path.insert(0, ROOT)  # what setuptools loads an editable package by wants a WindowsPath
    from check_cqd_integration.cli import main

    sys.exit(main())
