"""The address to which GitHub sends its deliveries."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from builds.incoming.receiving import Envelope, receive
from core.incoming import takes_files


# A body beyond `takes_files` is answered 413 before it is read; the look at Git makes up for that push.
@csrf_exempt
@login_not_required
@takes_files
@require_POST
def github(request: HttpRequest) -> HttpResponse:
    """POST: one delivery. Only its signature tells the sender."""
    answer = receive(
        Envelope(
            body=request.body,
            signature=request.headers.get("X-Hub-Signature-256", ""),
            event=request.headers.get("X-GitHub-Event", ""),
            delivery_id=request.headers.get("X-GitHub-Delivery", ""),
            content_type=request.headers.get("Content-Type", ""),
            address=request.META.get("REMOTE_ADDR", ""),
        )
    )
    response = JsonResponse({"detail": answer.text}, status=answer.status)
    if answer.status == 429:
        response["Retry-After"] = "60"
    return response
