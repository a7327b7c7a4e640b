"""What is left until a project's first deploy: one list for each environment, with a button where the portal can help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, Subquery
from django.urls import reverse

from deployments.models import Deploy
from deployments.queries import light, succeeded
from portal.first_deploy.looking import Seen, look
from projects.access import roles_by_environment
from projects.models import Environment, Project, Role, SecretsFile
from projects.reading.proposing import missing_variables
from projects.secret_rights import role_for
from registry.deploys import Keeping, keepings
from runs.models import OPEN, State
from secrets_ui.known.looking import Look
from secrets_ui.known.looking import look as look_at_secrets
from secrets_ui.known.public import keys_of
from secrets_ui.known.secrets import current_versions
from secrets_ui.models import Secret
from secrets_ui.values.kinds import EMPTY

DONE, TODO, WAITS, TROUBLE = "passed", "waiting", "running", "failed"


@dataclass(frozen=True)
class Item:
    """One line. `state`: of ui/states.py; `button` leads to `url`, by POST where `posts`; `fields`: what that form sends; `whom`:
    who may press it, where the reader may not."""

    title: str
    state: str
    text: str = ""
    button: str = ""
    url: str = ""
    posts: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    whom: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == DONE


@dataclass(frozen=True)
class EnvironmentList:
    """The lines of one environment; the last one is its first deploy."""

    environment: Environment
    items: tuple[Item, ...]

    @property
    def done(self) -> int:
        """How many lines are done."""
        return sum(item.is_done for item in self.items)

    @property
    def next(self) -> Item | None:
        """The first line with a button that is not done: its button is the primary one."""
        return next((item for item in self.items if item.button and not item.is_done), None)


@dataclass(frozen=True)
class _Reader:
    """The reader of the list, and the page they came from."""

    role: Role | None
    back: str

    def may(self, need: Role) -> bool:
        return self.role is not None and self.role.rank >= need.rank


@dataclass(frozen=True)
class _Facts:
    """What is known of an environment. `secrets`, `unfilled`: of the whole project, by secrets file and by secret; `last`: its
    newest deploy; `has_images`: the project has any."""

    seen: Seen
    secrets: Mapping[int, Look]
    unfilled: Mapping[int, int]
    keeping: Keeping
    last: Deploy | None
    has_images: bool


def is_over(project: Project) -> bool:
    """Whether a deploy of the project has succeeded, or it is archived: then there is no list any more."""
    good = Exists(succeeded(OuterRef("pk")))  # by environment: each is one look into an index
    return project.archived_at is not None or project.environments.filter(good).exists()


def checklist(user: Any, project: Project) -> list[EnvironmentList]:
    """The lists of the project's environments, in their order. Asks the outside, for some seconds at most."""
    environments = list(
        project.environments.current()
        .select_related("cluster", "project")
        .prefetch_related("secrets_files__environment__project")
    )
    seen = look(project, environments)
    files = [file for one in environments for file in one.secrets_files.all()]
    secrets = look_at_secrets(files)
    unfilled = _unfilled(one.secret for one in secrets.values() if one.secret is not None)
    keeping, last = keepings(environments), _last_deploys(environments)
    roles = roles_by_environment(user, environments)
    back = reverse("portal:project", args=[project.slug])
    has_images = project.images.current().exists()
    found = (
        (one, _Facts(seen[one.pk], secrets, unfilled, keeping[one.pk], last.get(one.pk), has_images))
        for one in environments
    )
    return [
        EnvironmentList(one, tuple(_items(one, facts, _Reader(roles[one.pk], back)))) for one, facts in found
    ]


def _last_deploys(environments: Sequence[Environment]) -> dict[int, Deploy]:
    """The newest deploy of each environment, by its primary key. One query."""
    of = Deploy.objects.filter(environment=OuterRef("pk")).order_by("-number").values("pk")
    rows = Environment.objects.filter(pk__in=[one.pk for one in environments])
    newest = rows.annotate(last=Subquery(of[:1])).values("last")
    return {one.environment_id: one for one in light(Deploy.objects.filter(pk__in=newest))}


