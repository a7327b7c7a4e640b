"""Handling a form in a view: bind it, save it, show a refusal beside its field, show the page again with status 422."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from engine.errors import SlipwayError
from ui.refused import note


class Unseen(forms.Textarea):
    """A text area for a secret of several lines. Its value is never sent back to the browser, not even when the session
    has ended."""

    holds_secret = True  # core/kept.py

    def __init__(self, rows: int) -> None:
        super().__init__({"rows": rows, "class": "mono", "autocomplete": "off", "spellcheck": "false"})

    def format_value(self, value: Any) -> str:
        return ""

    def use_required_attribute(self, initial: Any) -> bool:
        """Never required in the browser: the form may keep a stored secret, or take a file instead."""
        return False


def posted(request: HttpRequest) -> QueryDict | None:
    """The data to bind a form to: the sent fields of a POST; of a GET what was typed before the last session ended, if it
    waits for this page (`late_form`, which core/again.py sets); else None."""
    if request.method == "POST":
        return request.POST
    found: QueryDict | None = getattr(request, "late_form", lambda: None)()
    return found


def saved(form: forms.BaseForm, save: Callable[[], object], *, otherwise: str | None = None) -> bool:
    """Calls `save()` if the form is valid. Returns whether it was saved; if not, the form shows the errors and the input.

    `otherwise`: the field that shows a ValidationError without a field; by default the head of the form shows it. Errors
    other than SlipwayError and ValidationError pass through.
    """
    if not form.is_valid():
        return False
    try:
        save()
    except (SlipwayError, ValidationError) as error:
        refuse(form, error, otherwise=otherwise)
        return False
    return True


def refuse(
    form: forms.BaseForm, error: SlipwayError | ValidationError, *, otherwise: str | None = None
) -> None:
    """Adds a service's error to the form: to the field that it names, else to `otherwise` or the head of the form."""
    if isinstance(error, SlipwayError):
        note(error)
        form.add_error(None, f"{error.message} {error.hint}".strip())
        return
    problems = error.message_dict if hasattr(error, "error_dict") else {otherwise or "": error.messages}
    for name, texts in problems.items():
        for text in texts:
            form.add_error(name if name in form.fields else None, text)


def page(
    request: HttpRequest,
    template: str,
    form: forms.BaseForm | None = None,
    *,
    refused: bool = False,
    **context: Any,
) -> HttpResponse:
    """Renders the page; with status 422 when `form` was sent but not saved. `refused`: another form of the page was
    refused."""
    refused = refused or (form is not None and form.is_bound and bool(form.errors))
    return render(
        request,
        template,
        {"form": form, **context},
        status=422 if refused and request.method == "POST" else 200,
    )
