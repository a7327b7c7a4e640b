"""`manage.py setuplink`: prints the one-time link by which the first admin is made."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from people.services import new_setup_link


class Command(BaseCommand):
    """Prints the link, or nothing once there is an admin (so it can run at every start)."""

    help = "Print the one-time link that makes the first admin."

    def handle(self, *args: Any, **options: Any) -> None:
        token = new_setup_link()
        if token:
            self.stdout.write(
                f"Make the first admin (valid for a day, once): {settings.BASE_URL}/setup/{token}/"
            )
