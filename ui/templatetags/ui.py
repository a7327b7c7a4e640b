"""The small parts of the pages as template tags (states, revisions, people, times). Every template has them without
`{% load %}`.

They are Python and not templates, because lists render thousands of them. They escape all arguments. The larger parts
are in `ui_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from ui import icons, loglines, words
from ui.states import Look, look

register = template.Library()

NOTHING = mark_safe('<span class="faint">–</span>')


@register.simple_tag
def icon(name: str, classes: str = "", label: str = "") -> SafeString:
    """`{% icon "lock" %}`: a lucide icon; `classes` such as "large" or "faint"; `label` only for an icon without a text."""
    return icons.render(name, classes, label)


@register.simple_tag
def drawings(names: Iterable[str]) -> SafeString:
    """`{% drawings names %}`: what the icons of `icons.drawn` refer to, once in a page with hundreds of them."""
    return icons.drawings(names)


# States


def _state_icon(shown: Look, classes: str = "") -> SafeString:
    return icons.render(shown.icon, f"{shown.icon_classes} {classes}".strip())


@register.simple_tag
def state(value: object, word: str = "", size: str = "") -> SafeString:
    """`{% state deploy.state %}`: icon, word and colour. `word`: another word; `size="large"` in a page's title."""
    shown = look(value)
    return format_html(
        '<span class="state {}">{}{}</span>', shown.css, _state_icon(shown, size), word or shown.word
    )


@register.simple_tag
def state_icon(value: object, classes: str = "") -> SafeString:
    """Only the icon in its colour, for places where a text names the state."""
    shown = look(value)
    return format_html('<span class="state-icon {}">{}</span>', shown.css, _state_icon(shown, classes))


@register.filter
def state_class(value: object) -> str:
    """The colour class of a state: `waiting`, `running`, `succeeded`, `failed` or `stopped`."""
    return look(value).css


@register.filter
def state_word(value: object) -> str:
    """The word of a state, for attributes and sentences."""
    return look(value).word


@register.filter
def state_icon_name(value: object) -> str:
    """The lucide name of a state's icon, for templates that set the colour themselves."""
    return look(value).icon


# A step in one of these states has not begun: it is grey and has no word.
_NOT_BEGUN = ("", "pending", "queued", "waiting", "not_started")


@register.filter
def step_class(value: object) -> str:
    """The colour class of a step's state; empty while it has not begun."""
    return "" if str(value or "") in _NOT_BEGUN else look(value).css


@register.simple_tag
def step_icon(value: object) -> SafeString:
    """The icon of a step's state."""
    return icons.render("circle") if not step_class(value) else _state_icon(look(value))


@register.simple_tag
def tag(text: str, tone: str = "", icon: str = "", title: str = "") -> SafeString:
    """`{% tag "drift" "waiting" icon="waves-horizontal" title="…" %}`: a short label for something unusual. `tone` is a
    state."""
    css = f"tag {look(tone).css}" if tone else "tag"
    drawn = icons.render(icon) if icon else ""
    named = format_html(' title="{}"', title) if title else ""
    return format_html('<span class="{}"{}>{}{}</span>', css, named, drawn, text)


# Revisions, people, keys, ids


@register.simple_tag
def revision(sha: str, url: str = "", subject: str = "", author: str = "") -> SafeString:
    """`{% revision sha commit_url subject author %}`: the first seven digits, linked to the commit; subject, author."""
    if not sha:
        return NOTHING
    short = sha[:7]
    if url:
        link = format_html('<a class="rev" href="{}" title="{}">{}</a>', url, sha, short)
    else:
        link = format_html('<span class="rev plain" title="{}">{}</span>', sha, short)
    if not subject and not author:
        return link
    by = format_html('<span class="quiet fixed">{}</span>', author) if author else ""
    return format_html(
        '<span class="line tight fixed">{}<span class="cut" title="{}">{}</span>{}</span>',
        link,
        subject,
        subject,
        by,
    )


@register.simple_tag
def person(who: Any) -> SafeString:
    """`{% person user %}`, also with a name as text: initials and name. Empty: –; the portal itself and rules: grey text."""
    name = str(who or "")
    if not name:
        return NOTHING
    if name in ("system", "rule", "scheduler"):
        return format_html('<span class="quiet">{}</span>', name)
    badge = format_html('<span class="initials" aria-hidden="true">{}</span>', words.initials(name))
    return format_html('<span class="who">{}{}</span>', badge, name)


@register.filter
def initials(name: object) -> str:
    """Two letters for a person or a name."""
    return words.initials(str(name))


@register.simple_tag
def key(name: str) -> SafeString:
    """`{% key "DATABASE_URL" %}`: a key of a Secret, ConfigMap or variable."""
    return format_html('<span class="key">{}</span>', name)


@register.simple_tag
def short_id(text: str, url: str = "", title: str = "") -> SafeString:
    """`{% short_id pod.name url %}`: a long id; where space is short, it is cut before its last part."""
    head, tail = words.split_id(text)
    parts = (
        format_html("<span>{}</span><span>{}</span>", head, tail)
        if tail
        else format_html("<span>{}</span>", head)
    )
    if url:
        return format_html('<a class="id" href="{}" title="{}">{}</a>', url, title or text, parts)
    return format_html('<span class="id" title="{}">{}</span>', title or text, parts)


