"""Products that destinations keep apart (sourcetypes, indexes, data streams): the source tables.

A test holds it against the tables; reading those at import would cost every command its start.
"""

from __future__ import annotations

PRODUCTS = ("access_point", "secure_edge", "switch")
"""Source tables of Datto's products; records of any other have no name of their own."""
