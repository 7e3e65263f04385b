"""Logging in: credentials and where they come from."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from .errors import UsageError

_MAX_PASSWORD = 4096


@dataclass(frozen=True)
class Credentials:
    """Who logs in; the password shows in no representation."""

    username: str
    password: str = field(repr=False)


def read_password(path: str) -> str:
    """Return the first line of a file without its line end.

    Raises UsageError for a file that is not regular, may be read by everybody, is not UTF-8, or
    begins with an empty line.
    """
    try:
        # Not blocking: a pipe in place of the file must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise UsageError(f"--password-file {path} is not a regular file")
            if os.name == "posix" and mode & stat.S_IROTH:
                raise UsageError(f"--password-file {path} may be read by everybody; chmod o-r it")
            line = file.readline(_MAX_PASSWORD)
    except OSError as error:
        raise UsageError(f"--password-file {path}: {error.strerror}") from error
    try:
        password = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        # Not chained: the exception holds the bytes of the password.
        raise UsageError(f"--password-file {path} is not UTF-8 text") from None
    if not password:
        raise UsageError(f"--password-file {path} begins with an empty line")
    return password
