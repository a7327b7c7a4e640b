"""`manage.py rotatekeys`: encrypts everything encrypted at rest again with the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import models, transaction

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
    """Encrypts the named columns of all rows again. Returns the number of rewritten rows.

    Each row is locked while it is read and written, so that a value saved at the same time is not overwritten by an
    older one. Raises CannotDecrypt for a row that no key decrypts; the rows before it stay rewritten.
    """
    rows: Any = model._default_manager
    return sum(rotate_row(rows, pk, names) for pk in list(rows.values_list("pk", flat=True)))


def rotate_row(rows: Any, pk: object, names: list[str]) -> int:
    """Rewrites one row in its own transaction. Returns 1, or 0 when the row was deleted meanwhile."""
    with transaction.atomic():
        row = rows.select_for_update().only("pk", *names).filter(pk=pk).first()
        if row is None:
            return 0
        return int(rows.filter(pk=pk).update(**{name: getattr(row, name).open() for name in names}))
