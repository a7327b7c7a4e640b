"""The larger parts of the pages as template tags. Every template has them without `{% load %}`.

Most are templates in `templates/components/`, each with its contract at the head. Block tags do not escape the content
between start and end tag: the template that wrote it has escaped it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import template
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import BaseForm
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ui import difffolds, difflines, icons, loglines
from ui.states import look
from ui.templatetags import ui

register = template.Library()


@register.inclusion_tag("components/pager.html")
def pager(newer: str = "", older: str = "", text: str = "") -> dict[str, str]:
    """`{% pager newer_url older_url "#1847 to #1825" %}`: buttons to other pages; an empty address disables its button."""
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
    return {"rows": difffolds.folded(difflines.rows(lines)), "caption": caption}


@register.simple_tag
def diff_counts(lines: Sequence[str]) -> SafeString:
    """`{% diff_counts change.diff %}`: +3 −1."""
    added, removed = difflines.counts(lines)
    return format_html('<span class="plus">+{}</span> <span class="minus">−{}</span>', added, removed)


@register.simple_tag
def log_lines(lines: Iterable[loglines.Line]) -> SafeString:
    """`{% log_lines lines %}`: numbered `<li>`s, each with an address (#L12), for an `<ol class="log-lines">`."""
    return loglines.render(lines)


_TROUBLE = re.compile(r"\b(error|exception|fatal|panic|denied|refused)\b|(Error|Exception):", re.IGNORECASE)


@register.simple_tag
def output_lines(lines: Iterable[str]) -> SafeString:
    """`{% output_lines evidence.logs %}`: a container's lines without numbers; lines that look like errors are red."""
    marked = (("bad" if _TROUBLE.search(line) else "", line) for line in lines)
    return format_html_join("", '<li class="{}"><span>{}</span></li>', marked)


@register.simple_tag
def cluster_event(event: Mapping[str, Any] | str) -> SafeString:
    """`{% cluster_event event %}`: an event of the cluster as a list item. `event`: a mapping with type, reason, text and
    count. Older deploys stored a text instead, which is shown as it is."""
    if isinstance(event, str):
        drawn = ui.state_icon("warning" if _is_warning(event) else "info")
        return format_html("<li>{}<span>{}</span></li>", drawn, event)
    times = format_html(' <span class="count">×{}</span>', event["count"]) if event["count"] > 1 else ""
    drawn = ui.state_icon("warning" if _is_warning(event) else "info")
    return format_html("<li>{}<span><b>{}</b> {}{}</span></li>", drawn, event["reason"], event["text"], times)


def _is_warning(event: Mapping[str, Any] | str) -> bool:
    return event.startswith("Warning") if isinstance(event, str) else event["type"] == "Warning"


@register.filter
def warnings(events: Iterable[Mapping[str, Any] | str] | None) -> list[Mapping[str, Any] | str]:
    """Of events as `cluster_event` takes them: the warnings."""
    return [event for event in events or () if _is_warning(event)]


@register.filter
def normal_events(events: Iterable[Mapping[str, Any] | str] | None) -> list[Mapping[str, Any] | str]:
    """The others."""
    return [event for event in events or () if not _is_warning(event)]


@register.filter
def wrong_fields(form: BaseForm) -> int:
    """How many fields of a form have an error."""
    return sum(name != NON_FIELD_ERRORS for name in form.errors)


_DJANGO_404 = re.compile(
    r"^(Resolver404|Http404|No \w+ matches the given query\.|.*\bURLconf\b.*)$", re.DOTALL
)


@register.filter
def plain_reason(text: object, otherwise: str) -> str:
    """The portal's own reason for a 404 or 403; `otherwise` when `text` is only Django's standard message."""
    given = str(text or "").strip()
    return otherwise if not given or _DJANGO_404.match(given) else given


# Parts that hold others


@register.simple_block_tag
def notice(content: str, tone: str = "info", classes: str = "") -> SafeString:
    """`{% notice "failed" %}<p>…</p>{% endnotice %}`: an important message; screen readers announce a failure."""
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
    """`{% menu "Export" icon="download" %}<a class="menu-item" …>{% endmenu %}`: two to six actions; needs no script."""
    drawn = icons.render(icon) if icon else ""
    return format_html(
        '<details class="menu" name="menu"><summary class="{}">{}{}{}</summary>'
        '<div class="menu-panel">{}</div></details>',
        classes, drawn, label, icons.render("chevron-down"), content,
    )  # fmt: skip


@register.simple_block_tag
def dialog(content: str, dialog_id: str, title: str) -> SafeString:
    """`{% dialog "cancel" "Cancel #12?" %}…{% enddialog %}`, opened by a `<button popovertarget="cancel">`."""
    return format_html(
        '<div class="dialog" id="{0}" popover role="dialog" aria-labelledby="{0}-title">'
        '<div class="panel-head"><h2 id="{0}-title">{1}</h2>'
        '<button class="button plain small square push" type="button"'
        ' popovertarget="{0}" popovertargetaction="hide" aria-label="Close">{2}</button></div>{3}</div>',
        dialog_id, title, icons.render("x"), content,
    )  # fmt: skip


@register.simple_block_tag
def empty(content: str, title: str, icon: str = "") -> SafeString:
    """`{% empty "No deploys yet" icon="rocket" %}<p>explanation, first step</p>{% endempty %}`: an empty list."""
    drawn = icons.render(icon, "large") if icon else ""
    return format_html('<div class="empty">{}<h2>{}</h2>{}</div>', drawn, title, content)
