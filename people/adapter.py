"""The adapter by which the portal configures allauth's accounts."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Closes sign-up: only admins make accounts."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> Any:
        """The caller's address as core.middleware determined it; throttling counts by this address."""
        return request.META.get("REMOTE_ADDR", "")
