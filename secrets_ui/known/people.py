"""Who changed keys between two versions of secrets: for the pages of deploys. Names of people, no keys and no values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import F, Q

from projects.models import SecretsFile
from secrets_ui.known.public import Place, place_of
from secrets_ui.models import SecretVersion

OUTSIDE = "outside the portal"
LOOKED_THROUGH = 500  # versions, of all the files together


@dataclass(frozen=True)
class Span:
    """What changed in one secrets file: from the version that runs to another one. `keys`: those that differ, each with the
    name of its Secret, which is empty where the file holds one Secret only."""

    file: SecretsFile
    before: str
    after: str
    keys: Collection[Place]


def changed_by(spans: Sequence[Span]) -> str:
    """`by dev and lead`, `outside the portal`, or both; empty where the versions between are not known. One query."""
    known = _versions([span.file for span in spans]) if spans else {}
    found = {name for span in spans for name in _people(span, known.get(_named(span.file), {}))}
    people = sorted(found - {""})
    by = [f"by {' and '.join(filter(None, [', '.join(people[:-1]), people[-1]]))}"] if people else []
    return ", and ".join(by + ([OUTSIDE] if "" in found else []))


def _people(span: Span, known: Mapping[str, SecretVersion]) -> Iterator[str]:
    """The people of the versions that touched the keys; empty text: nobody known. Nothing where the way from one version to
    the other is not known: naming the wrong person is worse."""
    between, at = [], span.after
    while at != span.before:
        row = known.get(at)
        if row is None or row in between:
            return
        between.append(row)
        at = row.base_version
    untold = set(span.keys)
    for row in between:
        touched = {place for place in span.keys if _is_among(place, set(_touched(row)))}
        untold -= touched
        if touched:
            yield row.actor_text
    if untold:
        yield ""


def _is_among(place: Place, touched: set[Place]) -> bool:
    """Whether a version touched the key: of this Secret, where its name is known on both sides."""
    secret, key = place
    return place in touched or any(other == key and not (secret and name) for name, other in touched)


def _touched(row: SecretVersion) -> Iterator[Place]:
    """The keys that a version touched."""
    labels = [label for kind in ("added", "changed", "removed") for label in row.touched.get(kind, ())]
    labels += [label for pair in row.touched.get("renamed", ()) for label in pair]
    for label in labels:
        yield place_of(label)


def _versions(files: Sequence[SecretsFile]) -> dict[tuple[str, ...], dict[str, SecretVersion]]:
    """The newest versions of the files' secrets, by what names the secret and by VersionId."""
    wanted = Q()
    for file in files:
        region, role, named = _named(file)
        wanted |= Q(
            secret__addresses__region=region, secret__addresses__role_arn=role, secret__addresses__named=named
        )
    rows = (
        SecretVersion.objects.filter(wanted, state=SecretVersion.State.STORED)
        .annotate(
            region=F("secret__addresses__region"),
            role_arn=F("secret__addresses__role_arn"),
            named=F("secret__addresses__named"),
        )
        .defer("keys")
        .order_by("-id")
    )
    found: dict[tuple[str, ...], dict[str, SecretVersion]] = {}
    for row in rows[:LOOKED_THROUGH]:
        found.setdefault((row.region, row.role_arn, row.named), {})[row.version_id] = row
    return found


def _named(file: SecretsFile) -> tuple[str, str, str]:
    return file.region, file.role_arn, file.secret_id
