"""Whether an error says that the database connection is gone."""

from __future__ import annotations

from django.db import InterfaceError, InternalError, OperationalError

# PostgreSQL ends a transaction whose process stood still too long (portal/database.py: IDLE_SECONDS) with an “internal” error.
_ENDED_BY_SERVER = "IdleInTransactionSessionTimeout"


def lost_its_connection(error: Exception) -> bool:
    """Whether nothing can be written any more on the connection that raised `error`."""
    if isinstance(error, (OperationalError, InterfaceError)):
        return True
    return isinstance(error, InternalError) and type(error.__cause__).__name__ == _ENDED_BY_SERVER
