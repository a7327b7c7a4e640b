"""The review before a save: changes, comment, and the changes of two people side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST

from adapters.errors import ExternalError
from audit.actors import person
from core.errors import Refused
from core.kept import keeps
from engine.errors import ManifestError, SlipwayError
from projects.models import SecretsFile
from secrets_ui.editing.asking import demands_request
from secrets_ui.editing.drafts import Edit
from secrets_ui.editing.merging import Merged
from secrets_ui.editing.saving import resolve, review, save
from secrets_ui.known.public import Key, Place, label
from secrets_ui.known.reference import Reference, reference_at
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import SecretVersion
from secrets_ui.pages.edit_views import editable
from secrets_ui.pages.finding import holds_values, page_url, said, url_of
from secrets_ui.pages.forms import SaveForm, decisions
from secrets_ui.pages.rows import last_changes
from secrets_ui.pages.views_of_files import is_flat
from ui.forms import refuse

_WORDS = {"set": "changed", "add": "added", "remove": "removed", "rename": "renamed"}


@dataclass(frozen=True)
class Change:
    """One line of the review. `before`, `after`: the key without its value."""

    edit: Edit
    kind: str
    before: Key | None
    after: Key | None
    problem: str = ""
    readers: tuple[str, ...] = ()
    alone: bool = False

    @property
    def name(self) -> str:
        """As the page calls it: a file of one Secret does not repeat that one's name."""
        return self.edit.key if self.alone else self.place

    @property
    def place(self) -> str:
        """The key as it is called before."""
        return label(*self.edit.place)

    @property
    def flags(self) -> list[tuple[str, str, str]]:
        """Oddities of the new value."""
        return list(self.after.flags) if self.after is not None and self.edit.value is not None else []

    @property
    def length(self) -> SafeString:
        """`10 → 95`."""
        numbers = [f"{key.length:,}" if key else "0" for key in (self.before, self.after)]
        return _arrow(numbers if self.before else numbers[1:])

    @property
    def kinds(self) -> SafeString:
        """`text → URL`."""
        return _arrow([key.kind for key in (self.before, self.after) if key])

    @property
    def ends(self) -> SafeString:
        """How line ends change, where they do."""
        texts = [_ends(key) for key in (self.before, self.after) if key]
        is_odd = len(set(texts)) > 1 or (self.before is None and self.after is not None and self.after.breaks)
        return _arrow(texts) if is_odd else SafeString("")


@dataclass(frozen=True)
class Theirs:
    """A key that somebody else changed since the draft began."""

    place: str
    kind: str
    who: str
    when: Any
    comment: str


