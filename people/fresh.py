"""Whether a person has shown a short while ago that it is still they who sit there."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse


def is_fresh(request: HttpRequest) -> bool:
    """Whether the person signed in, or confirmed it, a short while ago."""
    records = get_authentication_records(request, request.user)
    newest = max((float(record.get("at", 0)) for record in records), default=0.0)
    return time.time() - newest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def address_to_confirm(back: str) -> str:
    """The page that asks for the password or a code, and leads on to `back`."""
    return f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}"


def confirm_first(request: HttpRequest) -> HttpResponseRedirect | None:
    """Where the person is sent who signed in too long ago; they come back to this address. None for others."""
    return None if is_fresh(request) else HttpResponseRedirect(address_to_confirm(request.path))
