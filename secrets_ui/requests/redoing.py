"""A request that came to nothing, once more: its changes go into the draft of whoever asked, over what is current now."""

from __future__ import annotations

from dataclasses import replace

from audit.actors import Actor
from core.errors import Refused
from projects.models import SecretsFile
from secrets_ui.editing.drafts import Content, Edit, change_draft, draft_of
from secrets_ui.editing.merging import base_keys
from secrets_ui.editing.staging import known_secret
from secrets_ui.editing.whole import whole_edits
from secrets_ui.files.model import SecretsText
from secrets_ui.known.public import Place, changed_places, keys_of, label, names_of, public_rows
from secrets_ui.known.reading import read_version
from secrets_ui.known.rights import require
from secrets_ui.models import ChangeRequest
from secrets_ui.requests.deciding import is_own, is_stale, lapse


def redo(actor: Actor, file: SecretsFile, request: ChangeRequest) -> Content:
    """Puts the changes of one's own ended request into the draft, as if they had been typed over the version that it started
    from: the review merges them with what is current and shows clashes.

    Raises Refused (also while something else is typed), ExternalError (Gone where AWS has removed the version).
    """
    require(actor, file, "edit", what=request.version.version_id)
    if not is_own(actor, request):
        raise Refused("Only the person who asked can do it again.", code="secret-right")
    if is_stale(request):
        lapse(file, request)
    request.refresh_from_db()
    if request.state in (ChangeRequest.State.WAITING, ChangeRequest.State.APPROVED):
        raise Refused("It still waits, or was approved: there is nothing to do again.", code="stale")
    secret = known_secret(file)
    if draft_of(actor.user, secret).edits:
        raise Refused("You have typed other changes. Save or discard them first.", code="busy")
    version = request.version
    opened = read_version(file, secret, version.version_id).opened
    before = base_keys(file, secret, version.base_version)
    after = keys_of(public_rows(secret.arn, opened))
    whole = whole_edits({name for name, _ in before}, opened)
    gone = {edit.secret for edit in whole if edit.do == "drop"}
    changed = sorted(changed_places(before, after).items())
    edits = (*whole, *(_edit(opened, place, kind) for place, kind in changed if place[0] not in gone))
    return change_draft(
        actor.user, secret, lambda content: replace(content, edits=edits, base_version=version.base_version)
    )


def _edit(opened: SecretsText, place: Place, kind: str) -> Edit:
    if kind == "removed":
        return Edit(*place, "remove")
    by_name = dict(zip(names_of(opened), opened.secrets, strict=True))
    entry = by_name[place[0]].entry(place[1])
    if entry is None or entry.value is None:
        raise Refused(
            f"The value of {label(*place)} cannot be read. Nothing was changed.", code="not-editable"
        )
    return Edit(*place, "add" if kind == "added" else "set", entry.value)
