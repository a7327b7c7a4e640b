"""Asking AWS which version of a secret is current, without reading any value: for pages, soon or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from django.core.cache import cache

from adapters.aws.secrets_manager import SecretFacts
from adapters.errors import ExternalError, NotFound
from core.redactor import redact_text
from projects.connections import secrets_writer
from projects.models import SecretsFile
from secrets_ui.known.secrets import note_facts, note_failure, secrets_by_file
from secrets_ui.models import Secret

FRESH_SECONDS = 4  # a page that refreshes itself does not ask each time
AGAIN_SECONDS = 15  # after AWS gave no answer
THREADS = 4


@dataclass(frozen=True)
class Look:
    """What became of a look: `secret` as it is known now, `error` why AWS gave no answer, `missing`: there is none."""

    secret: Secret | None
    error: str = ""
    hint: str = ""
    missing: bool = False


def look(files: Sequence[SecretsFile]) -> dict[int, Look]:
    """Each file's secret, asked for where the last answer is not fresh; by the file's pk."""
    kept = cache.get_many([_key(file) for file in files])
    due = [file for file in files if _key(file) not in kept]
    answers = _ask(due)
    known = secrets_by_file(files)
    failed = [
        known[file.pk] for file in due if isinstance(answers[file.pk], ExternalError) and file.pk in known
    ]
    if failed:
        note_failure(failed, "AWS gave no answer.")
    return {file.pk: _one(file, known.get(file.pk), answers, kept) for file in files}


def look_again(file: SecretsFile) -> SecretFacts:
    """Asks now, for somebody who is about to write. Raises ExternalError."""
    facts = secrets_writer(file, hasty=True).describe(file.secret_id)
    note_facts(file, facts)
    forget(file)
    return facts


def forget(file: SecretsFile) -> None:
    """The next page asks again."""
    cache.delete(_key(file))


def _key(file: SecretsFile) -> str:
    return f"secret-look-{file.pk}-{file.edited}"


def _one(
    file: SecretsFile, known: Secret | None, answers: Mapping[int, SecretFacts | ExternalError], kept: Mapping[str, Look],
) -> Look:  # fmt: skip
    answer = answers.get(file.pk)
    if answer is None:
        before: Look = kept[_key(file)]
        return Look(known, before.error, before.hint, before.missing)
    if isinstance(answer, ExternalError):
        found = Look(
            None, redact_text(answer.message), redact_text(answer.hint), isinstance(answer, NotFound)
        )
        cache.set(_key(file), found, AGAIN_SECONDS)
        return Look(known, found.error, found.hint, found.missing)
    cache.set(_key(file), Look(None), FRESH_SECONDS)
    return Look(note_facts(file, answer))


def _ask(files: Sequence[SecretsFile]) -> dict[int, SecretFacts | ExternalError]:
    """Side by side, so that a page waits once for an AWS that is gone. The threads do not touch the database."""
    if not files:
        return {}
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        asked = {file.pk: pool.submit(copy_context().run, _describe, file) for file in files}
        return {pk: answer.result() for pk, answer in asked.items()}


def _describe(file: SecretsFile) -> SecretFacts | ExternalError:
    try:
        return secrets_writer(file, hasty=True).describe(file.secret_id)
    except ExternalError as error:
        return error
