"""What every page with a form does: bind it, save it, say what was refused, show it again with 422."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from engine.errors import SlipwayError


class Unseen(forms.Textarea):
    """A field for a secret of several lines: never sent back to the browser, not even when the session has ended."""

    holds_secret = True  # core/kept.py

    def __init__(self, rows: int) -> None:
        super().__init__({"rows": rows, "class": "mono", "autocomplete": "off", "spellcheck": "false"})

    def format_value(self, value: Any) -> str:
        return ""

    def use_required_attribute(self, initial: Any) -> bool:
        """The browser must not insist: a stored one may be kept, or a file given instead."""
        return False


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: the fields that were sent, or nothing when the page is only looked at."""
    return request.POST if request.method == "POST" else None


def saved(form: forms.BaseForm, save: Callable[[], object], *, otherwise: str | None = None) -> bool:
    """Whether a sent form was saved. If not, the form says why and still holds what was typed.

    `otherwise`: the field beside which a refusal stands that names none; without it, the head of the form.
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
    """Puts what a service refused beside the field that it names, else beside `otherwise` or at the form's head."""
    if isinstance(error, SlipwayError):
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
    """The page; 422 when it shows a form that was sent and not saved. `refused`: another form of the page was not."""
    refused = refused or (form is not None and form.is_bound and bool(form.errors))
    return render(request, template, {"form": form, **context}, status=422 if refused else 200)
