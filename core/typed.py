"""Secrets that were typed into a form with an error elsewhere, so that nobody has to type them again.

They wait sealed in the database for half an hour; the page never holds them. It carries a name in their place (the hidden field
`typed_before`), which counts only in the session in which they were typed and for the address to which the form was sent. A form
that is opened anew has no such name, so that a secret never gets into another form than the one it was typed into.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.crypto import salted_hmac

from core.kept import TYPED_AGAIN, TYPED_BEFORE, carried_in, is_secret
from core.models import TypedSecret
from core.secret_values import register

KEPT = timedelta(minutes=30)
LONGEST = 1_000_000


def fill(request: HttpRequest, form: forms.BaseForm) -> None:
    """Puts the kept secrets into a sent form, where its own fields are empty. One that is no longer kept must be typed again: its
    field is named in `TYPED_AGAIN`. Call it before the form is validated."""
    carried = _carried(form)
    if not carried or not isinstance(form.data, QueryDict):
        return
    data = form.data.copy()
    found = {row.field: row.value.open() for row in _rows(request, carried.values())}
    register(found.values())
    for field in carried:
        if data.get(field) or f"{field}_file" in form.files:
            continue
        if field in found:
            data[field] = found[field]
        else:
            data.appendlist(TYPED_AGAIN, field)
    form.data = data


def entered(form: forms.BaseForm) -> dict[str, str]:
    """The secrets of a validated form whose own text is right. They are registered with the redactor."""
    fields = ((name, form.cleaned_data.get(name)) for name, field in form.fields.items() if is_secret(field))
    found = {name: value for name, value in fields if isinstance(value, str) and value}
    register(found.values())
    return found


def keep(request: HttpRequest, form: forms.BaseForm, values: Mapping[str, str]) -> None:
    """Keeps these secrets of a form that was not saved, and has the form carry their names and say until when. What it carried
    before is erased."""
    forget(request, form)
    holder = _holder(request)
    if not holder or TYPED_BEFORE not in form.fields:
        return
    rows = [
        TypedSecret(
            name=secrets.token_urlsafe(18), holder=holder, form=request.path, field=name, value=value,
            ends_at=timezone.now() + KEPT,
        )
        for name, value in values.items() if len(value) <= LONGEST
    ]  # fmt: skip
    TypedSecret.objects.bulk_create(rows)
    form.data = form.data.copy()  # type: ignore[attr-defined]
    form.data[TYPED_BEFORE] = " ".join(f"{row.field}:{row.name}" for row in rows)  # type: ignore[index]
    for row in rows:
        form.fields[row.field].kept_until = row.ends_at  # type: ignore[attr-defined]  # templates/components/field_help.html


def forget(request: HttpRequest, form: forms.BaseForm) -> None:
    """Erases what a form carries: it was saved, or it is kept anew."""
    if carried := _carried(form):
        _rows(request, carried.values()).delete()


def erase_ended() -> None:
    """The tick: erases the secrets whose time is over."""
    TypedSecret.objects.filter(ends_at__lte=timezone.now()).delete()


def _carried(form: forms.BaseForm) -> dict[str, str]:
    """Field and name of each kept secret that the form carries; only of its own fields that hold one."""
    carried = carried_in(str(form.data.get(TYPED_BEFORE, "")))
    return {field: name for field, name in carried if field in form.fields and is_secret(form.fields[field])}


def _rows(request: HttpRequest, names: Iterable[str]) -> QuerySet[TypedSecret]:
    """The rows of these names that were typed in this session, for this address, and whose time is not over."""
    return TypedSecret.objects.filter(
        name__in=list(names), holder=_holder(request), form=request.path, ends_at__gt=timezone.now()
    ).exclude(holder="")


def _holder(request: HttpRequest) -> str:
    """The session as a row names it: no row tells a session's key."""
    key = request.session.session_key
    return salted_hmac("slipway.typed", key, algorithm="sha256").hexdigest() if key else ""
