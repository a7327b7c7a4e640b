"""What allauth asks us about accounts."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up by himself: accounts are made by admins (and later by invitation)."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> Any:
        """The address that core.middleware found; throttling counts by it."""
        return request.META.get("REMOTE_ADDR", "")
