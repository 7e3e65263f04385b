"""Remembers refused logins, so that a wrong password is not tried until the account is locked.

Each refusal is a file of its own in a directory of the user that runs the check, read and written
by whichever of his checks logs in with the same user name and credentials. Its name is a keyed hash
of them, and the key lies beside: without it the name tells nothing, with it no more than a guess
that is right. A check whose login was not refused writes nothing.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import LoginError, words_of
from ..thresholds import in_words
from .choice import Credentials, identity, own_account

T = TypeVar("T")
_IS_WINDOWS = os.name == "nt"
_PAUSES = (0.01, 0.02, 0.04, 0.08)
"""Seconds to wait for another check that has a file open, which it has for a millisecond."""
_KEY = "key"
_KEY_BYTES = 32
_NAME = re.compile(r"[0-9a-f]{64}|([0-9a-f]{64}|key)\.[0-9a-f]{16}")
"""A refusal, or a file that was not written to its end."""
_MAX_BYTES = 2048
_FAR_FUTURE = 1e11
"""Seconds since 1970 that no clock of a host shows."""
_OLD = 7 * 24 * 60 * 60
"""Seconds after which a refusal that nobody asked for again is removed."""


class _Refusal(NamedTuple):
    time: float
    """When, by this host's clock, in seconds since 1970."""
    host: str
    reason: str


class _UnusableError(Exception):
    """A file or directory is not what was left there; the text says why."""


def now() -> float:
    """Return the seconds since 1970 by this host's clock, which ``--now`` does not set."""
    return time.time()


def default_directory() -> str | None:
    """Return the user's own state directory for this plugin; None if the user has no home.

    After the XDG Base Directory Specification, and the password database where HOME is not set, or
    is not the user's: a daemon that root started keeps root's.
    """
    if _IS_WINDOWS:
        base = os.environ.get("LOCALAPPDATA", "")
    else:
        base = os.environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(base):  # is to be ignored then
            base = os.path.expanduser("~/.local/state")
            if sys.platform != "win32" and not _can_be_made(base):
                import pwd

                with contextlib.suppress(KeyError):  # the user is not listed
                    home = pwd.getpwuid(os.geteuid()).pw_dir
                    base = os.path.join(home, ".local/state")
    return os.path.join(base, "check_cqd_integration") if os.path.isabs(base) else None


def _can_be_made(directory: str) -> bool:
    """Tell whether the user may write there, or make what is missing of it."""
    while directory and not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return os.access(directory, os.W_OK | os.X_OK)


