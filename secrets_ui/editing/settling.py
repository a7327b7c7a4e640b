"""Ends saves that stayed open, by asking AWS which version is current."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from adapters.aws.secrets_manager import CURRENT, SecretFacts
from adapters.aws.secrets_writer import PREVIOUS, SAVING
from adapters.errors import ExternalError, NotFound
from core.jobs import enqueue, slot
from projects.connections import secrets_writer
from projects.models import SecretsFile
from secrets_ui.editing.asking import settle_asked
from secrets_ui.editing.writing import STATE, close
from secrets_ui.known.secrets import files_of, note_facts
from secrets_ui.models import ChangeRequest, SecretVersion

# Longer than any save takes.
GIVEN_UP = timedelta(minutes=3)
NOT_THERE = (
    "AWS did not answer while it was being saved, and nothing shows that it became current. Save it again."
)


def settle_due() -> None:
    """The tick: asks for a job for each save that has been open for too long."""
    before = timezone.now() - GIVEN_UP
    for pk in SecretVersion.objects.filter(state=STATE.OPEN, created_at__lt=before).values_list(
        "pk", flat=True
    )[:20]:
        enqueue("secrets_ui.jobs.settle_version", pk, queue="short", job_id=f"secret-settle-{pk}-{slot(60)}")


def settle(pk: int) -> bool:
    """Closes one open row by what AWS says; whether it is closed now. An AWS that does not answer is asked again later."""
    row = (
        SecretVersion.objects.select_related("secret", "environment__project")
        .filter(pk=pk, state=STATE.OPEN)
        .first()
    )
    file = file_for(row) if row is not None else None
    if row is None or file is None:
        return False
    asked = ChangeRequest.objects.filter(version=row).exists()
    try:
        facts = secrets_writer(file).describe(file.secret_id)
        if asked:
            return settle_asked(row, facts)
        became = _became_current(facts, row)
    except NotFound:
        return settle_asked(row, None) if asked else close(row, STATE.FAILED, error=NOT_THERE)
    except ExternalError:
        return False
    done = close(row, STATE.STORED) if became else close(row, STATE.FAILED, error=NOT_THERE)
    if not became and SAVING in facts.versions.get(row.version_id, ()):
        secrets_writer(file).take_label_off(file.secret_id, row.version_id)
    note_facts(file, facts)
    return done


def file_for(row: SecretVersion) -> SecretsFile | None:
    """A secrets file by which the row's secret can be asked for: of its own environment, if it still has one."""
    files = files_of(row.secret)
    own = [file for file in files if file.environment_id == row.environment_id]
    return next(iter([*own, *files]), None)


def _became_current(facts: SecretFacts, row: SecretVersion) -> bool:
    """Whether AWSCURRENT is, or was, on the version: its labels say so, or a version that was saved over it.

    A version without a label proves nothing: the next save takes the label of ours from one that never became current.
    """
    labels = facts.versions.get(row.version_id, ())
    if CURRENT in labels or PREVIOUS in labels:
        return True
    over_it = SecretVersion.objects.filter(
        secret=row.secret_id, base_version=row.version_id, state=STATE.STORED
    )
    return over_it.exists()
