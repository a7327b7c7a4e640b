"""`manage.py rotatekeys`: encrypts everything encrypted at rest again with the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import models

from core.fields import EncryptedTextField


class Command(BaseCommand):
    """Rewrites every encrypted column, row by row; safe to interrupt and to run again."""

    help = "Encrypt every stored credential again with the first of ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        for model in apps.get_models():
            names = [f.name for f in model._meta.concrete_fields if isinstance(f, EncryptedTextField)]
            if names:
                count = rotate(model, names)
                self.stdout.write(f"{model._meta.label}: {count} rows ({', '.join(names)})")


def rotate(model: type[models.Model], names: list[str]) -> int:
    """Encrypts the named columns of all rows again; how many rows were rewritten.

    A row that somebody saves meanwhile is encrypted with the first key by that save, so only unchanged rows are written.
    """
    count = 0
    rows: Any = model._default_manager.only("pk", *names)
    for row in rows.iterator(chunk_size=200):
        count += model._default_manager.filter(pk=row.pk).update(
            **{name: getattr(row, name) for name in names}
        )
    return count
