"""`manage.py rotatekeys`: encrypts everything encrypted at rest again with the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from core.rotation import places, rotate


class Command(BaseCommand):
    """Rewrites every encrypted column, row by row; safe to interrupt and to run again."""

    help = "Encrypt every stored credential again with the first of ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        for place in places():
            count = rotate(place)
            self.stdout.write(f"{place.model._meta.label}: {count} rows ({', '.join(place.names)})")
