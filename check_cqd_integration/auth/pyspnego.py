"""Login by NTLM with a password; pyspnego does the cryptography."""

from __future__ import annotations

import struct

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import NegotiateOptions, SpnegoError

from ..errors import LoginError
from .ntlm import NOT_UNDERSTOOD, Handshake


class NtlmLogin(Handshake):
    """One handshake by pyspnego, in the same code on every system."""

    def __init__(
        self, scheme: str, host: str, username: str, password: str, binding: bytes | None
    ) -> None:
        super().__init__(scheme, binding)
        self._context = spnego.client(
            username,
            password,
            hostname=host,
            service="http",
            channel_bindings=GssChannelBindings(application_data=binding) if binding else None,
            protocol="ntlm",
            options=NegotiateOptions.use_ntlm,  # its own, not that of Windows or of GSSAPI
        )

    def step(self, token: bytes | None) -> bytes:
        """Return the next token; raises LoginError for a challenge that is none."""
        try:
            answer = self._context.step(token) or b""
        except (SpnegoError, ValueError, LookupError, OverflowError, struct.error) as error:
            raise LoginError(NOT_UNDERSTOOD) from error
        self.is_complete = self._context.complete
        return answer
