"""What can go wrong, each with its state.

The text of each error is one line for the administrator: at which step it happened, what happened,
and, where that is known, what to do. It never holds a password, token or URL with credentials.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

_LONGEST = 40
_WORDS = {
    errno.ENOMEM: "Cannot allocate memory",
    errno.ENETDOWN: "Network is down",
    errno.ENETUNREACH: "Network is unreachable",
    errno.ENETRESET: "Network dropped connection on reset",
    errno.ENOBUFS: "No buffer space available",
    errno.EHOSTDOWN: "Host is down",
    errno.EADDRINUSE: "Address already in use",
    errno.EPROTONOSUPPORT: "Protocol not supported",
    errno.ESOCKTNOSUPPORT: "Socket type not supported",
    errno.EOPNOTSUPP: "Operation not supported",
}
"""What Linux says where Windows' C library has other words, or none, as for all of Winsock."""


class Said(str):
    """A text of the portal, as it came; in a message it is cut and stands in quotation marks."""

    __slots__ = ()


class PluginError(Exception):
    """The check cannot tell how the portal is: UNKNOWN.

    Its arguments are the parts of its text.
    """

    def __str__(self) -> str:
        return "".join(_quoted(part) if isinstance(part, Said) else part for part in self.args)

    def hide(self, is_secret: Callable[[str], bool], hidden: str) -> None:
        """Put something in place of each text of the portal that must not be shown."""
        self.args = tuple(
            hidden if isinstance(part, Said) and is_secret(part) else part for part in self.args
        )


class UsageError(PluginError):
    """An option, a file or this host is not as it must be: UNKNOWN."""


class PortalError(PluginError):
    """The portal answered, but with something other than its status: UNKNOWN."""


class LoginError(PortalError):
    """The portal refused a login, or there was nothing to log in with: UNKNOWN."""


class RefusedError(LoginError):
    """The credentials were refused, which may count against the account: UNKNOWN."""


class UnreachableError(PortalError):
    """The portal gave no usable answer: the state of ``--unreachable-state``."""


class AnswerError(PluginError):
    """The answer is not what the Data API documents: UNKNOWN."""


def words_of(error: OSError | ValueError) -> str:
    """Return what an error of the operating system means, in the same English words everywhere.

    Those in the error itself may be in the language of Windows.
    """
    number = getattr(error, "errno", None)
    if number is None:
        return str(error)
    known = os.strerror(number)
    return _WORDS.get(number) or (known if known != "Unknown error" else f"{known} {number}")


def _quoted(text: str) -> str:
    return f"'{text[:_LONGEST]}{'...' if len(text) > _LONGEST else ''}'"
