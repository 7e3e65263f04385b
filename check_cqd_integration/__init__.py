"""Check how stale the data of a Call Quality Dashboard (CQD) are, and how its pipeline fares.

One check, from the top: ``cli`` is the entry point, ``check`` puts nagiosplugin's Resource
(``resource``), Contexts (``contexts``) and Summary (``summary``) together. Below them ``portal``
asks, ``auth`` logs in, ``pipeline`` understands, ``report`` tells. docs/architecture.md lists every
module; a lower layer never imports a higher one.
"""

__version__ = "0.2.0"
