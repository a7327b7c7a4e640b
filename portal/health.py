"""`/healthz`: this process is alive. `/readyz`: database and Redis, as the status page shows them, without waiting for one
that hangs."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from portal.status import telling, watch
from portal.status.pulse import Bell, Records

SILENT = "does not answer in time"


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Each dependency's state. Status 503 only without the database: without Redis pages work and deploys wait."""
    pulse = watch.now()
    telling.look()
    answers = {"database": _answer(pulse.records), "redis": _answer(pulse.bell)}
    ready = answers["database"]["ok"]
    return JsonResponse({"ready": ready, **answers}, status=200 if ready else 503)


def _answer(found: Records | Bell | None) -> dict[str, object]:
    problem = SILENT if found is None else found.problem
    return {
        "ok": not problem,
        "problem": problem,
        "seconds": round(watch.PROBE_SECONDS if found is None else found.seconds, 3),
    }
