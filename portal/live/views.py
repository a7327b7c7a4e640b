"""The stream of changes for open pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from core import changes as changes_of
from core.errors import Refused
from people.sessions import user_of
from portal.live.feed import MOST_STREAMS, Viewer, events, feed
from projects.access import visible_projects


@require_safe
async def changes(request: HttpRequest) -> HttpResponseBase:
    """GET: server-sent events; `changed` when something that the page shows has changed. `?project=`: only of this project;
    `?topic=`: only of this topic, for pages that are about no single project. Raises Refused when the person has too many
    streams."""
    session_key, person = request.session.session_key, str((await request.auser()).pk)

    def visible() -> set[str] | None:
        user = user_of(session_key)
        return set(visible_projects(user).values_list("slug", flat=True)) if user else None

    if not feed().has_place(person):
        raise Refused(
            f"You have {MOST_STREAMS} live pages open.", hint="Close some of them.", code="too-many-streams"
        )
    topic = request.GET.get("topic", "")
    viewer = Viewer(
        person, visible, request.GET.get("project", "")[:40], topic if topic in changes_of.TOPICS else ""
    )
    response = StreamingHttpResponse(events(viewer), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response
