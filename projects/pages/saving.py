"""Shared by the views of settings and infrastructure: saving a form, and the menu beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import typed
from core.findings import PASSED, Finding
from projects.models import Project
from projects.pages.checked_form import CheckedForm
from ui import forms
from ui.templatetags.ui import ago

PARTS = (
    ("general", "General", "projects:settings"),
    ("environments", "Environments", "projects:environments"),
    ("images", "Images", "projects:images"),
    ("builds", "Builds", "pushes:settings"),
    ("secrets_files", "Secrets files", "projects:secrets-files"),
    ("members", "Members", "projects:members"),
)


def kept_hint(set_at: datetime | None) -> SafeString:
    """The hint below the field of a stored secret."""
    when = format_html(" {}", ago(set_at)) if set_at else ""
    return format_html("Set{}, and never shown again. Leave this empty to keep it.", when)


def saved(
    request: HttpRequest,
    form: CheckedForm,
    save: Callable[[], object],
    *,
    checks: Callable[[], Sequence[Finding]] = tuple,
    done: str,
    also: Callable[[], bool] = lambda: True,
) -> bool:
    """Saves a sent form. Returns whether it was saved; if not, the form shows all errors and the input, and keeps the secrets.

    `checks` (live validation) tries what is valid (`CheckedForm.has`), so that all errors are told at once. `also`: whether the
    other forms of the page are valid. `done`: the sentence for the next page; warnings of the checks follow it there.
    """
    typed.fill(request, form)
    valid = form.is_valid() & also()
    secrets = typed.entered(form)
    if not (form.take(checks()) & valid) or not forms.saved(form, save):
        kept = {
            name: value for name, value in secrets.items() if form.offers_override or name not in form.errors
        }
        typed.keep(request, form, kept)
        return False
    typed.forget(request, form)
    messages.success(request, done)
    for finding in form.findings:
        if finding.state != PASSED:
            messages.warning(request, f"{finding.text} {finding.detail}".strip())
    return True


def menu_of(project: Project, part: str) -> list[dict[str, object]]:
    """The menu beside a project's settings. `part`: the current entry."""
    return [
        {"name": name, "url": reverse(url, args=[project.slug]), "current": key == part}
        for key, name, url in PARTS
    ]


def settings_page(
    request: HttpRequest,
    template: str,
    project: Project,
    part: str,
    form: CheckedForm | None = None,
    **context: Any,
) -> HttpResponse:
    """Renders a page of a project's settings. `part`: the current entry of the menu."""
    menu = menu_of(project, part)
    return forms.page(request, f"projects/{template}.html", form, project=project, menu=menu, **context)
