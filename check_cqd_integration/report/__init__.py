"""Tells: what may be printed (``output``), the ``timeline`` and the ``hints`` of the long output.

What others may use is named here; ``timeline`` and ``hints`` are imported only where they are told.
"""

from .output import MAX_TEXT, clean, first_line

__all__ = ["MAX_TEXT", "clean", "first_line"]