@require_http_methods(["GET", "HEAD", "POST"])
@keeps(SaveForm)
@holds_values
def review_page(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """GET: what saving would do. POST: saves."""
    found = editable(request, project, environment, file)
    try:
        merged = review(person(request.user), found)
    except Refused as error:
        if request.method == "POST" and (done := sent_before(request, found)) is not None:
            return saved(request, found, done)
        messages.info(request, said(error))
        return redirect(page_url(found))
    except (ExternalError, ManifestError) as error:
        return unreadable(request, found, error)
    removes = sum(1 for edit in merged.edits if edit.do == "remove")
    form = SaveForm(
        request.POST if request.method == "POST" else None, environment=found.environment, removes=removes
    )
    if request.method == "POST" and form.is_valid():
        try:
            token, comment = str(form.cleaned_data["save_id"]), form.cleaned_data["comment"]
            return saved(request, found, save(person(request.user), found, token=token, comment=comment))
        except SlipwayError as error:
            refuse(form, error)
    return render(
        request,
        "secrets_ui/review.html",
        context_of(request, found, merged, form),
        status=422 if form.errors else 200,
    )


def sent_before(request: HttpRequest, file: SecretsFile) -> SecretVersion | None:
    """The version of a form that was sent twice: the second time there is nothing to save any more."""
    form = SaveForm(request.POST, environment=file.environment)
    if not form.is_valid():
        return None
    try:
        return save(
            person(request.user),
            file,
            token=str(form.cleaned_data["save_id"]),
            comment=form.cleaned_data["comment"],
        )
    except SlipwayError:
        return None


def saved(request: HttpRequest, file: SecretsFile, row: SecretVersion | None) -> HttpResponse:
    """Back to the page."""
    if row is None:
        messages.info(request, "All of this is stored already: nothing was saved.")
    elif row.state == SecretVersion.State.WAITING:
        messages.success(request, "Asked for. It waits until another person has approved it.")
        return redirect(url_of("requests", file))
    else:
        messages.success(
            request, f"Saved as version {row.version_id[:8]}. Pods take it with the next deploy."
        )
    return redirect(page_url(file))


def unreadable(request: HttpRequest, file: SecretsFile, error: SlipwayError) -> HttpResponse:
    """AWS or the file does not let itself be read: what was typed is kept."""
    context = {"file": file, "environment": file.environment, "project": file.environment.project, "error": error,
               "back": page_url(file)}  # fmt: skip
    return render(request, "secrets_ui/review_unreadable.html", context, status=502)


def context_of(request: HttpRequest, file: SecretsFile, merged: Merged, form: SaveForm) -> dict[str, Any]:
    """The page's context: names, kinds and lengths."""
    secret = secret_of(file)
    reference = reference_at(file.environment, {file.path: secret.arn} if secret else {})
    made = changes(merged, reference)
    between = history_between(file, merged)
    others = [their(place, kind, between) for place, kind in sorted(merged.theirs.items())]
    by_place = {other.place: other for other in others}
    clashing = {label(*place) for place in merged.clashes}
    return {
        "file": file,
        "environment": file.environment,
        "project": file.environment.project,
        "merged": merged,
        "changes": made,
        "counts": counted(made),
        "untouched": len(merged.before) - sum(1 for change in made if change.before),
        "clashes": [(place, by_place[label(*place)]) for place in merged.clashes],
        "theirs": [other for other in others if other.place not in clashing],
        "form": form,
        "back": page_url(file),
        "blocked": bool(merged.clashes or merged.problems),
        "secret": secret,
        "asks": demands_request(file),
    }


def changes(merged: Merged, reference: Reference) -> list[Change]:
    """The edits as lines; those that change nothing any more are left out."""
    flat, alone = is_flat(merged.before), len({secret for secret, _ in merged.before}) == 1
    made = []
    for edit in merged.edits:
        after = merged.after.get((edit.secret, edit.to or edit.key)) if edit.do != "remove" else None
        before = merged.before.get(edit.place)
        kind = "added" if edit.do in ("set", "add") and before is None else _WORDS[edit.do]
        kind = "changed" if edit.do == "add" and before is not None else kind
        if (
            before is not None
            and after is not None
            and before == after
            and not merged.problems
            and not merged.clashes
        ):
            continue
        readers = tuple(reference.read_by(edit.place)) if not flat else ()
        problem = merged.problems.get(edit.place, "")
        made.append(Change(edit, kind, before, after, problem, readers, alone))
    return made


def counted(made: Iterable[Change]) -> str:
    """`1 added, 2 changed`."""
    kinds = [change.kind for change in made]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in _WORDS.values() if kind in kinds)


def history_between(file: SecretsFile, merged: Merged) -> Mapping[str, SecretVersion]:
    """The last version that touched a key since the draft began, by the key's label."""
    secret = secret_of(file)
    rows = (
        SecretVersion.objects.filter(secret=secret, state=SecretVersion.State.STORED)
        .order_by("-id")
        .defer("keys")
    )
    found = []
    for row in rows[:100]:
        if row.version_id == merged.base_version:
            break
        found.append(row)
    return last_changes(found)


def their(place: Place, kind: str, between: Mapping[str, SecretVersion]) -> Theirs:
    """A key of theirs; outside the portal nobody has a name."""
    row = between.get(label(*place))
    if row is None:
        return Theirs(label(*place), kind, "", None, "")
    return Theirs(label(*place), kind, row.actor_text, row.stored_at or row.created_at, row.comment)


@require_POST
@holds_values
def decide(request: HttpRequest, project: str, environment: str, file: int) -> HttpResponse:
    """POST: decides whose value stays, for each key that both changed."""
    found = editable(request, project, environment, file)
    actor = person(request.user)
    merged = review(actor, found)
    sides = decisions(request.POST, merged.clashes)
    try:
        left = resolve(actor, found, current=str(request.POST.get("current", "")), mine=sides)
    except Refused as error:
        messages.error(request, said(error))
        return redirect(url_of("review", found))
    if not left.edits:
        messages.info(request, "Nothing of yours is left to save.")
        return redirect(page_url(found))
    return redirect(url_of("review", found))


def _arrow(texts: list[str]) -> SafeString:
    if not texts:
        return SafeString("")
    if len(set(texts)) == 1:
        return format_html("{}", texts[0])
    return format_html("{} → {}", texts[0], texts[-1])


def _ends(key: Key) -> str:
    return f"{key.breaks}{', final' if key.final else ', no final'} line end" if key.breaks else "no line end"
