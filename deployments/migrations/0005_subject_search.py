"""An index for searching subjects, on PostgreSQL only: trigrams, which find a word anywhere in a text.

The extension pg_trgm is created where that is allowed. Where it is not, the migration says so, and the search works
without the index, by looking at each deploy. The index is built without blocking writes, so not in a transaction.
"""

from typing import Any

import structlog
from django.db import migrations
from django.db.utils import DatabaseError

EXTENSION = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
# Django searches by UPPER(subject) LIKE UPPER(…).
CREATE = "CREATE INDEX CONCURRENTLY deploy_subject_words ON deployments_deploy USING gin (UPPER(subject) {}.gin_trgm_ops)"
DROP = "DROP INDEX CONCURRENTLY IF EXISTS deploy_subject_words"
SCHEMA = (
    "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'pg_trgm'"
)

log = structlog.get_logger()


def create(apps: Any, schema_editor: Any) -> None:
    """Creates the index, and the extension that it needs."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        try:
            cursor.execute(EXTENSION)
        except DatabaseError as error:  # no right to, or not installed on the server
            log.warning(
                "subjects are searched without an index: PostgreSQL's extension pg_trgm cannot be created",
                error=str(error).strip(),
                hint=f"To add both later, run as an administrator: {EXTENSION}; {CREATE.format('public')};",
            )
            return
        cursor.execute(DROP)  # a build that was interrupted leaves an index that is never used
        cursor.execute(SCHEMA)  # perhaps one outside of the search path
        cursor.execute(CREATE.format(cursor.fetchone()[0]))


def drop(apps: Any, schema_editor: Any) -> None:
    """Drops the index. The extension stays: others may use it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('deployments', '0004_undoing_and_bad_releases'),
    ]

    operations = [
        migrations.RunPython(create, drop),
    ]
