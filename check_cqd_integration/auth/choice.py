"""Credentials, and the choice of one scheme; the scheme's module is imported only when used."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..errors import LoginError, UsageError, words_of
from .channel_binding import channel_binding
from .installation import command_for

_IS_WINDOWS = os.name == "nt"
_MAX_PASSWORD = 4096
_WHY_NOT = {
    (True, True): "a keytab is for Kerberos (Negotiate), a password for NTLM and Basic",
    (True, False): "a keytab is for Kerberos (Negotiate) only",
    (False, True): "a password is tried with NTLM and Basic only",
    (False, False): "without --password-file or --keytab only a ticket (Negotiate) is tried",
}
"""Why a scheme that is offered is not tried: keytab given, password given."""
_OWN_ACCOUNT_ONLY = (
    "without --username only the account that runs the check logs in, by Negotiate or NTLM"
)
_NOTHING_GIVEN = "neither --password-file nor --keytab was given"
_LACKING = "a library that this installation lacks"
_HEADERS = {
    "kerberos": ("Negotiate",),
    "negotiate": ("Negotiate",),
    "ntlm": ("NTLM", "Negotiate"),
    "basic": ("Basic",),
}
"""The words of WWW-Authenticate that stand for each scheme.

``negotiate`` is Windows' own: Kerberos, or NTLM where there is no ticket for the portal.
"""


class Credentials(NamedTuple):
    """Who logs in, and how; the password shows in no representation."""

    scheme: str
    """auto, basic, ntlm or kerberos."""
    username: str | None = None
    password: str | None = None
    keytab: str | None = None
    is_bound: bool = True
    """Send the channel binding."""
    is_plain_allowed: bool = False
    """Let a password be seen on the network."""
    password_file: str = ""
    """The identity of the file that the password was read from, if it was."""

    def __str__(self) -> str:
        return (self.username or own_account())[:40]

    def __repr__(self) -> str:
        return str(self)


def own_account() -> str:
    r"""Return whose credentials are used without a name: on Windows ``DOMAIN\account``.

    A service as NetworkService or LocalSystem has the name of its machine, with a dollar sign.
    """
    if not _IS_WINDOWS:
        return "the user of the ticket cache"
    parts = (os.environ.get("USERDOMAIN"), os.environ.get("USERNAME"))
    return "\\".join(filter(None, parts)) or "the account that runs the check"


def find_credentials(
    scheme: str,
    username: str | None,
    password_file: str | None,
    keytab: str | None,
    *,
    is_bound: bool,
    is_plain_allowed: bool,
) -> Credentials:
    """Return what is to be logged in with; the password is in the file or else in CQD_PASSWORD.

    Raises UsageError for what cannot be read, or cannot be enough for the scheme.
    """
    if keytab is not None:
        check_keytab(keytab)
    password, file = None, ""
    if username is not None:
        if password_file is not None:
            file = identity(password_file)
            password = read_password(password_file)
        else:
            password = os.environ.get("CQD_PASSWORD") or None
        if _IS_WINDOWS and password is None:
            raise UsageError(
                "--username needs --password-file or CQD_PASSWORD in the environment; leave it out "
                "to log in as the account that runs the check"
            )
    for what, text in ("--username", username), ("CQD_PASSWORD", password):
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            # Not chained: the exception holds the text.
            raise UsageError(f"{what} is not UTF-8 text") from None
    is_own = _IS_WINDOWS and scheme == "ntlm" and username is None
    if scheme in ("basic", "ntlm") and password is None and not is_own:
        raise UsageError(
            f"--auth {scheme} needs --username, and --password-file or CQD_PASSWORD in the "
            f"environment"
        )
    return Credentials(scheme, username, password, keytab, is_bound, is_plain_allowed, file)


def identity(path: str) -> str:
    """Return what changes whenever a file is written or replaced; empty if it cannot be read.

    To be asked before the file is read: so a file that changes meanwhile counts as changed.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ""
    return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}"