def _items(environment: Environment, facts: _Facts, reader: _Reader) -> Iterator[Item]:
    yield _repository(environment, facts.seen, reader)
    yield from _cluster(environment, facts.seen, reader)
    if not facts.seen.scan.trouble:
        yield from _variables(environment, facts.seen, reader)
    for file in environment.secrets_files.all():
        yield _secret(file, facts.secrets[file.pk], facts.unfilled, reader)
    if facts.has_images:
        yield _pull_secret(environment, facts.keeping, reader)
        yield _images(environment, facts.seen, reader)
    yield _deploy(environment, facts.last, reader)


def _settings(environment: Environment) -> str:
    return reverse("projects:environment", args=[environment.project.slug, environment.slug])


def _button(reader: _Reader, need: Role, words: str, url: str, **more: Any) -> dict[str, Any]:
    """The button, or who may press it."""
    if reader.may(need):
        return {"button": words, "url": url, **more}
    return {"whom": f"A {need.label.lower()} of the project does this."}


def _repository(environment: Environment, seen: Seen, reader: _Reader) -> Item:
    title, scan = "Repository read", seen.scan
    settings = _button(reader, Role.MAINTAINER, "Settings", _settings(environment))
    if scan.trouble:
        return Item(title, TROUBLE, f"{scan.trouble} {scan.hint}".strip(), **settings)
    [folder] = scan.folders
    problems = folder.manifests.problems
    if not folder.manifests.objects:
        return Item(title, TROUBLE, f"{folder.path} holds no manifests.", **settings)
    objects = f"{folder.manifests.objects} object{'s' if folder.manifests.objects != 1 else ''}"
    text = f"{objects} in {folder.path} at {scan.sha[:7]}."
    if problems:
        return Item(title, "warning", f"{text} {problems[0]}")
    return Item(title, DONE, text)


def _cluster(environment: Environment, seen: Seen, reader: _Reader) -> Iterator[Item]:
    place, cluster = seen.place, environment.cluster.name
    if place.error:
        yield Item("Cluster reachable", TROUBLE, f"{place.error} {place.hint}".strip())
        return
    yield Item("Cluster reachable", DONE, f"{cluster} answers.")
    name = environment.namespace
    if place.exists:
        yield Item("Namespace exists", DONE, f"{name} is on {cluster}.")
    elif place.exists is None:
        yield Item("Namespace exists", "warning", f"The account may not read whether {name} exists.")
    else:
        url = reverse("projects:namespace_create", args=[environment.project.slug, environment.slug])
        button = _button(
            reader, Role.MAINTAINER, "Create the namespace", url, posts=True, fields=(("next", reader.back),)
        )
        yield Item("Namespace exists", TODO, f"{name} is not on {cluster} yet.", **button)
    yield (
        Item("Rights suffice", TROUBLE, place.lacks)
        if place.lacks
        else Item("Rights suffice", DONE, "The account may do all that deploys of the usual kinds need.")
    )


def _variables(environment: Environment, seen: Seen, reader: _Reader) -> Iterator[Item]:
    [folder] = seen.scan.folders
    if not folder.manifests.variables:
        return
    missing = missing_variables(environment, folder.manifests)
    if not missing:
        yield Item(
            "Variables have values", DONE, ", ".join(one.name for one in folder.manifests.variables[:8]) + "."
        )
        return
    url = f"{_settings(environment)}?variables=used#variables"
    shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
    yield Item(
        "Variables have values", TODO, f"Without a value: {shown}.", **_button(reader, Role.MAINTAINER, "Give values", url)
    )  # fmt: skip


