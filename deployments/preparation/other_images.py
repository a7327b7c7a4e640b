"""Looks whether a known registry has the images that manifests name by themselves, such as mirrored ones: a wrong tag would only
show when a node cannot pull it. The project's own images are pinned before, and missing ones refused.

A registry that does not answer, or may not be asked, gives no finding: nodes have a credential of their own. So does a repository
that is allotted to other projects only: the answer would tell of their images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adapters.errors import ExternalError, NotFound
from core.findings import WARNING, Finding
from engine.manifests.images import parse_reference
from engine.manifests.references import containers_of, pod_template_of
from engine.types import Manifest, ObjectRef
from projects.allotting.rules import of_others
from projects.allotting.wishes import Wish, of_repository
from projects.connections import ecr
from projects.models import Project, Registry

MOST = 20  # images of one deploy that are asked for
HINT = "Pods that start on a node without it cannot pull it. Correct the tag, or push the image first."


@dataclass(frozen=True)
class Named:
    """An image by its tag in a known registry, and the first object that names it."""

    registry: Registry
    repository: str
    tag: str
    ref: ObjectRef


def named_images(project: Project, manifests: Sequence[Manifest]) -> list[Named]:
    """The images in known registries that the manifests name by a tag, each once; at most MOST. None of repositories that are
    allotted to other projects only. Two queries."""
    registries = {registry.host: registry for registry in Registry.objects.current()}
    found: dict[tuple[str, str, str], Named] = {}
    for manifest in manifests:
        for named in _of(manifest, registries):
            found.setdefault((named.registry.host, named.repository, named.tag), named)
    wishes = {one: _wish(one) for one in found.values()}
    foreign = of_others(project, wishes.values())
    return [one for one, wish in wishes.items() if wish not in foreign][:MOST]


def _wish(one: Named) -> Wish:
    [wish] = of_repository(one.registry, one.repository)
    return wish


def _of(manifest: Manifest, registries: Mapping[str, Registry]) -> Iterator[Named]:
    for container in containers_of(pod_template_of(manifest.body) or {}):
        image = parse_reference(str(container.get("image") or ""))
        host, _, repository = image.repository.partition("/")
        if host in registries and repository and not image.digest:
            yield Named(registries[host], repository, image.tag or "latest", manifest.ref)


def check_other_images(named: Sequence[Named]) -> list[Finding]:
    """A warning for each image that its registry does not have. Asks from a thread, without the database. A registry that does
    not answer is asked no further: a page may wait."""
    silent: set[str] = set()
    found = []
    for one in named:
        if one.registry.host in silent:
            continue
        try:
            if not _is_there(one):
                found.append(_missing(one))
        except ExternalError as error:
            if not error.permanent:
                silent.add(one.registry.host)
    return found


def _is_there(one: Named) -> bool:
    try:
        return bool(ecr(one.registry, hasty=True).digests(one.repository, [one.tag]))
    except NotFound:  # not even its repository is there
        return False


def _missing(one: Named) -> Finding:
    text = f"The registry {one.registry.name} has no image {one.repository}:{one.tag}, which {one.ref.kind} {one.ref.name} names."
    return Finding(WARNING, text, HINT, subject=str(one.ref))
