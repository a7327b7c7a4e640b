"""Contexts and responses for the log of a run, for the views of every kind of run.

The views check the user's right to the run before they call these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string

from core.streamed import StreamedText
from runs import log_page
from runs.log import LogLine, every_chunk, lines_after
from runs.models import OPEN, Run
from runs.stream import Viewer, stream_response


def context(
    request: HttpRequest, run: Run, steps: Iterable[log_page.StepOfLog], *, stream_url: str
) -> dict[str, object]:
    """Context for `components/log.html`: `folds`, `last_line` (number), and `stream_url` for the lines after it. `?line=` in
    the page's address names a line that must be shown."""
    line = whole_number(request.GET.get("line", ""))
    folds, last = log_page.shown(run.run_id, steps, line=line)
    return {"folds": folds, "last_line": last, "stream_url": f"{stream_url}?after={last}"}


def log_response(request: HttpRequest, run: Run, *, file_name: str) -> HttpResponseBase:
    """The whole log as a text file (`?format=text`), or the lines after `?after=` as JSON (`html`, `count`, `after`, `ended`),
    for browsers without a stream."""
    if request.GET.get("format") == "text":
        return download(request, run, file_name)
    after = whole_number(request.GET.get("after", ""))
    is_open = run.is_open  # read before the lines: the next request fetches lines that are written in between
    fresh = lines_after(run.run_id, after)
    return JsonResponse(
        {**rendered(fresh), "after": fresh[-1].number if fresh else after, "ended": not is_open and not fresh}
    )


def download(request: HttpRequest, run: Run, file_name: str) -> HttpResponseBase:
    """The log as a text file, read while it is sent. HEAD reads no lines."""
    parts = log_page.as_text(every_chunk(run.run_id)) if request.method == "GET" else ()
    response = StreamedText(parts, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def stream(request: HttpRequest, run: Run, *, may_read: Callable[[], bool]) -> HttpResponseBase:
    """The live log and the changes of a run as server-sent events, after the line in `Last-Event-ID` or `?after=`. `may_read`:
    asked again and again while the stream lasts, in another thread. Raises Refused when the person has too many streams."""
    after = whole_number(request.headers.get("Last-Event-ID") or request.GET.get("after", ""))
    same = type(run)._default_manager.filter(pk=run.pk, state__in=OPEN)
    viewer = Viewer(str(request.user.pk), may_read)
    return stream_response(run.run_id, after, same.exists, rendered, viewer)


def rendered(fresh: Sequence[LogLine]) -> dict[str, object]:
    """New lines as data for live.js: `html`, and `count`, the number of the last line. Empty `html` without lines."""
    if not fresh:
        return {"html": ""}
    html = render_to_string("components/log_folds.html", {"folds": log_page.folds(fresh)})
    return {"html": html, "count": fresh[-1].number}


def whole_number(text: str) -> int:
    """A line number from an address; 0 for any other text."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0
