"""The parts of the pages as template tags; every template has them without `{% load %}`.

Small parts (a state, a revision, a time) are written here, because lists render thousands of them; larger ones are
templates in `templates/components/`, each with its contract at the head. Everything given to them is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from core import difflines, icons, loglines, words
from core.states import Look, look

register = template.Library()

NOTHING = mark_safe('<span class="faint">–</span>')


@register.simple_tag
def icon(name: str, classes: str = "", label: str = "") -> SafeString:
    """`{% icon "lock" %}`: a lucide icon; `classes` such as "large" or "faint"; `label` only where no text says it."""
    return icons.render(name, classes, label)


# States


def _state_icon(shown: Look, classes: str = "") -> SafeString:
    return icons.render(shown.icon, f"{shown.icon_classes} {classes}".strip())


@register.simple_tag
def state(value: object, word: str = "", size: str = "") -> SafeString:
    """`{% state deploy.state %}`: icon, word and colour. `word` replaces the word; `size="large"` for a page's title."""
    shown = look(value)
    return format_html(
        '<span class="state {}">{}{}</span>', shown.css, _state_icon(shown, size), word or shown.word
    )


@register.simple_tag
def state_icon(value: object, classes: str = "") -> SafeString:
    """Only the icon in its colour, where the words beside it say the state."""
    shown = look(value)
    return format_html('<span class="{}">{}</span>', shown.css, _state_icon(shown, classes))


@register.filter
def state_class(value: object) -> str:
    """`waiting`, `running`, `succeeded`, `failed` or `stopped`: lends its colour to the element it is on."""
    return look(value).css


@register.filter
def state_word(value: object) -> str:
    """The word of a state, for attributes and sentences."""
    return look(value).word


@register.simple_tag
def tag(text: str, tone: str = "", icon: str = "", title: str = "") -> SafeString:
    """`{% tag "drift" "waiting" icon="waves-horizontal" title="…" %}`: what is odd about a thing. `tone` is a state."""
    css = f"tag {look(tone).css}" if tone else "tag"
    drawn = icons.render(icon) if icon else ""
    named = format_html(' title="{}"', title) if title else ""
    return format_html('<span class="{}"{}>{}{}</span>', css, named, drawn, text)


# Revisions, people, keys, ids


@register.simple_tag
def revision(sha: str, url: str = "", subject: str = "", author: str = "") -> SafeString:
    """`{% revision sha commit_url subject author %}`: seven signs in mono, a link to the commit, its subject, its author."""
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
    """`{% person user %}` or a name as text: initials and name. Empty: –; the portal itself and rules: grey text."""
    if not who:
        return NOTHING
    name = who if isinstance(who, str) else str(who.get_full_name() or who.get_username())
    if name in ("system", "rule", "scheduler"):
        return format_html('<span class="quiet">{}</span>', name)
    badge = format_html('<span class="initials" aria-hidden="true">{}</span>', words.initials(name))
    return format_html('<span class="who">{}{}</span>', badge, name)


@register.simple_tag
def key(name: str) -> SafeString:
    """`{% key "DATABASE_URL" %}`: a key of a Secret, ConfigMap or variable."""
    return format_html('<span class="key">{}</span>', name)


@register.simple_tag
def short_id(text: str, url: str = "", title: str = "") -> SafeString:
    """`{% short_id pod.name url %}`: a long id; what does not fit is cut before its last part."""
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
    """`{% object_ref status.ref %}`: Kind/name of an `engine.types.ObjectRef` or its text; the whole of it on hover."""
    kind, _, name = str(ref).split("/", 2)
    return short_id(f"{kind.partition('.')[0]}/{name}", url, str(ref))


# Times


@register.simple_tag
def ago(moment: datetime | None, prefix: str = "") -> SafeString:
    """`{% ago deploy.created_at %}`: relative, absolute on hover (in the viewer's zone where script runs). None: –."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}{}</time>',
        moment.isoformat(timespec="seconds"), words.absolute(moment), prefix, words.ago(moment, timezone.now()),
    )  # fmt: skip


@register.simple_tag
def clock(moment: datetime | None) -> SafeString:
    """`{% clock line.at %}`: hour, minute and second; in UTC, or in the viewer's zone where script runs."""
    return loglines.clock(moment) if moment else NOTHING


@register.filter
def duration(seconds: float | None) -> str:
    """`{{ step.seconds|duration }}`: 1 min 12 s."""
    return words.duration(seconds)


@register.simple_tag
def elapsed(since: datetime | None) -> SafeString:
    """`{% elapsed deploy.started_at %}`: how long something has been running; goes on by itself where script runs."""
    if since is None:
        return NOTHING
    passed = words.duration((timezone.now() - since).total_seconds())
    return format_html(
        '<time datetime="{}" data-elapsed>{}</time>', since.isoformat(timespec="seconds"), passed
    )


# Amounts


@register.simple_tag
def progress(
    value: float, label: str, maximum: float = 100, tone: str = "running", classes: str = ""
) -> SafeString:
    """`{% progress 2 "Rollout" 3 %}`: a bar; say the number in words beside it. `classes="short"` inside a line."""
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
    """`{% copy id "reference" %}`: a button that copies `text`, or the page's address. Hidden where no script runs."""
    return format_html(
        '<button class="button plain small square" type="button" data-copy="{}" aria-label="Copy {}" title="Copy {}">'
        "{}</button>",
        text, what, what, icons.render("copy" if text else "link"),
    )  # fmt: skip