def _secret(file: SecretsFile, found: Look, unfilled: Mapping[int, int], reader: _Reader) -> Item:
    title = f"Secret {file.secret_id} in AWS"
    place = [file.environment.project.slug, file.environment.slug]
    url, need = reverse("secrets:environment", args=place), role_for(file.environment, "edit")
    if found.missing:
        make = f"{reverse('secrets:create', args=[*place, file.pk])}?{urlencode({'next': reader.back})}"
        return Item(
            title, TODO, f"It replaces {file.path}, and is not there yet.",
            **_button(reader, need, "Create it from the reference file", make),
        )  # fmt: skip
    if found.error or found.secret is None:
        return Item(title, TROUBLE, found.error or "It was not read yet.", "Look", url)
    empty = unfilled.get(found.secret.pk, 0)
    if not empty:
        return Item(title, DONE, f"It replaces {file.path}.", "Values", url)
    stops = file.environment.placeholders_stop
    what = f"{empty} of its keys {'has' if empty == 1 else 'have'} no value yet"
    text = f"{what}; a deploy {'stops' if stops else 'only warns'}."
    return Item(title, TODO if stops else "warning", text, **_button(reader, need, "Fill them in", url))


def _unfilled(secrets: Iterable[Secret]) -> dict[int, int]:
    """How many keys of each secret's current version nobody has filled in, by the secret's pk; one query."""
    return {
        pk: sum(key.kind == EMPTY or key.has("placeholder") for key in keys_of(version.keys).values())
        for pk, version in current_versions([*secrets]).items()
    }


def _pull_secret(environment: Environment, keeping: Keeping, reader: _Reader) -> Item:
    title, name = "Images can be pulled", environment.pull_secret
    if not name:
        text = "No pull secret is named: nodes pull with their own rights."
        return Item(title, DONE, text, **_button(reader, Role.MAINTAINER, "Name one", _settings(environment)))
    row = keeping.row
    if row is not None and row.is_usable:
        return Item(title, DONE, f"The pull secret {name} is valid.")
    if not keeping.is_managed:
        text = f"The portal does not keep the pull secret {name}. {row.last_error if row else ''}".strip()
        return Item(title, "warning", text, "Look", reverse("registry:overview"))
    text = f"The portal makes the pull secret {name} as soon as the namespace exists, or with the deploy."
    button = _button(
        reader, Role.DEPLOYER, "Set it up now", reverse("registry:refresh"), posts=True,
        fields=(("place", environment.place), ("next", reader.back)),
    )  # fmt: skip
    return Item(title, TODO, text, **button)


def _images(environment: Environment, seen: Seen, reader: _Reader) -> Item:
    title, sha = "Images built", seen.scan.sha[:7]
    if seen.has_images:
        return Item(title, DONE, f"The registry has the images of {sha}.")
    url = f"{reverse('builds:new')}?{urlencode({'project': environment.project.slug})}"
    button = _button(reader, Role.DEPLOYER, "Build", url)
    if seen.has_images is None:
        return Item(title, "warning", "Whether the registry has the images is not known.", **button)
    return Item(title, TODO, f"The registry lacks images of {sha}, the newest revision.", **button)


def _deploy(environment: Environment, last: Deploy | None, reader: _Reader) -> Item:
    title = "First deploy"
    url = reverse("deployments:new", args=[environment.project.slug, environment.slug])
    button = _button(reader, Role.DEPLOYER, "Deploy", url)
    if last is None:
        return Item(title, TODO, "The preview says exactly what would happen.", **button)
    here = reverse("deployments:deploy", args=[last.number])
    if last.state in OPEN:
        return Item(title, WAITS, f"#{last.number} is under way.", "Watch", here)
    if last.state == State.SUCCEEDED:
        return Item(title, DONE, f"#{last.number} has succeeded.", "Look", here)
    return Item(title, TROUBLE, f"#{last.number}: {last.result}", **button)


def chosen(lists: Sequence[EnvironmentList], slug: str) -> EnvironmentList | None:
    """The list of the environment with that short name, else the first one that is not done; None without environments."""
    named = (one for one in lists if one.environment.slug == slug)
    open_ones = (one for one in lists if one.done < len(one.items))
    return next(named, None) or next(open_ones, None) or next(iter(lists), None)
