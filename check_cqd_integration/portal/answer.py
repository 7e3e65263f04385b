"""What is handed over once the portal, or a file in its place, was read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from ..errors import AnswerError
from .secrets import NO_SECRETS, Secrets

MAX_BYTES = 1024 * 1024
"""More than this is not an integration log: the documented answer has half a kilobyte."""
_EXCERPT = 500
"""Characters of an answer that are shown of one that cannot be read."""


class Answer(NamedTuple):
    """An answer as it came, not yet understood."""

    body: bytes
    date: datetime | None = None
    """The portal's clock (UTC) when it answered, if it told."""
    response_time: float | None = None
    """Seconds from the first step to the last byte, if it came over the network."""

    def excerpt(self, secrets: Secrets = NO_SECRETS) -> str:
        """Return how it begins, on one line, unless that holds a secret."""
        try:
            text = self.body.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = self.body.decode("latin-1")
        text = secrets.told(" ".join(text.replace("\0", "").split()))  # a zero: UTF-16
        return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}..."


class TooLargeError(AnswerError):
    """There is more than ``MAX_BYTES``."""

    def __init__(self) -> None:
        super().__init__("the answer is larger than 1 MiB, and is not read")


def read_limited(chunks: Iterable[bytes]) -> bytes:
    """Join the chunks; raises TooLargeError as soon as they are more than ``MAX_BYTES``."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_BYTES:
            raise TooLargeError
    return bytes(body)
