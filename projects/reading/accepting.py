"""Makes what was read from a repository, and chosen by a person, part of the project: all of it or nothing.

Each row goes through the service that its own form uses, so that rights, allotments and the audit are the same. A row that
is there already, with the same place in the repository, is left as it is: a form that was sent twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction

from audit.actors import Actor
from core.errors import Refused
from projects import services
from projects.access import require_project
from projects.leaving.locking import lock_project
from projects.models import Cluster, Environment, Image, Project, Registry, Role, SecretsFile

ENVIRONMENT, FILE, IMAGE = "environment", "file", "image"
Row = tuple[str, int]  # kind of row and its number in the form


@dataclass(frozen=True)
class ChosenFile:
    """A secrets file. `number`: of its row in the form, for errors."""

    number: int
    path: str
    secret_id: str
    region: str


@dataclass(frozen=True)
class ChosenEnvironment:
    """An environment with its variables and secrets files."""

    number: int
    config_directory: str
    slug: str
    name: str
    is_production: bool
    cluster: Cluster
    namespace: str
    pull_secret: str = ""
    variables: Sequence[dict[str, str]] = ()
    files: Sequence[ChosenFile] = ()


@dataclass(frozen=True)
class ChosenImage:
    """An image."""

    number: int
    name: str
    dockerfile: str
    context: str
    registry: Registry
    repository: str


@dataclass(frozen=True)
class Accepted:
    """How many rows are new."""

    environments: int = 0
    files: int = 0
    images: int = 0


class NotAccepted(Exception):
    """Some rows were refused, so nothing was saved. `problems`: the services' errors by row."""

    def __init__(self, problems: dict[Row, ValidationError]) -> None:
        super().__init__("nothing was saved")
        self.problems = problems


@dataclass
class _Saving:
    """Saves row by row, and goes on after a refusal, so that all refusals are told together."""

    problems: dict[Row, ValidationError] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)

    def save(self, kind: str, number: int, make: Callable[[], object]) -> bool:
        try:
            with transaction.atomic():
                make()
        except ValidationError as error:
            self.problems[kind, number] = error
            return False
        except Refused as error:
            if error.code != "exists":
                raise
            self.problems[kind, number] = ValidationError(error.message)
            return False
        self.new.append(kind)
        return True


def accept(
    actor: Actor, project: Project, environments: Sequence[ChosenEnvironment], images: Sequence[ChosenImage]
) -> Accepted:
    """Adds the chosen rows. Raises Refused (role too weak) and NotAccepted, which has every refusal; then nothing is saved."""
    require_project(actor, project, Role.MAINTAINER)
    saving = _Saving()
    with transaction.atomic():
        lock_project(project)  # two requests at once come one after the other
        for image in images:
            _image(actor, project, image, saving)
        for environment in environments:
            _environment(actor, project, environment, saving)
        if saving.problems:
            raise NotAccepted(saving.problems)
    return Accepted(*(saving.new.count(kind) for kind in (ENVIRONMENT, FILE, IMAGE)))


def _image(actor: Actor, project: Project, chosen: ChosenImage, saving: _Saving) -> None:
    if (
        Image.objects.current()
        .filter(project=project, name=chosen.name, dockerfile=chosen.dockerfile)
        .exists()
    ):
        return

    def make() -> object:
        return services.create_image(
            actor, project=project, name=chosen.name, registry=chosen.registry, repository=chosen.repository,
            dockerfile=chosen.dockerfile, context=chosen.context,
        )  # fmt: skip

    saving.save(IMAGE, chosen.number, make)


def _environment(actor: Actor, project: Project, chosen: ChosenEnvironment, saving: _Saving) -> None:
    def find() -> Environment | None:
        rows = Environment.objects.current().select_related("cluster", "project").filter(project=project)
        return rows.filter(slug=chosen.slug, config_directory=chosen.config_directory).first()

    def make() -> object:
        return services.create_environment(
            actor, project=project, slug=chosen.slug, name=chosen.name, is_production=chosen.is_production,
            cluster=chosen.cluster, namespace=chosen.namespace, config_directory=chosen.config_directory,
            pull_secret=chosen.pull_secret, variables=chosen.variables,
        )  # fmt: skip

    if find() is None:
        saving.save(ENVIRONMENT, chosen.number, make)
    environment = find()
    if environment is not None:
        for file in chosen.files:
            _file(actor, environment, file, saving)


def _file(actor: Actor, environment: Environment, chosen: ChosenFile, saving: _Saving) -> None:
    if SecretsFile.objects.filter(environment=environment, path=chosen.path).exists():
        return

    def make() -> object:
        return services.create_secrets_file(
            actor, environment=environment, path=chosen.path, secret_id=chosen.secret_id, region=chosen.region
        )

    saving.save(FILE, chosen.number, make)
