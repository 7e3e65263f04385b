"""What is handed over once the portal, or a file in its place, was read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from ..errors import AnswerError

MAX_BYTES = 1024 * 1024
"""More than this is not an integration log: the documented answer has half a kilobyte."""


class Answer(NamedTuple):
    """An answer as it came, not yet understood."""

    body: bytes
    date: datetime | None = None
    """The portal's clock (UTC) when it answered, if it told."""
    response_time: float | None = None
    """Seconds from the first step to the last byte, if it came over the network."""


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
