"""Keeps the fields of a form that was sent after the session ended, so that it can be sent again after signing in.

A view names its forms by `@keeps(…)`. Only the fields of these forms are kept, without those that hold a secret: a
password, a file, or a field whose widget says `holds_secret`. All other fields, and every form of a view without
`@keeps`, are dropped. So a new form with a secret is safe by default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.forms.formsets import BaseFormSet, ManagementForm
from django.http import HttpRequest

View = TypeVar("View", bound=Callable[..., Any])
TYPED_AGAIN = "typed_again"  # the hidden fields that name those secrets when the form is sent again
TYPED_BEFORE = (
    "typed_before"  # the hidden field of secrets that core/typed.py keeps: `field:name`, separated by blanks
)
# Fields that mean nothing to a person.
OF_THE_PORTAL = frozenset({"edited", "TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS"})
Kind = type[forms.BaseForm] | type[BaseFormSet]


@dataclass(frozen=True)
class Kept:
    """`fields`: name and value of each field to send again. `secrets`: names of the secrets that must be typed again. `labels`:
    how the form calls its fields, by their names in the request; what only counts for the portal has none."""

    fields: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = dataclass_field(default_factory=dict, compare=False)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """The fields with a value, for the person to read before they send them: by their labels."""
        return [(self.labels[name], value) for name, value in self.fields if value and name in self.labels]

    @property
    def secrets_shown(self) -> list[str]:
        """The secrets to type again, by their labels."""
        return [self.labels.get(name, name) for name in self.secrets]


def keeps(*kinds: Kind) -> Callable[[View], View]:
    """`@keeps(ProjectForm)`: this view takes these forms. Its place among the view's decorators does not matter."""

    def mark(view: View) -> View:
        view.kept_forms = kinds  # type: ignore[attr-defined]
        return view

    return mark


def kept_form(request: HttpRequest) -> Kept:
    """The fields to keep of the form that was sent, if one of our own pages sent it.

    A form from another site is not kept: a person must not be led to confirm values that they never entered.
    """
    view = request.resolver_match.func if request.resolver_match else None
    kinds = getattr(view, "kept_forms", ())
    if not kinds or not is_own_page(request):
        return Kept()
    known = [field for kind in kinds for field in patterns(kind)]
    fields: list[tuple[str, str]] = []
    labels: dict[str, str] = {}
    secrets = [name for name in request.POST.getlist(TYPED_AGAIN) if fields_named(known, name)]
    for name, values in request.POST.lists():
        found = fields_named(known, name)
        if not found:
            continue
        if name.rpartition("-")[2] not in OF_THE_PORTAL:
            labels[name] = label_of(name, found[0])
        if not any(is_secret(field) for field in found):
            fields += [(name, str(value)) for value in values]
        elif any(values):
            secrets.append(name)
    # One that was typed at an earlier try was kept for the session that has ended.
    carried = carried_in(request.POST.get(TYPED_BEFORE, ""))
    secrets += [name for name, _ in carried if any(map(is_secret, fields_named(known, name)))]
    # A secret that was chosen as a file is asked for by the field of its text.
    secrets += [name.removesuffix("_file") for name in request.FILES]
    labels |= {name: label_of(name, *fields_named(known, name)) for name in secrets}
    return Kept(tuple(fields), tuple(dict.fromkeys(secrets)), labels)


def label_of(name: str, field: forms.Field | None = None, *_: forms.Field) -> str:
    """How the form calls a field; the field's name in words where it does not say."""
    own = str(getattr(field, "label", None) or "")
    return own or name.rpartition("-")[2].replace("_", " ").capitalize()


def carried_in(text: str) -> list[tuple[str, str]]:
    """The pairs of field and name in the hidden field `typed_before`."""
    return [(field, name) for field, _, name in (part.partition(":") for part in text[:1000].split())]


def fields_named(known: Iterable[tuple[str, forms.Field]], name: str) -> list[forms.Field]:
    """The fields that are sent under this name: one, or several when two forms of a page share the name."""
    return [field for pattern, field in known if re.fullmatch(pattern, name)]


def patterns(kind: Kind) -> Iterator[tuple[str, forms.Field]]:
    """Yields each field of a form with the pattern of its names in a request; a formset numbers its fields."""
    if issubclass(kind, forms.BaseForm):
        yield from ((re.escape(name), field) for name, field in fields_of(kind))
        return
    prefix = re.escape(kind.get_default_prefix())
    yield from ((rf"{prefix}-{name}", field) for name, field in fields_of(ManagementForm))
    yield from ((rf"{prefix}-\d{{1,4}}-{re.escape(name)}", field) for name, field in fields_of(kind.form))


def fields_of(form: type[forms.BaseForm]) -> Iterable[tuple[str, forms.Field]]:
    """The fields that a form's class declares."""
    fields: dict[str, forms.Field] = form.base_fields  # type: ignore[attr-defined]
    return fields.items()


def is_secret(field: forms.Field) -> bool:
    """Whether a field's value is never sent back: passwords, files, and fields whose widget says `holds_secret`."""
    widget = field.widget
    return isinstance(widget, (forms.PasswordInput, forms.FileInput)) or getattr(
        widget, "holds_secret", False
    )


def is_own_page(request: HttpRequest) -> bool:
    """Whether one of our own pages sent this form: every browser names the origin of a page that posts. A request without that
    header counts as foreign, and so does one whose `Sec-Fetch-Site` (sent over HTTPS only) says so."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    own = {origin_of(settings.BASE_URL), origin_of(f"{request.scheme}://{request.get_host()}")}
    source = origin_of(request.headers.get("Origin", ""))
    return bool(source) and source in own


def page_of_form(request: HttpRequest) -> str:
    """The address of the page with the form that was sent: many forms are sent to an address that is no page."""
    source = request.headers.get("Referer", "")
    if origin_of(source) != origin_of(f"{request.scheme}://{request.get_host()}"):
        return request.path
    parts = urlsplit(source)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def origin_of(address: str) -> str:
    """Protocol and host of an address; empty for a text that is not an address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.scheme and parts.netloc else ""