def read_password(path: str) -> str:
    """Return the first line of a file without its line end.

    Raises UsageError for a file that is not regular, may be read by everybody, is not UTF-8, or
    begins with an empty line.
    """
    try:
        # Not blocking: a pipe in place of the file must be refused, not waited for.
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, os.O_RDONLY | flags)
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise UsageError(f"--password-file {path} is not a regular file")
            _refuse_if_public("--password-file", path, mode)
            line = file.readline(_MAX_PASSWORD + 1)
    except OSError as error:
        raise UsageError(f"--password-file {path}: {words_of(error)}") from error
    try:
        password = re.sub("\r?\n$", "", line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        # Not chained: the exception holds the bytes of the password.
        raise UsageError(f"--password-file {path} is not UTF-8 text") from None
    if not password:
        raise UsageError(f"--password-file {path} begins with an empty line")
    if len(line) > _MAX_PASSWORD:
        raise UsageError(f"--password-file {path} begins with a line of more than 4 KiB")
    return password


def check_keytab(path: str) -> None:
    """Raise UsageError if a keytab may be read by everybody; what else is wrong, the login tells.

    Its keys are worth as much as the password. Windows' own Kerberos takes none.
    """
    if _IS_WINDOWS:
        raise UsageError(
            "--keytab is not for Windows; give --password-file, or leave out --username and log in "
            "as the account that runs the check"
        )
    with contextlib.suppress(OSError, ValueError):
        _refuse_if_public("--keytab", path, os.stat(path).st_mode)


def _refuse_if_public(option: str, path: str, mode: int) -> None:
    if os.name == "posix" and mode & stat.S_IROTH:
        raise UsageError(f"{option} {path} may be read by everybody; chmod o-r it")


class Connection(NamedTuple):
    """The way to the portal that a login is made for."""

    host: str
    is_encrypted: bool
    certificate: bytes | None
    """What the server showed (DER)."""


class Login(Protocol):
    """The client's side of one handshake."""

    @property
    def scheme(self) -> str:
        """The word before the token in the header."""

    @property
    def is_complete(self) -> bool:
        """Whether all was sent, so that another refusal is final."""

    @property
    def may_count(self) -> bool:
        """Whether a refusal now may count against the account: a password or its hash was sent."""

    @property
    def likely_reason(self) -> str:
        """Why the portal may refuse it now."""

    @property
    def waits_for(self) -> str:
        """Whom the first step asks, if anybody."""

    @property
    def is_bound(self) -> bool:
        """Whether it holds for this TLS connection alone."""

    def step(self, token: bytes | None) -> bytes:
        """Return the next token, given that of the server, or raise LoginError."""

    def finish(self, token: bytes | None, *, is_needed: bool) -> None:
        """Take the token of the answer that ends the login; raise LoginError if it is not right.

        ``is_needed``: also if there is none.
        """


class BasicLogin:
    """User and password as they are."""

    scheme = "Basic"
    is_complete = True
    may_count = True
    is_bound = False
    likely_reason = "wrong password, locked or expired account, or group"
    waits_for = ""

    def __init__(self, username: str, password: str) -> None:
        self._token = f"{username}:{password}".encode()  # UTF-8, see RFC 7617

    def step(self, token: bytes | None) -> bytes:
        """Return the only token there is."""
        return self._token

    def finish(self, token: bytes | None, *, is_needed: bool) -> None:
        """Do nothing: the server proves nothing."""


def start_login(credentials: Credentials, offered: Sequence[str], connection: Connection) -> Login:
    """Return the login by the scheme that fits what the portal offers and what was given.

    Raises LoginError if none fits, UsageError if a package is missing.
    """
    scheme = _chosen(credentials, offered, connection)
    username, password = credentials.username or "", credentials.password or ""
    if scheme == "basic":
        return BasicLogin(username, password)
    binding = None
    if connection.certificate and credentials.is_bound:
        binding = channel_binding(connection.certificate)
    header = "NTLM" if scheme == "ntlm" and "NTLM" in offered else "Negotiate"
    if _IS_WINDOWS and (scheme == "kerberos" or credentials.username is None):
        sspi = _find_sspi()
        if sspi is None:
            raise UsageError(f"this login needs {_LACKING}: {command_for('ntlm')}")
        return sspi(
            header, scheme, connection.host, credentials.username, credentials.password, binding
        )
    if scheme == "ntlm":
        ntlm = _find_ntlm()
        if ntlm is None:
            raise UsageError(f"a login by NTLM needs {_LACKING}: {command_for(scheme)}")
        return ntlm(header, connection.host, username, password, binding)
    kerberos = _find_kerberos()
    if kerberos is None:
        nothing = credentials.scheme == "auto" and not (credentials.keytab or password)
        which = f"{_NOTHING_GIVEN}; a ticket" if nothing else "a login by Kerberos"
        raise UsageError(f"{which} needs {_LACKING}: {command_for(scheme)}")
    return kerberos(
        connection.host,
        credentials.username,
        credentials.password,
        credentials.keytab,
        binding,
    )


def advise(offered: Sequence[str]) -> str:
    """Say what to give for a login that is offered and that this installation can do.

    And by which command it could do what else is offered; nothing, if no such login is known.
    """
    if not {"Negotiate", "NTLM"} & set(offered):
        return "give --username with --password-file (Basic)" if "Basic" in offered else ""
    if _IS_WINDOWS and _find_sspi():
        return f"give --auth auto (logs in as {own_account()}), or --username with --password-file"
    has_ntlm, is_negotiated = _find_ntlm() is not None, "Negotiate" in offered
    has_kerberos = is_negotiated and _find_kerberos() is not None
    if not (has_ntlm or has_kerberos):
        return f"NTLM (--username with --password-file) needs: {command_for('ntlm')}"
    if not has_ntlm:
        return f"give --username user@REALM (Kerberos), or for NTLM: {command_for('ntlm')}"
    given = "give --username with --password-file (NTLM)"
    if has_kerberos:
        return f"{given} or --keytab (Kerberos)"
    return f"{given}; Kerberos needs: {command_for('kerberos')}" if is_negotiated else given


def _find_ntlm() -> Callable[..., Login] | None:
    """Return the login by NTLM: by GSSAPI, which takes less time, or else by pyspnego."""
    if not _IS_WINDOWS:
        with contextlib.suppress(ImportError):
            from . import gss

            if gss.has_ntlm():
                return gss.NtlmLogin
    with contextlib.suppress(ImportError):
        from .pyspnego import NtlmLogin

        return NtlmLogin
    return None


def _find_kerberos() -> Callable[..., Login] | None:
    """Return the login by Kerberos; on Windows it is that of ``_find_sspi``."""
    with contextlib.suppress(ImportError):
        from .gss import KerberosLogin

        return KerberosLogin
    return None


def _find_sspi() -> Callable[..., Login] | None:
    with contextlib.suppress(ImportError):
        from .sspi import SspiLogin

        return SspiLogin
    return None


def _chosen(credentials: Credentials, offered: Sequence[str], connection: Connection) -> str:
    """Return the one scheme that is tried; a second one could lock the account."""
    if credentials.scheme == "auto":
        has_password, has_keytab = credentials.password is not None, credentials.keytab is not None
        is_kerberos = has_keytab or not has_password or _is_kerberos_the_way(credentials, offered)
        wanted = ["kerberos"] if is_kerberos else []
        wanted += ["ntlm", "basic"] if has_password else []
        why = _WHY_NOT[has_keytab, has_password]
        if _IS_WINDOWS and credentials.username is None:
            wanted, why = ["negotiate", "ntlm"], _OWN_ACCOUNT_ONLY
    else:
        wanted = [credentials.scheme]
        why = f"--auth {credentials.scheme} was given"
    scheme = next((each for each in wanted if set(_HEADERS[each]) & set(offered)), None)
    if scheme is None:
        raise LoginError(f"the portal offers {', '.join(offered) or 'no scheme'}, but {why}")
    if scheme == "basic" and not (connection.is_encrypted or credentials.is_plain_allowed):
        raise LoginError(
            "a basic login over plain HTTP shows the password to the network; use https, or "
            "--insecure if you want that"
        )
    return scheme


def _is_kerberos_the_way(credentials: Credentials, offered: Sequence[str]) -> bool:
    """Tell whether a password is for Kerberos: of ``user@REALM``, where there is no NTLM."""
    return (
        "Negotiate" in offered
        and "@" in (credentials.username or "")
        and _find_ntlm() is None
        and _find_kerberos() is not None
    )
