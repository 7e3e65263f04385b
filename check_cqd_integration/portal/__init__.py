"""Asks: the portal itself (``client``, over ``transport``), or a ``saved`` answer in its place.

What others may use without loading an HTTP library is named here; a check over the network
imports ``client`` and ``trust`` from their modules.
"""

from .answer import Answer
from .deadline import Deadline
from .secrets import NO_SECRETS, Secrets

__all__ = ["NO_SECRETS", "Answer", "Deadline", "Secrets"]
