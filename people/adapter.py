"""The adapter by which the portal configures allauth's accounts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from django.conf import settings
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


class AccountAdapter(DefaultAccountAdapter):
    """Closes sign-up: only admins make accounts."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "too_many_login_attempts": "Too many failed login attempts. This account takes no password for 5 minutes after the first "
        "of them, not even the right one. An admin can set a new password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> Any:
        """The caller's address as core.middleware determined it; throttling counts by this address."""
        return request.META.get("REMOTE_ADDR", "")

    def is_safe_url(self, url: str | None) -> bool:
        """Whether a sign-in may lead on to this address: only to a page of this site, by the name that the browser used or the
        public one. allauth would take every one of ALLOWED_HOSTS, which names this machine, too."""
        own = {context.request.get_host(), urlsplit(settings.BASE_URL).netloc}
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts=own, require_https=context.request.is_secure()
        )

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Failed sign-ins are counted by account alone: the host comes from the request, and a port can be chosen freely."""
        return str(credentials.get("username", "")).lower()
