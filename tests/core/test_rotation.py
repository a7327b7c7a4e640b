"""`rotatekeys` reaches everything that is encrypted: no place of the code encrypts what it skips."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management import call_command
from django.db import connection

from core.fields import CannotDecrypt, encrypt
from core.rotation import places
from tests import factories as make

ROOT = Path(__file__).resolve().parent.parent.parent
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
# Who may encrypt: the field itself, the rotation, the checks of the keys, and the second factors' adapter, whose table
# people/apps.py names to the rotation.
ENCRYPTING = {
    "core/fields.py", "core/rotation.py", "core/checks.py", "core/management/commands/newkeys.py", "people/mfa.py",
    "core/again.py",  # goes through a sign-in, and counts for half an hour
}  # fmt: skip
SECRET = "JBSWY3DPEHPK3PXP"


def sources() -> list[Path]:
    outside = ("tests", "sandbox", ".venv", "node_modules")
    return [path for path in ROOT.glob("*/**/*.py") if path.relative_to(ROOT).parts[0] not in outside]


def test_nothing_else_encrypts() -> None:
    """A new place that encrypts must be a field, or be named to the rotation and to this list."""
    using = re.compile(r"\bFernet\b|import [^\n]*\b(?:encrypt|cipher)\b|fields\.(?:encrypt|cipher)\(")
    found = {str(path.relative_to(ROOT)) for path in sources() if using.search(path.read_text())}
    assert found == ENCRYPTING


def test_every_column_whose_values_are_encrypted_is_rotated() -> None:
    """By behaviour and not by type: a field that writes other than it was given, so that a clear text is not kept."""
    rotated = {(place.model._meta.label, name) for place in places() for name in place.names}
    assert ("mfa.Authenticator", "data") in rotated
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if str(field.get_prep_value("1") or "").startswith("gAAAAA") if is_text(field) else False:
                assert (model._meta.label, field.name) in rotated


def is_text(field: Any) -> bool:
    return field.get_internal_type() in ("TextField", "CharField", "JSONField")


@pytest.mark.django_db
def test_second_factors_are_rotated_and_the_old_key_opens_nothing(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    user = make.make_user("tess")
    TOTP.activate(user, SECRET)
    codes = RecoveryCodes.activate(user).get_unused_codes()
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    call_command("rotatekeys")
    settings.ENCRYPTION_KEYS = [NEW]
    kept = {row.type: row for row in Authenticator.objects.filter(user=user)}
    assert RecoveryCodes(kept["recovery_codes"]).get_unused_codes() == codes
    settings.ENCRYPTION_KEYS = [OLD]
    with pytest.raises(CannotDecrypt):
        RecoveryCodes(kept["recovery_codes"]).get_unused_codes()
    with pytest.raises(CannotDecrypt):
        kept["totp"].wrap().validate_code("000000")


@pytest.mark.django_db
def test_after_a_rotation_no_table_holds_a_text_of_the_old_key(settings: Any) -> None:
    """Every table of the database is searched, also those that no model of ours names."""
    settings.ENCRYPTION_KEYS = [OLD]
    make.make_cluster()
    project = make.make_project(credential="token", credential_kind="token")
    make.make_environment(project)
    TOTP.activate(make.make_user("tess"), SECRET)
    RecoveryCodes.activate(make.make_user("ray"))
    assert tokens_that_open_with(OLD)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    call_command("rotatekeys")
    assert tokens_that_open_with(OLD) == []
    assert tokens_that_open_with(NEW)


def tokens_that_open_with(key: str) -> list[str]:
    """The tables and columns with a text that this key decrypts."""
    found = []
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                found += [
                    f"{table}.{name}" for name, value in zip(names, row, strict=True) if opens(value, key)
                ]
    return found


def opens(value: Any, key: str) -> bool:
    for token in re.findall(r"gAAAAA[A-Za-z0-9_=-]+", str(value)):
        try:
            Fernet(key).decrypt(token.encode())
        except Exception:  # noqa: BLE001  (another key's)
            continue
        return True
    return False


@pytest.mark.django_db
def test_what_is_not_encrypted_within_json_stays(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    data = {"secret": encrypt("x"), "used_mask": 3, "codes": ["plain", encrypt("y")]}
    row = Authenticator.objects.create(user=make.make_user("tess"), type="totp", data=data)
    call_command("rotatekeys")
    kept = Authenticator.objects.get(pk=row.pk).data
    assert (kept["used_mask"], kept["codes"][0]) == (3, "plain")
    assert kept["secret"] != data["secret"]
