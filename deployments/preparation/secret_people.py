"""Who changed the keys of the secrets files since what runs, as far as the portal knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from projects.models import Environment
from projects.secret_files import SecretChange
from secrets_ui.known import people


def changed_by(
    environment: Environment,
    before: Mapping[str, str],
    after: Mapping[str, str],
    changes: Sequence[SecretChange],
) -> str:
    """`by dev and lead`, `outside the portal`, or empty. `before`, `after`: path → VersionId. For people with the right to see
    the names of the keys."""
    keys: dict[str, set[tuple[str, str]]] = {}
    for change in changes:
        keys.setdefault(change.file, set()).add((change.secret, change.key))
    if not keys:
        return ""
    files = environment.secrets_files.filter(path__in=keys)
    return people.changed_by(
        [
            people.Span(file, before.get(file.path, ""), after.get(file.path, ""), keys[file.path])
            for file in files
            if file.path in before and file.path in after
        ]
    )