class Refusals:
    """What is remembered of these credentials.

    A refusal holds for ``retry`` seconds. ``directory`` is that of ``--state-dir``, if given.
    """

    def __init__(self, credentials: Credentials, retry: int, directory: str | None) -> None:
        self._retry = retry
        self._directory = directory or default_directory() or ""
        self._credentials = repr(
            (
                (credentials.username or own_account()).casefold(),
                credentials.password_file or credentials.password,
                credentials.keytab and identity(credentials.keytab),
            )
        ).encode()
        self._is_there = False
        self._ignored = ""

    def check(self, host: str) -> None:
        """Raise LoginError if these credentials were refused less than ``retry`` seconds ago.

        ``host`` is the portal that is to be asked.
        """
        refusal = self._read()
        if refusal is None:
            return
        age = now() - refusal.time
        if age < 0:  # the clock was set back: the refusal must end all the same
            age = 0
            try:
                self._write_refusal(refusal._replace(time=now()))
            except (OSError, _UnusableError):
                return
        if age < self._retry:
            by = "" if refusal.host == host else f" by {refusal.host}"
            raise LoginError(
                f"refused {in_words(int(age))} ago{by}, tried again in "
                f"{in_words(self._retry - int(age))} or with new credentials (--login-retry): "
                f"{refusal.reason}"
            )

    def remember(self, host: str, reason: str) -> str:
        """Remember that a host refused them now; return what is to come before the reason."""
        try:
            if not self._directory:
                raise _UnusableError("this user has no home directory")
            _make(Path(self._directory).absolute())
            self._write_refusal(_Refusal(now(), host, reason))
        except (OSError, _UnusableError) as error:
            return f"refused, not remembered: {_why(error)} (--state-dir): "
        return f"refused, ignored in --state-dir: {self._ignored}: " if self._ignored else ""

    def forget(self) -> None:
        """Forget a refusal of them, as they were accepted."""
        if self._is_there:
            with contextlib.suppress(OSError, _UnusableError):
                _when_free(partial(os.unlink, self._path(self._name())))

    def _read(self) -> _Refusal | None:
        """Return what is remembered; None for nothing, and for what cannot be trusted."""
        try:
            name = self._name()
            path = self._path(name)
            self._is_there = os.path.lexists(path)
            return _parsed(_read_own(path))
        except FileNotFoundError:
            return None
        except (OSError, _UnusableError) as error:
            self._ignored = _why(error)
            return None

    def _write_refusal(self, refusal: _Refusal) -> None:
        _check_own(self._directory, stat.S_ISDIR)
        try:
            name = self._name()
        except (FileNotFoundError, _UnusableError) as error:
            put = _put_first if isinstance(error, FileNotFoundError) else os.replace
            self._write(_KEY, os.urandom(_KEY_BYTES).hex(), put)
            name = self._name()  # of another check, if that made one at the same moment
        self._write(name, json.dumps(refusal._asdict()), os.replace)
        self._remove_older_than(os.stat(self._path(name)).st_mtime - max(_OLD, self._retry))

    def _write(self, name: str, text: str, put: Callable[[str, str], None]) -> None:
        """Put a file there in one step, so that nobody reads half of it."""
        path = self._path(name)
        new = f"{path}.{os.urandom(8).hex()}"
        # A link is not followed by that.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            with open(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            _when_free(partial(put, new, path))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise

    def _name(self) -> str:
        """Return the keyed hash of the credentials; raises FileNotFoundError without a key."""
        _check_own(self._directory, stat.S_ISDIR)
        key = _read_own(self._path(_KEY))
        if len(key) != 2 * _KEY_BYTES:
            raise _UnusableError("a broken file")
        return hmac.new(key, self._credentials, "sha256").hexdigest()

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _remove_older_than(self, oldest: float) -> None:
        """Remove what no check has asked for since long: its credentials have changed."""
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                is_old = entry.stat(follow_symlinks=False).st_mtime < oldest
                if is_old and _NAME.fullmatch(entry.name):
                    os.unlink(entry.path)


def _put_first(new: str, path: str) -> None:
    """Rename a file to where none is; if one has come there meanwhile, remove the new one.

    A key that replaced another check's would make what that has remembered worthless.
    """
    try:
        os.link(new, path)
    except FileExistsError:
        os.unlink(new)
    except OSError:  # a file system without links
        os.replace(new, path)
    else:
        os.unlink(new)


def _make(directory: Path) -> None:
    """Make a directory, and those above it that are missing, for this user alone.

    Whatever the umask is: who may write above it could move it away.
    """
    for each in reversed((directory, *directory.parents)):
        if not os.path.isdir(each):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700)


def _when_free(act: Callable[[], T]) -> T:
    """Return what is returned once nobody else is at the file.

    On Windows a file that is open can neither be replaced nor removed, nor one be opened that is
    being replaced: PermissionError, as it is elsewhere for what is forbidden.
    """
    for pause in _PAUSES if _IS_WINDOWS else ():
        try:
            return act()
        except PermissionError:
            time.sleep(pause)
    return act()


def _check_own(path: str, is_right: Callable[[int], bool]) -> None:
    """Raise _UnusableError if a file or directory is not the user's own, OSError without one."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise _UnusableError("a link")
    if not is_right(found.st_mode):
        raise _UnusableError("of the wrong kind")
    if hasattr(os, "geteuid"):  # on Windows both say nothing
        if found.st_uid != os.geteuid():
            raise _UnusableError("another user's")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _UnusableError("may be written by others")


def _read_own(path: str) -> bytes:
    """Return what a file holds; raises OSError and _UnusableError."""
    return _when_free(partial(_read_file, path))


def _read_file(path: str) -> bytes:
    _check_own(path, stat.S_ISREG)
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # none of them is everywhere
        flags |= getattr(os, name, 0)
    with open(os.open(path, flags), "rb") as file:
        return file.read(_MAX_BYTES + 1)


def _parsed(content: bytes) -> _Refusal:
    """Return the refusal that a file holds; raises _UnusableError if there is none in it."""
    try:
        found = json.loads(content if len(content) <= _MAX_BYTES else b"")
        refusal = _Refusal(float(found["time"]), str(found["host"]), str(found["reason"]))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise _UnusableError("a broken file") from None
    if not 0 <= refusal.time < _FAR_FUTURE:
        raise _UnusableError("a broken file")
    return refusal


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        words = words_of(error)
        return words[:1].lower() + words[1:]
    return str(error)
