"""Asking AWS which version of a secret is current, without reading any value: for pages, soon or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import timedelta

from django.core.cache import cache
from django.utils import timezone

from adapters.aws.secrets_manager import SecretFacts
from adapters.errors import ExternalError, NotFound
from core.redactor import redact_text
from projects.connections import secrets_writer
from projects.models import SecretsFile
from secrets_ui.known.secrets import note_facts, note_failure, refresh, secrets_by_file
from secrets_ui.models import Secret, SecretAddress

FRESH_SECONDS = 4  # a page that refreshes itself does not ask each time
AGAIN_SECONDS = 15  # after AWS gave no answer
THREADS = 4
LOOKED_AT = timedelta(minutes=10)  # how often a secret is looked at where no page does so


@dataclass(frozen=True)
class Look:
    """What became of a look: `secret` as it is known now, `error` why AWS gave no answer, `missing`: there is none."""

    secret: Secret | None
    error: str = ""
    hint: str = ""
    missing: bool = False


def look(files: Sequence[SecretsFile]) -> dict[int, Look]:
    """Each file's secret, asked for where the last answer is not fresh; by the file's pk."""
    kept: dict[str, Look] = cache.get_many([_key(file) for file in files])
    due = [file for file in files if _key(file) not in kept]
    answers = _ask(due)
    known = secrets_by_file(files)
    _note(due, answers, known)
    found = {file.pk: _told(answers[file.pk]) for file in due}
    for seconds, failed in ((FRESH_SECONDS, False), (AGAIN_SECONDS, True)):
        cache.set_many(
            {_key(file): found[file.pk] for file in due if bool(found[file.pk].error) is failed}, seconds
        )
    return {
        file.pk: replace(found.get(file.pk) or kept[_key(file)], secret=known.get(file.pk)) for file in files
    }


def _note(
    files: Sequence[SecretsFile], answers: Mapping[int, SecretFacts | ExternalError], known: dict[int, Secret]
) -> None:
    """Keeps the answers, and completes `known` by what was seen for the first time."""
    failed, seen = [], []
    for file in files:
        answer, secret = answers[file.pk], known.get(file.pk)
        if isinstance(answer, ExternalError):
            failed += [secret] if secret is not None else []
        elif secret is not None and secret.arn == answer.arn:
            seen.append((secret, answer))
        else:
            known[file.pk] = note_facts(file, answer)
    if failed:
        note_failure(failed, "AWS gave no answer.")
    if seen:
        refresh(seen)


def _told(answer: SecretFacts | ExternalError) -> Look:
    if not isinstance(answer, ExternalError):
        return Look(None)
    return Look(None, redact_text(answer.message), redact_text(answer.hint), isinstance(answer, NotFound))


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


def due_files() -> list[int]:
    """Secrets files whose secret nobody has looked at for a while, each named once in that time."""
    seen = SecretAddress.objects.filter(
        secret__described_at__gt=timezone.now() - LOOKED_AT, secret__current_version__gt=""
    )
    fresh = set(seen.values_list("region", "role_arn", "named"))
    files = SecretsFile.objects.values_list("pk", "region", "role_arn", "secret_id")
    due = [pk for pk, *named in files if (*named,) not in fresh]
    return [pk for pk in due if cache.add(f"secret-due-{pk}", True, LOOKED_AT.total_seconds())]
