"""The way back to a form that was sent after its session had ended: sign in, see it filled in as it was typed, send it.

What was typed (core/kept.py: never a secret) goes through the sign-in as one encrypted text, and waits in the new session for
its page. There the view shows its form filled in (`ui.forms.posted`), and nothing is saved until the person sends it. A form
whose page cannot do that is shown as a list of its fields, with one button.
"""

from __future__ import annotations

import json
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import render

from core.fields import CannotDecrypt, decrypt, encrypt
from core.kept import TYPED_AGAIN, Kept, kept_form, page_of_form

KEY = "form_sent_late"  # in the session, and the hidden field of the sign-in
SECONDS = 30 * 60
LONGEST = 600_000
FILLED = "You signed in again. What you typed is here; nothing of it is saved yet. Look at it, and send it."


@dataclass(frozen=True)
class Late:
    """A form that was sent too late. `action`: where it was sent; `page`: where it stood."""

    kept: Kept
    action: str
    page: str

    def sealed(self) -> str:
        """One encrypted text of it; empty when there is nothing to keep, or too much."""
        if not self.kept.fields:
            return ""
        told = [
            self.kept.fields,
            self.kept.secrets,
            dict(self.kept.labels),
            self.action,
            self.page,
            time.time(),
        ]
        text = encrypt(b64encode(zlib.compress(json.dumps(told).encode())).decode())
        return text if len(text) <= LONGEST else ""

    def data(self) -> QueryDict:
        """The form as it was sent, without its secrets, whose names stand in `TYPED_AGAIN`."""
        found = QueryDict(mutable=True)
        for name, value in self.kept.fields:
            found.appendlist(name, value)
        found.setlist(TYPED_AGAIN, self.kept.secrets)
        return found


def late_form(request: HttpRequest) -> Late:
    """The form of a request that comes too late."""
    return Late(kept_form(request), request.get_full_path(), page_of_form(request))


def opened(text: str) -> Late | None:
    """What `sealed` gave half an hour ago at most; None for any other text."""
    try:
        told = json.loads(zlib.decompress(b64decode(decrypt(text)))) if len(text) <= LONGEST else None
    except (CannotDecrypt, ValueError, zlib.error):
        return None
    if not told or told[5] < time.time() - SECONDS:
        return None
    fields = tuple((str(name), str(value)) for name, value in told[0])
    return Late(Kept(fields, tuple(told[1]), told[2]), told[3], told[4])


def take_along(request: HttpRequest, text: str) -> None:
    """Has the session keep a form for its page. Only after the password was right, or for a person who is signed in: others may
    not fill the table of sessions."""
    if text and opened(text) is not None:
        request.session[KEY] = text


class ShowAgain:
    """The middleware that shows the form on its page. Comes after sign-in is checked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        late: Late | None = getattr(request, "late", None)
        if late is None or (response.status_code >= 300 and response.status_code != 422):
            return response
        request.session.pop(KEY, None)
        if getattr(request, "late_data", None) is None:  # the view has taken it
            return response
        context = {"kept": late.kept, "page": late.page, "action": late.action, "signed_in": True}
        return render(request, "session_ended.html", context)

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> None:
        """Offers the form to the view of its page."""
        late = _waiting(request)
        if late is None:
            return
        request.late = late  # type: ignore[attr-defined]
        request.late_form = partial(fill, request)  # type: ignore[attr-defined]  # ui/forms.py
        request.late_data = late.data()  # type: ignore[attr-defined]
        if late.action.partition("?")[0] == request.path and hasattr(view, "kept_forms"):
            request.may_fill = True  # type: ignore[attr-defined]


def _waiting(request: HttpRequest) -> Late | None:
    """The form that waits for the page that is being opened."""
    if request.method != "GET" or request.headers.get("HX-Request") or not request.user.is_authenticated:
        return None
    late = opened(request.session.get(KEY, "")) if KEY in request.session else None
    return late if late is not None and late.page == request.get_full_path() else None


def fill(request: HttpRequest) -> QueryDict | None:
    """For the view of the page: what to fill its form with. None where nothing waits."""
    data: QueryDict | None = getattr(request, "late_data", None)
    if data is None or not getattr(request, "may_fill", False):
        return getattr(request, "late_filled", None)
    request.late_data = None  # type: ignore[attr-defined]
    request.late_filled = data  # type: ignore[attr-defined]  # a page may have several forms
    messages.info(request, FILLED)
    return data
