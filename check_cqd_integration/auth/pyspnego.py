"""Login by NTLM with a password; pyspnego does the cryptography."""

from __future__ import annotations

import struct

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

from ..errors import LoginError


class NtlmLogin:
    """One handshake: the client's offer, the server's challenge, the answer to it."""

    def __init__(
        self, scheme: str, host: str, username: str, password: str, binding: bytes | None
    ) -> None:
        self.scheme = scheme
        self.is_bound = binding is not None
        try:
            self._context = spnego.client(
                username,
                password,
                hostname=host,
                service="http",
                channel_bindings=GssChannelBindings(application_data=binding) if binding else None,
                protocol="ntlm",
            )
        except (SpnegoError, ValueError) as error:  # LM_COMPAT_LEVEL is not what it must be
            raise LoginError("NTLM cannot be begun with the settings of this host") from error

    @property
    def likely_reason(self) -> str:
        """Tell one password from another only once it was sent."""
        return "wrong password or group" if self.is_complete else "it sends no challenge"

    @property
    def is_complete(self) -> bool:
        """Tell whether the challenge was answered: that is the login attempt."""
        return self._context.complete

    @property
    def may_count(self) -> bool:
        """Tell whether a refusal may count against the account."""
        return self.is_complete

    def step(self, token: bytes | None) -> bytes:
        """Return the next token; raises LoginError for a challenge that is none."""
        try:
            return self._context.step(token) or b""
        except (SpnegoError, ValueError, LookupError, OverflowError, struct.error) as error:
            raise LoginError("the NTLM challenge cannot be understood") from error

    def finish(self, token: bytes | None) -> None:
        """Do nothing: the server proves nothing."""
