"""What the views of a kind of run answer about its log, live while the run goes on. Who may see a run is theirs to check:
every function here takes one that may be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string

from core.streamed import StreamedText
from runs import log_page
from runs.log import LogLine, every_chunk, lines_after
from runs.models import OPEN, Run
from runs.stream import stream_response


def context(
    request: HttpRequest, run: Run, steps: Iterable[log_page.StepOfLog], *, stream_url: str
) -> dict[str, object]:
    """For a page that includes `components/log.html`: `folds`, `last_line`, and `stream_url` to go on after that line.
    `?line=` in the page's address names a line that has to be among those shown."""
    line = whole_number(request.GET.get("line", ""))
    folds, last = log_page.shown(run.run_id, steps, line=line)
    return {"folds": folds, "last_line": last, "stream_url": f"{stream_url}?after={last}"}


def answer(request: HttpRequest, run: Run, *, file_name: str) -> HttpResponseBase:
    """The whole log as a text file (`?format=text`), or the lines after `?after=` as JSON, for pages whose stream does not
    work."""
    if request.GET.get("format") == "text":
        return download(request, run, file_name)
    after = whole_number(request.GET.get("after", ""))
    is_open = run.is_open  # read before the lines: what is written between the two is fetched next time
    fresh = lines_after(run.run_id, after)
    return JsonResponse(
        {**rendered(fresh), "after": fresh[-1].number if fresh else after, "ended": not is_open and not fresh}
    )


def download(request: HttpRequest, run: Run, file_name: str) -> HttpResponseBase:
    """The log as a text file, read while it is sent; for HEAD nothing is read."""
    parts = log_page.as_text(every_chunk(run.run_id)) if request.method == "GET" else ()
    response = StreamedText(parts, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def stream(request: HttpRequest, run: Run) -> HttpResponseBase:
    """The live log and the news of a run as server-sent events, after the last event that arrived, or `?after=`."""
    after = whole_number(request.headers.get("Last-Event-ID") or request.GET.get("after", ""))
    same = type(run)._default_manager.filter(pk=run.pk, state__in=OPEN)
    return stream_response(run.run_id, after, same.exists, rendered)


def rendered(fresh: Sequence[LogLine]) -> dict[str, object]:
    """New lines as live.js takes them."""
    if not fresh:
        return {"html": ""}
    html = render_to_string("components/log_folds.html", {"folds": log_page.folds(fresh)})
    return {"html": html, "count": fresh[-1].number}


def whole_number(text: str) -> int:
    """A line number of an address; anything else counts as 0."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0