@register.simple_tag
def object_ref(ref: Any, url: str = "") -> SafeString:
    """`{% object_ref status.ref %}`: Kind/name of an `engine.types.ObjectRef` or its text; the full text on hover."""
    kind, _, name = str(ref).split("/", 2)
    return short_id(f"{kind.partition('.')[0]}/{name}", url, str(ref))


# Times


@register.simple_tag
def ago(moment: datetime | None, prefix: str = "") -> SafeString:
    """`{% ago deploy.created_at %}`: relative; absolute on hover (scripts convert it to the viewer's zone). None: –."""
    if not moment:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}{}</time>',
        moment.isoformat(timespec="seconds"), words.absolute(moment), prefix, words.ago(moment, timezone.now()),
    )  # fmt: skip


@register.simple_tag
def lasting(moment: datetime | None) -> SafeString:
    """`fails {% lasting row.failed_at %}`: “for 3 min”, how long something has been so. None: –."""
    if not moment:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="since {}" data-lasting>{}</time>',
        moment.isoformat(timespec="seconds"), words.absolute(moment), words.lasting(moment, timezone.now()),
    )  # fmt: skip


@register.simple_tag
def clock(moment: datetime | None) -> SafeString:
    """`{% clock line.at %}`: hour, minute and second in UTC; scripts convert it to the viewer's zone."""
    return loglines.clock(moment) if moment else NOTHING


@register.filter
def duration(seconds: object) -> str:
    """`{{ step.seconds|duration }}`: 1 min 12 s; `–` for None and for a missing variable."""
    return words.duration(seconds if isinstance(seconds, int | float) else None)


@register.simple_tag
def elapsed(since: datetime | None) -> SafeString:
    """`{% elapsed deploy.started_at %}`: the time since then; scripts keep it counting."""
    if not since:
        return NOTHING
    passed = words.duration((timezone.now() - since).total_seconds())
    return format_html(
        '<time datetime="{}" data-elapsed>{}</time>', since.isoformat(timespec="seconds"), passed
    )


@register.simple_tag
def left(until: datetime | None) -> SafeString:
    """`{% left credential.expires_at %}`: the time until then, or "ended"; scripts keep it counting."""
    if not until:
        return NOTHING
    rest = (until - timezone.now()).total_seconds()
    return format_html(
        '<time datetime="{}" title="{}" data-left>{}</time>',
        until.isoformat(timespec="seconds"), words.absolute(until), words.duration(rest) if rest > 0 else "ended",
    )  # fmt: skip


@register.simple_tag
def at(moment: datetime | None) -> SafeString:
    """`{% at token.expires_at %}`: hour and minute in UTC, for moments of today; scripts convert it to the viewer's zone."""
    if not moment:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}" data-at>{}</time>',
        moment.isoformat(timespec="seconds"), words.absolute(moment), f"{moment.astimezone(UTC):%H:%M} UTC",
    )  # fmt: skip


@register.simple_tag
def when(moment: datetime | None) -> SafeString:
    """`{% when deploy.ended_at %}`: date, hour and minute in UTC; scripts convert it to the viewer's zone."""
    if not moment:
        return NOTHING
    text = f"{moment.astimezone(UTC):%-d %b, %H:%M} UTC"
    return format_html(
        '<time datetime="{}" title="{}" data-when>{}</time>',
        moment.isoformat(timespec="seconds"), words.absolute(moment), text,
    )  # fmt: skip


# Amounts


@register.simple_tag
def progress(
    value: float, label: str, maximum: float = 100, tone: str = "running", classes: str = ""
) -> SafeString:
    """`{% progress 2 "Rollout" 3 %}`: a bar; write the number as text beside it. `classes="short"` inside a line."""
    percent = round(100 * value / maximum) if maximum else 0
    css = f"progress {look(tone).css} {classes}".strip()
    return format_html(
        '<progress class="{}" max="{}" value="{}" aria-label="{}">{} %</progress>',
        css,
        maximum,
        value,
        label,
        percent,
    )


@register.simple_tag
def copy(text: str = "", what: str = "link") -> SafeString:
    """`{% copy id "reference" %}`: a button that copies `text`, or the page's address. Hidden without scripts."""
    return format_html(
        '<button class="button plain small square" type="button" data-copy="{}" aria-label="Copy {}" title="Copy {}">'
        "{}</button>",
        text, what, what, icons.render("copy" if text else "link"),
    )  # fmt: skip


# Places


@register.simple_tag
def crumb(text: str, url: str = "") -> SafeString:
    """`{% crumb "Deploys" "/deploys/" %}` in `{% block crumbs %}`; the last crumb, the page itself, has no address."""
    if url:
        return format_html('<li><a href="{}">{}</a></li>', url, text)
    return format_html('<li aria-current="page"><span>{}</span></li>', text)
