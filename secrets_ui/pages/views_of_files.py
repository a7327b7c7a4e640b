"""Views of an environment's secrets files for pages. The number of queries does not depend on files and keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from projects.models import Environment, SecretsFile
from secrets_ui.editing.drafts import Content, draft_of
from secrets_ui.files.edit import MAX_STORED_BYTES
from secrets_ui.known.looking import Look
from secrets_ui.known.public import Key, Place, keys_of, label, place_of
from secrets_ui.known.reference import Reference
from secrets_ui.known.secrets import current_versions, stored_versions
from secrets_ui.known.uses import served_keys, serving
from secrets_ui.models import Secret, SecretVersion, VersionUse
from secrets_ui.pages.rows import Counts, Row, counts, labels_of, rows

HISTORY = 100  # versions that are looked through for who changed a key last


@dataclass(frozen=True)
class FileView:
    """One secrets file. `version`: the current one, None while nothing is known. `rows`: of the chosen file only have
    people and drafts."""

    file: SecretsFile
    look: Look
    version: SecretVersion | None
    use: VersionUse | None
    reference: Reference
    rows: Sequence[Row]
    draft: Content = field(default_factory=Content)
    history: Sequence[SecretVersion] = ()

    @property
    def secret(self) -> Secret | None:
        """The secret of AWS, as far as it is known."""
        return self.look.secret

    @property
    def is_read(self) -> bool:
        """Whether the public facts of the current version are known."""
        return self.version is not None and self.version.keys is not None

    @property
    def being_read(self) -> bool:
        """The current version is not known yet, and nothing stands against reading it."""
        return self.version is not None and self.version.keys is None and not self.version.error

    @cached_property
    def counts(self) -> Counts:
        """How many keys are in which state."""
        return counts(self.rows)

    @property
    def secrets(self) -> list[str]:
        """The names of the Secrets in the file and of typed ones, to which a key can be added."""
        wholes = {edit.secret: edit.do for edit in self.draft.edits if edit.is_whole}
        new = [name for name, do in wholes.items() if do == "new"]
        stored = [name for name, _ in self.held] or sorted(
            {place[0] for place in self.reference.wanted.get(self.file.path, {})}
        )
        return [name for name in dict.fromkeys([*stored, *new]) if wholes.get(name) != "drop"]

    @property
    def held(self) -> list[tuple[str, int]]:
        """The Secrets that the stored file holds, with the numbers of their keys."""
        return list(Counter(row.place[0] for row in self.rows if row.key is not None).items())

    @property
    def is_flat(self) -> bool:
        """The stored file is one flat JSON object."""
        return [name for name, _ in self.held] == [""]

    @property
    def lacks_size(self) -> bool:
        """The current version is known from a deploy only, which tells its keys, but not the size of the text."""
        version = self.version
        return (
            version is not None
            and version.keys is not None
            and version.byte_count is None
            and not version.error
        )

    @property
    def used(self) -> int:
        """Bytes of the stored text."""
        return (self.version.byte_count if self.version else None) or 0

    @property
    def allowed(self) -> int:
        """The most that AWS takes."""
        return MAX_STORED_BYTES

    @property
    def percent(self) -> int:
        """How full it is."""
        return round(100 * self.used / self.allowed)

    @property
    def changed_names(self) -> list[str]:
        """Keys that differ from what runs now."""
        return [row.name for row in self.rows if row.changed]

    @property
    def changed_by(self) -> list[str]:
        """The people who changed them."""
        return sorted({row.changed_by for row in self.rows if row.changed and row.changed_by})


def file_views(
    user: Any, environment: Environment, files: Sequence[SecretsFile], looks: Mapping[int, Look], reference: Reference,
    chosen: SecretsFile | None = None,
) -> list[FileView]:  # fmt: skip
    """Each file; the `chosen` one with its history and the person's draft."""
    secrets = {pk: look.secret for pk, look in looks.items() if look.secret is not None}
    versions = current_versions(list(secrets.values()))
    uses = serving(environment, secrets.values())
    served = served_keys(uses.values())
    return [
        _view(
            user,
            file,
            looks[file.pk],
            reference,
            versions,
            uses,
            served,
            full=chosen is not None and file.pk == chosen.pk,
        )
        for file in files
    ]


def _view(
    user: Any, file: SecretsFile, look: Look, reference: Reference, versions: Mapping[int, SecretVersion],
    uses: Mapping[int, VersionUse], served: Mapping[int, SecretVersion], *, full: bool,
) -> FileView:  # fmt: skip
    secret = look.secret
    version = versions.get(secret.pk) if secret else None
    keys = keys_of(version.keys) if version else {}
    runs = served.get(secret.pk) if secret else None
    history = list(stored_versions(secret).defer("keys")[:HISTORY]) if full and secret else []
    draft = draft_of(user, secret) if full else Content()
    wanted = reference.wanted.get(file.path) if version is not None and version.keys is not None else {}
    shown = rows(
        keys, wanted, reference=reference, flat=is_flat(keys), serving=keys_of(runs.keys) if runs else None,
        history=history, draft=draft,
    )  # fmt: skip
    return FileView(
        file, look, version, uses.get(secret.pk) if secret else None, reference, shown, draft, history
    )


def is_flat(keys: Mapping[Place, Key]) -> bool:
    """Whether the file is one flat JSON object."""
    return bool(keys) and all(secret == "" for secret, _ in keys)


def has_one_secret(version: SecretVersion | None) -> bool:
    """Whether a version's file holds one Secret only, as far as it was read; else its keys are told with their Secret."""
    return version is None or len({secret for secret, _ in keys_of(version.keys)}) <= 1


@dataclass(frozen=True)
class VersionLine:
    """One version in a list. `alone`: the file holds one Secret only."""

    row: SecretVersion
    uses: Sequence[VersionUse]
    is_current: bool
    serves: bool
    alone: bool = True

    @property
    def names(self) -> list[str]:
        """The keys that it touched; of a file with one Secret without that one's name."""
        found = [place_of(text) for text in dict.fromkeys(labels_of(self.row))]
        alone = self.alone and len({secret for secret, _ in found}) == 1
        return [key if alone else label(secret, key) for secret, key in found]

    @property
    def is_outside(self) -> bool:
        """It came from outside the portal, after a version that the portal knew."""
        return self.row.source == SecretVersion.Source.OUTSIDE and bool(self.row.base_version)

    @property
    def is_first(self) -> bool:
        """It was there when the portal looked for the first time."""
        return self.row.source == SecretVersion.Source.OUTSIDE and not self.row.base_version


def version_lines(view: FileView, uses: Mapping[str, Sequence[VersionUse]], limit: int) -> list[VersionLine]:
    """The newest versions of a file's secret."""
    current = view.secret.current_version if view.secret else ""
    runs = view.use.version_id if view.use else ""
    alone = has_one_secret(view.version)
    return [
        VersionLine(
            row, uses.get(row.version_id, ()), row.version_id == current, row.version_id == runs, alone
        )
        for row in view.history[:limit]
    ]
