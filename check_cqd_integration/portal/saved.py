"""A saved answer in place of the portal: ``--input``."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..errors import PluginError, UsageError, words_of
from .answer import Answer, read_limited
from .deadline import Deadline
from .secrets import NO_SECRETS


class SavedAnswer:
    """The file with this path, or standard input if it is ``-``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.secrets = NO_SECRETS

    def fetch(self, deadline: Deadline) -> Answer:
        """Read it; raises UsageError if that cannot be done."""
        name = "standard input" if self.path == "-" else self.path
        with deadline.waiting_for_another(f"reading {name}"):  # for no portal
            try:
                return Answer(read_limited(self._chunks()))
            except (OSError, ValueError) as error:
                raise UsageError(f"{deadline.step}: {words_of(error)}") from error

    def fetch_log(self, deadline: Deadline) -> bytes:
        """Raise PluginError: there is none."""
        raise PluginError("a saved answer has none")

    def exchange(self) -> list[str]:
        """Return no lines: nothing goes over the wire."""
        return []

    def close(self) -> None:
        """Do nothing: the file was closed once it was read."""

    def _chunks(self) -> Iterator[bytes]:
        source = 0 if self.path == "-" else self.path
        with open(source, "rb", buffering=0, closefd=self.path != "-") as file:
            while chunk := os.read(file.fileno(), 65536):
                yield chunk
