"""`/healthz`: this process is alive. `/readyz`: each dependency, with a short timeout."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_rq import get_connection
from redis.exceptions import RedisError


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def database() -> str:
    """Empty when the database answers and every migration is applied, else the problem."""
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "does not answer"
    return f"{len(waiting)} migrations are not applied" if waiting else ""


def redis() -> str:
    """Empty when Redis answers, else the problem."""
    try:
        get_connection("short").ping()
    except (RedisError, OSError):
        return "does not answer"
    return ""


CHECKS: dict[str, Callable[[], str]] = {"database": database, "redis": redis}


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Each dependency's state. Status 503 only without the database: without Redis pages work and deploys wait."""
    answers = {}
    for name, check in CHECKS.items():
        started = time.monotonic()
        problem = check()
        answers[name] = {
            "ok": not problem,
            "problem": problem,
            "seconds": round(time.monotonic() - started, 3),
        }
    return JsonResponse(
        {"ready": answers["database"]["ok"], **answers}, status=200 if answers["database"]["ok"] else 503
    )
