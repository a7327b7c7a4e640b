"""All values of a secrets file as a `.env` text or a Secret file, for whoever may reveal them; audited without values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from engine.manifests.secretfiles import FLAT
from projects.models import SecretsFile
from secrets_ui.editing.staging import known_secret
from secrets_ui.files.model import Secret as OneSecret
from secrets_ui.files.model import SecretsText
from secrets_ui.known.looking import look_again
from secrets_ui.known.public import names_of
from secrets_ui.known.reading import read_version
from secrets_ui.known.rights import require
from secrets_ui.known.said import said, unchecked
from secrets_ui.values.bulk import write_secret_file
from secrets_ui.values.dotenv import CannotWrite, one_line, write_env

Form = Literal["env", "secret"]


def download(
    actor: Actor,
    file: SecretsFile,
    *,
    form: Form,
    secret: str = "",
    leave_out: bool = False,
    reason: str = "",
) -> str:
    """The text. `secret`: which Secret of the file, for `.env`; `leave_out`: keys that the form cannot carry are left out
    and named in a comment, instead of refused.

    The right to reveal is needed, on production a reason, too. That it was asked for is written down before anything is
    given out; after reading, so that a reason that quotes a value is kept without it.
    Raises Refused, CannotWrite naming the keys, ExternalError, ManifestError.
    """
    environments = require(actor, file, "reveal", what="all keys")
    if any(environment.is_production for environment in environments) and not reason.strip():
        raise Refused("Say why you need all values. Nothing was given out.", code="reason")
    held = known_secret(file)
    version = look_again(file).current_version
    why = unchecked(reason)
    try:
        opened = read_version(file, held, version).opened
        why = said(reason)
    finally:
        _told(actor, file, form, why, version)
    by_name = dict(zip(names_of(opened), opened.secrets, strict=True))
    if form == "env":
        return _env(_chosen(by_name, secret), leave_out=leave_out)
    for one in by_name.values():
        _unreadable(one, leave_out=leave_out)
    return "---\n".join(_secret_file(file, opened, one) for one in by_name.values())


def _chosen(by_name: Mapping[str, OneSecret], secret: str) -> OneSecret:
    if secret not in by_name and len(by_name) != 1:
        raise Refused("Say which Secret of the file you want.", code="unknown")
    return by_name.get(secret) or next(iter(by_name.values()))


def _unreadable(secret: OneSecret, *, leave_out: bool) -> tuple[str, ...]:
    """Keys whose value cannot be read. Raises CannotWrite unless they are to be left out."""
    keys = tuple(dict.fromkeys(entry.key for entry in secret.entries if secret.entry(entry.key) is entry
                               and entry.value is None))  # fmt: skip
    if keys and not leave_out:
        raise CannotWrite(f"The values of these keys cannot be read: {', '.join(map(one_line, keys))}.", keys)
    return keys


def _env(secret: OneSecret, *, leave_out: bool) -> str:
    values, out = secret.values(), list(_unreadable(secret, leave_out=leave_out))
    while True:
        try:
            text = write_env(values)
            break
        except CannotWrite as error:
            if not leave_out:
                raise
            out += error.keys
            values = {key: value for key, value in values.items() if key not in error.keys}
    return "".join(f"# left out: {one_line(key)}\n" for key in out) + text


def _secret_file(file: SecretsFile, opened: SecretsText, secret: OneSecret) -> str:
    name = PurePosixPath(file.path).stem if opened.form == FLAT else secret.name
    return write_secret_file(name, secret.values(), namespace=secret.namespace, type_=secret.type or "Opaque")


def _told(actor: Actor, file: SecretsFile, form: Form, why: str, version: str) -> None:
    environment = file.environment
    data = {"as": form, "version": version, "reason": why}
    record(
        actor, "secrets.downloaded", target_kind="secrets", target_id=environment.pk,
        target_text=f"{environment.label}: {file.path}", project=environment.project.slug,
        data={name: value for name, value in data.items() if value},
    )  # fmt: skip