# Places


@register.simple_tag
def crumb(text: str, url: str = "") -> SafeString:
    """`{% crumb "Deploys" "/deploys/" %}` inside `{% block crumbs %}`; the last one, the page itself, without address."""
    if url:
        return format_html('<li><a href="{}">{}</a></li>', url, text)
    return format_html('<li aria-current="page"><span>{}</span></li>', text)


@register.inclusion_tag("components/pager.html")
def pager(newer: str = "", older: str = "", text: str = "") -> dict[str, str]:
    """`{% pager newer_url older_url "#1847 to #1825" %}`: keyset pages; an empty address greys its button out."""
    return {"newer": newer, "older": older, "text": text}


# Lists


@register.inclusion_tag("components/steps.html")
def steps(items: Iterable[Any], label: str = "Steps") -> dict[str, Any]:
    """`{% steps deploy_steps %}`: the steps of a run; see the template's contract."""
    return {"items": items, "label": label}


@register.inclusion_tag("components/checks.html")
def checks(items: Iterable[Any]) -> dict[str, Any]:
    """`{% checks results %}`: results of checks; see the template's contract."""
    return {"items": items}


@register.inclusion_tag("components/diff.html")
def diff(lines: Sequence[str], caption: str) -> dict[str, Any]:
    """`{% diff change.diff "Changes of Deployment worker" %}`: a unified diff as a table."""
    return {"rows": difflines.rows(lines), "caption": caption}


@register.simple_tag
def diff_counts(lines: Sequence[str]) -> SafeString:
    """`{% diff_counts change.diff %}`: +3 −1."""
    added, removed = difflines.counts(lines)
    return format_html('<span class="plus">+{}</span> <span class="minus">−{}</span>', added, removed)


@register.simple_tag
def log_lines(lines: Iterable[loglines.Line]) -> SafeString:
    """`{% log_lines lines %}`: numbered `<li>`s with an address each (#L12); goes inside `<ol class="log-lines">`."""
    return loglines.render(lines)


_TROUBLE = re.compile(r"\b(error|exception|fatal|panic|denied|refused)\b|(Error|Exception):", re.IGNORECASE)


@register.simple_tag
def output_lines(lines: Iterable[str]) -> SafeString:
    """`{% output_lines evidence.logs %}`: lines a container wrote, without numbers; those that look like errors in red."""
    marked = (("bad" if _TROUBLE.search(line) else "", line) for line in lines)
    return format_html_join("", '<li class="{}"><span>{}</span></li>', marked)


_EVENT = re.compile(r"^(?P<type>\w+) (?P<reason>\w+)(?: \(x(?P<count>\d+)\))?: (?P<text>.*)$", re.DOTALL)


@register.simple_tag
def cluster_event(text: str) -> SafeString:
    """`{% cluster_event "Warning BackOff (x5): …" %}`: an event as the engine's evidence writes it, as a list item."""
    parts = _EVENT.match(text)
    if parts is None:
        return format_html("<li>{}<span>{}</span></li>", state_icon("info"), text)
    times = format_html(' <span class="count">×{}</span>', parts["count"]) if parts["count"] else ""
    drawn = state_icon("warning" if parts["type"] == "Warning" else "info")
    return format_html("<li>{}<span><b>{}</b> {}{}</span></li>", drawn, parts["reason"], parts["text"], times)


# Parts that hold others


@register.simple_block_tag
def notice(content: str, tone: str = "info", classes: str = "") -> SafeString:
    """`{% notice "failed" %}<p>…</p>{% endnotice %}`: what the reader must know before going on; a trouble is read aloud."""
    shown = look(tone)
    role = "alert" if shown.css == "failed" else "note"
    return format_html(
        '<div class="notice {} {}" role="{}">{}{}</div>',
        shown.css,
        classes,
        role,
        icons.render(shown.icon),
        content,
    )


@register.simple_block_tag
def menu(content: str, label: str, icon: str = "", classes: str = "button") -> SafeString:
    """`{% menu "Export" icon="download" %}<a class="menu-item" …>{% endmenu %}`: two to six actions; no script needed."""
    drawn = icons.render(icon) if icon else ""
    return format_html(
        '<details class="menu" name="menu"><summary class="{}">{}{}{}</summary><div class="menu-panel">{}</div></details>',
        classes, drawn, label, icons.render("chevron-down"), content,
    )  # fmt: skip


@register.simple_block_tag
def dialog(content: str, dialog_id: str, title: str) -> SafeString:
    """`{% dialog "cancel" "Cancel #12?" %}…{% enddialog %}`, opened by `<button type="button" popovertarget="cancel">`."""
    return format_html(
        '<div class="dialog" id="{0}" popover role="dialog" aria-labelledby="{0}-title">'
        '<header class="panel-head"><h2 id="{0}-title">{1}</h2><button class="button plain small square push" type="button"'
        ' popovertarget="{0}" popovertargetaction="hide" aria-label="Close">{2}</button></header>{3}</div>',
        dialog_id, title, icons.render("x"), content,
    )  # fmt: skip


@register.simple_block_tag
def empty(content: str, title: str, icon: str = "") -> SafeString:
    """`{% empty "No deploys yet" icon="rocket" %}<p>what this is, first step</p>{% endempty %}`"""
    drawn = icons.render(icon, "large") if icon else ""
    return format_html('<div class="empty">{}<h2>{}</h2>{}</div>', drawn, title, content)
