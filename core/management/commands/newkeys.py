"""`manage.py newkeys`: prints fresh values for the three keys, ready for an environment file."""

from __future__ import annotations

import secrets
from typing import Any

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Prints SECRET_KEY, ENCRYPTION_KEYS and DIGEST_KEY."""

    help = "Print a fresh set of keys (SECRET_KEY, ENCRYPTION_KEYS, DIGEST_KEY)."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"SECRET_KEY={secrets.token_urlsafe(48)}")
        self.stdout.write(f"ENCRYPTION_KEYS={Fernet.generate_key().decode()}")
        self.stdout.write(f"DIGEST_KEY={secrets.token_urlsafe(32)}")
