"""Whether a sign-in still lasts, for what goes on after the request that checked it."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from people.models import User


def user_of(session_key: str | None) -> User | None:
    """The person whom a session belongs to, read anew; None when it has ended, their password was changed, or their account is
    switched off."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    found = get_user(request)
    return found if isinstance(found, User) else None
