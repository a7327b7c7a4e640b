"""Asking AWS which version of a secret is current, without reading any value: for pages, soon or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta

from django.core.cache import cache
from django.utils import timezone

from adapters.aws.secret_errors import SYSTEM
from adapters.aws.secrets_manager import SecretFacts
from adapters.errors import ExternalError, NotFound, TimedOut
from core.redactor import redact_text
from projects import contacts
from projects.allotting.using import lost_files
from projects.connections import secrets_writer
from projects.current import current_environments
from projects.models import SecretsFile
from secrets_ui.known.secrets import note_facts, note_failures, refresh, secret_of, secrets_by_file
from secrets_ui.models import Secret, SecretAddress

FRESH_SECONDS = 4  # a page that refreshes itself does not ask each time
AGAIN_SECONDS = 15  # after AWS gave no answer
WAIT_SECONDS = 2.0  # that a page which only shows something waits for AWS
JOB_SECONDS = 15.0  # that a job does
THREADS = 4
LOOKED_AT = timedelta(minutes=10)  # how often a secret is looked at where no page does so


@dataclass(frozen=True)
class Look:
    """The result of a look. `secret`: its row, None for an unseen one. `error`: the reason why AWS gave no answer. `missing`: AWS
    has no such secret, or not any more."""

    secret: Secret | None
    error: str = ""
    missing: bool = False


def look(files: Sequence[SecretsFile], *, patiently: bool = False) -> dict[int, Look]:
    """Each file's secret, asked for where the last answer is not fresh; by the file's pk. `patiently`: no page waits for it. Of
    one that is not allotted any more nothing is told but that."""
    lost = lost_files(files)
    told = _looked([file for file in files if file.pk not in lost], patiently=patiently)
    return told | {pk: Look(None, reason) for pk, reason in lost.items()}


def _looked(files: Sequence[SecretsFile], *, patiently: bool) -> dict[int, Look]:
    known = secrets_by_file(files)
    unseen = [file for file in files if file.pk not in known]
    kept: dict[str, Look] = cache.get_many([_key(file) for file in unseen]) if unseen else {}
    due = [file for file in files if file.pk in known and is_due(known[file.pk])]
    asked = [*due, *(file for file in unseen if _key(file) not in kept)]
    answers = _ask(asked, JOB_SECONDS if patiently else WAIT_SECONDS)
    _note(files, answers, known)
    return {file.pk: _told(file, known.get(file.pk), answers.get(file.pk), kept) for file in files}


def is_due(secret: Secret) -> bool:
    """Whether the last answer, or the last failure, is old enough to ask again."""
    if secret.tried_at is None:
        return True
    return timezone.now() - secret.tried_at > timedelta(
        seconds=AGAIN_SECONDS if secret.error else FRESH_SECONDS
    )


def _note(
    files: Sequence[SecretsFile], answers: Mapping[int, SecretFacts | ExternalError], known: dict[int, Secret]
) -> None:
    """Keeps the answers, and completes `known` by what was seen for the first time."""
    _note_contacts(files, answers)
    failed: list[tuple[Secret, str, bool]] = []
    seen: list[tuple[Secret, SecretFacts]] = []
    for file in files:
        answer, secret = answers.get(file.pk), known.get(file.pk)
        if isinstance(answer, ExternalError):
            failed += [(secret, _said(answer), isinstance(answer, NotFound))] if secret is not None else []
        elif answer is not None and secret is not None and secret.arn == answer.arn:
            seen.append((secret, answer))
        elif answer is not None:
            known[file.pk] = note_facts(file, answer)
    if failed:
        note_failures(failed)
    if seen:
        refresh(seen)


def _note_contacts(files: Sequence[SecretsFile], answers: Mapping[int, SecretFacts | ExternalError]) -> None:
    """Whether AWS answers in each region; one answer is enough."""
    heard: dict[str, SecretFacts | ExternalError] = {}
    for file in files:
        answer = answers.get(file.pk)
        if answer is not None and not isinstance(heard.get(file.region), SecretFacts):
            heard[file.region] = answer
    for region, answer in heard.items():
        name = contacts.name_of(contacts.AWS, region)
        if isinstance(answer, ExternalError):
            contacts.note_error(name, answer)
        else:
            contacts.note_answer(name)


def _told(
    file: SecretsFile,
    secret: Secret | None,
    answer: SecretFacts | ExternalError | None,
    kept: Mapping[str, Look],
) -> Look:
    if secret is not None:
        return Look(secret, secret.error, secret.gone_at is not None)
    if answer is None:
        return kept[_key(file)]
    found = (
        Look(None, _said(answer), isinstance(answer, NotFound))
        if isinstance(answer, ExternalError)
        else Look(None)
    )
    cache.set(_key(file), found, AGAIN_SECONDS)
    return found


def _said(error: ExternalError) -> str:
    return redact_text(f"{error.message} {error.hint}".strip())[:500]


def look_again(file: SecretsFile, secret: Secret | None = None) -> SecretFacts:
    """Asks now, for somebody who is about to write. `secret`: that of the file, where it is at hand. Raises ExternalError."""
    facts = secrets_writer(file, hasty=True).describe(file.secret_id)
    note_facts(file, facts, secret)
    return facts


def forget(file: SecretsFile, secret: Secret | None = None) -> None:
    """The next page asks again. `secret`: that of the file, where it is at hand."""
    secret = secret or secret_of(file)
    if secret is None:
        cache.delete(_key(file))
    else:
        Secret.objects.filter(pk=secret.pk).update(tried_at=None)


def _key(file: SecretsFile) -> str:
    return f"secret-look-{file.pk}-{file.edited}"


def _ask(files: Sequence[SecretsFile], seconds: float) -> dict[int, SecretFacts | ExternalError]:
    """Side by side, and not for longer than this. The threads do not touch the database."""
    if not files:
        return {}
    pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="secrets")
    asked = {file.pk: pool.submit(copy_context().run, _describe, file) for file in files}
    wait(asked.values(), timeout=seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    return {pk: answer.result() if _is_there(answer) else _silent(seconds) for pk, answer in asked.items()}


def _is_there(answer: Future[SecretFacts | ExternalError]) -> bool:
    return answer.done() and not answer.cancelled()


def _silent(seconds: float) -> ExternalError:
    return TimedOut(f"{SYSTEM} gave no answer within {seconds:.0f} seconds.", system=SYSTEM)


def _describe(file: SecretsFile) -> SecretFacts | ExternalError:
    try:
        return secrets_writer(file, hasty=True).describe(file.secret_id)
    except ExternalError as error:
        return error


def due_files() -> list[int]:
    """Secrets files whose secret nobody has looked at, nor tried to, for a while."""
    seen = SecretAddress.objects.filter(
        secret__described_at__gt=timezone.now() - LOOKED_AT, secret__current_version__gt=""
    )
    fresh = set(seen.values_list("region", "role_arn", "named"))
    current = SecretsFile.objects.filter(current_environments())
    files = current.values_list("pk", "region", "role_arn", "secret_id")
    due = [pk for pk, *named in files if (*named,) not in fresh]
    tried = cache.get_many([_tried(pk) for pk in due])
    return [pk for pk in due if _tried(pk) not in tried]


def begin_look(pk: int) -> bool:
    """Notes that a job tries to look at the secret now; False when another one has done so within LOOKED_AT. The job notes it,
    not who asked for the job: one that Redis loses is asked for again by the next tick."""
    return cache.add(_tried(pk), True, LOOKED_AT.total_seconds())


def _tried(pk: int) -> str:
    return f"secret-tried-{pk}"
