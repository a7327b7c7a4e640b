"""The answer when the portal's database is busy for too long, or away: 503, what was not changed, and when to try again.

Waits for the database are bounded (portal/database.py): for a lock, for a free connection, for an answer. Their end is an error
of the database, not of the portal.
"""

from __future__ import annotations

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from core import committed
from core.errors import status_of
from core.lost import lost_its_connection
from core.problems import document, problem_of, wants_document
from engine.errors import SlipwayError

RETRY_SECONDS = 10
READS = frozenset({"GET", "HEAD", "OPTIONS"})
# psycopg's classes; SQLite has one class for everything, and tells these by their words.
_BUSY = frozenset(
    {"LockNotAvailable", "DeadlockDetected", "PoolTimeout", "TooManyConnections", "QueryCanceled"}
)
_BUSY_WORDS = ("database is locked", "database table is locked")
# Our own mistake, or a missing migration, rather than the database's state: Django's 500.
_MISTAKES = ("no such table", "no such column", "syntax error", "unable to open database file")


class DatabaseBusy(SlipwayError):
    """Others kept the database from answering in time. The transaction was rolled back, or did not begin."""

    code = "database-busy"


class DatabaseAway(SlipwayError):
    """The database does not answer, or a connection to it broke."""

    code = "database-away"


def trouble_of(error: BaseException | None, method: str = "GET") -> SlipwayError | None:
    """What people are told about an error of the database; None when it is something else. `method`: of the request."""
    if isinstance(error, OperationalError) and _is_busy(error):
        return DatabaseBusy(
            "The portal's database was busy for too long, so the request was not carried out to its end.",
            hint=_next(may_have_ended=False),
        )
    if isinstance(error, Exception) and lost_its_connection(error) and not _is_mistake(error):
        return DatabaseAway(
            "The portal's database does not answer, or broke the connection.",
            hint=_next(may_have_ended=method not in READS),
        )
    return None


def _next(*, may_have_ended: bool) -> str:
    """`may_have_ended`: the connection may have broken right after a commit, whose answer was lost."""
    if committed.anything():
        return (
            "What you asked for was saved, only its page could not be shown. Look before you send it again."
        )
    if may_have_ended:
        return "What you asked for was saved as a whole or not at all. Look before you send it again."
    return "Nothing was changed. Try again in some seconds. Running deploys go on."


def _is_busy(error: OperationalError) -> bool:
    return type(error.__cause__).__name__ in _BUSY or any(words in str(error) for words in _BUSY_WORDS)


def _is_mistake(error: Exception) -> bool:
    return any(words in str(error) for words in _MISTAKES)


def answer_without_database(
    request: HttpRequest, trouble: SlipwayError, *, theme: str = "", request_id: str = ""
) -> HttpResponse:
    """A document for scripts, a page for people. The page needs neither user nor context processors: they read the database."""
    problem = problem_of(trouble, request_id=request_id)
    if wants_document(request):
        response: HttpResponse = document(problem)
    else:
        context = {"problem": problem, "request_id": request_id, "theme": theme}
        response = HttpResponse(render_to_string("503.html", context), status=status_of(trouble))
    response["Retry-After"] = str(RETRY_SECONDS)
    return response
