"""What is to be made of each image: everything that a thread needs, read from the database before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.utils import timezone

from adapters.aws.ecr import Ecr
from adapters.aws.ecr_repositories import EcrRepositories
from builds.models import Build, BuildSettings, BuiltImage
from builds.pushed import DONE
from builds.stored import build_settings
from builds.tags import LABEL_BUILD, LABEL_IMAGE, LABEL_PROJECT, branch_tag, revision_tags
from projects.connections import ecr, ecr_repositories


@dataclass(frozen=True)
class Place:
    """Where an image goes. `reference`: host and repository; `creates`: a missing repository may be created, with `policy`."""

    reference: str
    repository: str
    ecr: Ecr
    repositories: EcrRepositories
    creates: bool
    policy: str


@dataclass(frozen=True)
class ImageOrder:
    """One image to make. `pk`: of its row; `dockerfile`, `directory`: paths in the repository; `tags`: the revision's, the full
    one first; `cache_tag`: the tag of the branch's last image."""

    pk: int
    name: str
    place: Place
    directory: str
    dockerfile: str
    target: str
    platform: str
    tags: tuple[str, ...]
    is_fresh: bool
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_tag: str = ""

    @property
    def host(self) -> str:
        """The registry's host."""
        return self.place.reference.partition("/")[0]


def orders_of(build: Build) -> list[ImageOrder]:
    """The images of a build that are not in the registry yet, in their order."""
    rows = (
        build.images.exclude(state__in=DONE).select_related("registry", "image__recipe").order_by("position")
    )
    settings = build_settings(build.project_id)
    return [_order(build, settings, row) for row in rows if row.registry]


def _order(build: Build, settings: BuildSettings, row: BuiltImage) -> ImageOrder:
    registry = row.registry
    assert registry is not None  # noqa: S101 - `orders_of` leaves out rows without one; tells the type checker
    place = Place(
        row.reference, row.reference.partition("/")[2], ecr(registry), ecr_repositories(registry),
        settings.creates_repositories, settings.lifecycle_policy,
    )  # fmt: skip
    return ImageOrder(
        pk=row.pk, name=row.name, place=place, directory=row.context, dockerfile=row.dockerfile, target=row.target,
        platform=row.platform, tags=revision_tags(build.revision), is_fresh=build.is_fresh, arguments=_arguments(row),
        labels=labels_of(build, row.name), cache_tag=branch_tag(build.branch or build.project.default_branch),
    )  # fmt: skip


def _arguments(row: BuiltImage) -> dict[str, str]:
    """The build arguments of the image's recipe as it is now."""
    recipe = getattr(row.image, "recipe", None)
    given: Iterable[dict[str, object]] = recipe.arguments if recipe else ()
    return {str(one["name"]): str(one.get("value", "")) for one in given}


def labels_of(build: Build, image: str) -> dict[str, str]:
    """OCI's labels and our own. The revision is a label and no argument: an argument above the heavy steps would make each
    revision build all of them again."""
    created = (build.started_at or timezone.now()).replace(microsecond=0)
    return {
        "org.opencontainers.image.revision": build.revision,
        "org.opencontainers.image.source": _address(build.project.repository_url),
        "org.opencontainers.image.created": created.isoformat().replace("+00:00", "Z"),
        LABEL_BUILD: str(build.number),
        LABEL_PROJECT: build.project.slug,
        LABEL_IMAGE: image,
    }


def _address(url: str) -> str:
    """The repository's address as a page in a browser has it, where that can be told: `git@host:a/b.git` is `https://host/a/b`."""
    if "://" not in url and ":" in url:
        host, _, path = url.partition("@")[2].partition(":")
        return f"https://{host}/{path.removesuffix('.git')}"
    parts = urlsplit(url)
    return (
        f"https://{parts.hostname}{parts.path.removesuffix('.git')}"
        if parts.scheme == "ssh"
        else url.removesuffix(".git")
    )
