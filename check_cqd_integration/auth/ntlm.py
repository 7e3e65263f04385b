"""What a login by NTLM is, whichever library does the cryptography."""

from __future__ import annotations

import os

from ..errors import LoginError

NOT_UNDERSTOOD = "the NTLM challenge cannot be understood"
_LEVELS = ("0", "1", "2", "3", "4", "5")


class Handshake:
    """One handshake: the client's offer, the server's challenge, the answer to it."""

    is_complete = False
    """Whether the challenge was answered: that is the login attempt."""
    waits_for = ""

    def __init__(self, scheme: str, binding: bytes | None) -> None:
        """Begin; raises LoginError if LM_COMPAT_LEVEL of the environment is no level.

        The libraries would take one that is not a number for an old kind of answer, and the portal
        would count that as a wrong password.
        """
        self.scheme = scheme
        self.is_bound = binding is not None
        if os.environ.get("LM_COMPAT_LEVEL", "3") not in _LEVELS:
            raise LoginError("LM_COMPAT_LEVEL of the environment is not a number from 0 to 5")

    @property
    def may_count(self) -> bool:
        """Tell whether a refusal may count against the account."""
        return self.is_complete

    @property
    def likely_reason(self) -> str:
        """Tell one password from another only once it was sent."""
        if not self.is_complete:
            return "it sends no challenge"
        return "wrong password, locked or expired account, or group"

    def finish(self, token: bytes | None, *, is_needed: bool) -> None:
        """Do nothing: the server proves nothing."""
