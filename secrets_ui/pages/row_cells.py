"""The cells that every row of the table of keys has, as HTML. A file may have hundreds of keys, and a template takes several
times as long for each.

Buttons of rows belong to two forms that stand once in the page (`remove-key`, `undo-key`), and icons to drawings that do, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from urllib.parse import quote

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from projects.secret_rights import Right
from secrets_ui.pages.rows import Row
from ui import icons
from ui.templatetags.ui import ago, state

NOTHING = mark_safe("")
NO_LENGTH = mark_safe('<span class="faint">–</span>')
REVEAL, EDIT, REMOVE, UNDO = "eye", "pencil", "trash-2", "undo-2"
DRAWN = (REVEAL, EDIT, REMOVE, UNDO)  # the icons that a page with these cells has to hold once


@dataclass(frozen=True)
class ShownRow:
    """A row of the page. `middle`: its state, kind, length and last change; `actions`: what can be done to it."""

    row: Row
    middle: SafeString
    actions: SafeString


def shown_rows(rows: Sequence[Row], file_pk: int, may: Mapping[Right, bool]) -> list[ShownRow]:
    """Each row with its cells. `may`: the person's rights (reveal, edit)."""
    when: Callable[[datetime | None], SafeString] = cache(ago)  # many keys came with one version
    state_of: Callable[[str], SafeString] = cache(state)
    return [ShownRow(row, _middle(row, state_of, when), _actions(row, file_pk, may)) for row in rows]


def _middle(
    row: Row, state_of: Callable[[str], SafeString], when: Callable[[datetime | None], SafeString]
) -> SafeString:
    return format_html(
        '<td class="fit">{}</td><td class="fit wide">{}</td><td class="num wide">{}</td>'
        '<td class="fit wide">{} <span class="quiet">{}</span></td>',
        state_of(row.state),
        row.kind,
        NO_LENGTH if row.key is None else f"{row.key.length:,}",
        when(row.changed_at),
        row.changed_by,
    )


def _actions(row: Row, file_pk: int, may: Mapping[Right, bool]) -> SafeString:
    """Undo, reveal, edit and remove, as far as the person may and the key can."""
    parts = [_undo(row)] if row.edit is not None and may["edit"] else []
    if row.key is not None and may["reveal"]:
        parts.append(_link(row, file_pk, "reveal", "Look at the value", REVEAL))
    if may["edit"] and row.can_change:
        parts += _settings(row, file_pk) if row.key is None else _changes(row, file_pk)
    return mark_safe("".join(parts))  # noqa: S308 (each part is escaped)


def _settings(row: Row, file_pk: int) -> list[SafeString]:
    """Of a key that is not in the file: a typed value can be changed, a missing one set; what was removed stays removed."""
    if row.edit is not None and row.edit.value:
        return [_link(row, file_pk, "edit", "Change", EDIT)]
    return [_set(row, file_pk)] if row.state != "removed" or row.edit is not None else []


def _changes(row: Row, file_pk: int) -> list[SafeString]:
    remove = format_html(
        '<button class="button small plain square" form="remove-key" name="place" value="{}" title="Remove"'
        ' aria-label="Remove {}">{}</button>',
        row.id, row.name, icons.drawn(REMOVE),
    )  # fmt: skip
    return [_link(row, file_pk, "edit", "Change", EDIT), remove]


def _undo(row: Row) -> SafeString:
    return format_html(
        '<button class="button small plain" form="undo-key" name="place" value="{}">{}Undo'
        '<span class="hidden-label"> {}</span></button>',
        row.typed_id, icons.drawn(UNDO), row.name,
    )  # fmt: skip


def _link(row: Row, file_pk: int, what: str, title: str, icon: str) -> SafeString:
    return format_html(
        '<a class="button small plain square" href="{}" title="{}" aria-label="{} {}">{}</a>',
        _address(row, file_pk, what), title, what.capitalize(), row.name, icons.drawn(icon),
    )  # fmt: skip


def _set(row: Row, file_pk: int) -> SafeString:
    return format_html(
        '<a class="button small{}" href="{}">Set a value<span class="hidden-label"> for {}</span></a>',
        NOTHING if row.edit is not None else " ready", _address(row, file_pk, "edit"), row.name,
    )  # fmt: skip


def _address(row: Row, file_pk: int, what: str) -> str:
    return f"?file={file_pk}&{what}={quote(row.id, safe='')}#{row.id}"
