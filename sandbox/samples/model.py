"""What a sample project is made of: data only. Seeding registers it in the portal, publishing makes its
outside world.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Author:
    """Somebody who commits."""

    name: str
    email: str


@dataclass(frozen=True)
class Edit:
    """One place in a file: `old`, which stands there once, becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Change:
    """One commit. `hours` before the sandbox's first start; `add`: files or folders taken from the
    sample's files.
    """

    author: Author
    hours: float
    subject: str
    add: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    body: str = ""


@dataclass(frozen=True)
class Image:
    """An image that the project builds: `name` in the portal, `repository` in the registry.

    `scan`: of the newest one: done, slow (it goes on for ever), or none; `findings`: of that scan, such as `HIGH=1 LOW=4`.
    `archived`: whether the oldest one is archived.
    """

    name: str
    repository: str
    dockerfile: str
    context: str = "."
    scan: str = ""
    findings: str = ""
    archived: bool = False


@dataclass(frozen=True)
class MirroredImage:
    """An image that others built and the registry only keeps, under one tag."""

    repository: str
    tag: str
    behaviour: str
    log: str


@dataclass(frozen=True)
class Variable:
    """A deployment variable of an environment. `type`: string, number or boolean."""

    name: str
    value: str
    type: str = "string"


@dataclass(frozen=True)
class Save:
    """A version of a secrets file that somebody (`by`: a sample person) saves in the portal, with a comment.

    `values`: the new values by `secret/key`. `after_deploy`: only once the seeded deploys have ended, so that the newest
    version is not the deployed one.
    """

    by: str
    comment: str
    values: dict[str, str]
    after_deploy: bool = False


@dataclass(frozen=True)
class SecretsFile:
    """A populated secrets file: the AWS secret `secret_id` that stands for the reference file `path`.

    `values`: by key, as `values.filled` takes them. They are the first version, which does not come from the portal;
    `saves` are the later ones. `windows`: its lines end with CR LF.
    """

    path: str
    secret_id: str
    values: dict[str, str]
    saves: tuple[Save, ...] = ()
    windows: bool = False


@dataclass(frozen=True)
class Environment:
    """One environment. `seeded` names the revisions (branch, or `main~N`) to deploy at first start, in order;

    `by_kubectl`: `main~N` that plain `kubectl apply` put there before the portal knew of it, or empty. `cluster_wide`: kinds
    without a namespace that are allotted to it, as patterns. `auto_deploy`: the branches whose green builds are deployed by
    themselves.
    """

    slug: str
    name: str
    order: int
    namespace: str
    config_directory: str
    production: bool = False
    variables: tuple[Variable, ...] = ()
    secrets_files: tuple[SecretsFile, ...] = ()
    seeded: tuple[str, ...] = ()
    by_kubectl: str = ""
    cluster_wide: tuple[str, ...] = ()
    auto_deploy: str = ""


@dataclass(frozen=True)
class SampleProject:
    """A project with its repository's history. `files`: the folder of its files in
    `sandbox/samples/files`.
    """

    slug: str
    name: str
    description: str
    files: str
    slack_channel: str
    main: tuple[Change, ...]
    environments: tuple[Environment, ...]
    images: tuple[Image, ...] = ()
    mirrored: tuple[MirroredImage, ...] = ()
    broken: tuple[Change, ...] = ()  # branched off the end of main, as the next
    crashes_late: tuple[Change, ...] = ()
    more_keys: tuple[Change, ...] = ()
    wrong_tag: tuple[Change, ...] = ()
    default_branch: str = "main"
    needs: str = ""

    @property
    def branches(self) -> tuple[tuple[str, tuple[Change, ...]], ...]:
        """Those beside the default branch, all of them begun at its end."""
        return (
            ("broken", self.broken),
            ("crashes-late", self.crashes_late),
            ("more-keys", self.more_keys),
            ("wrong-tag", self.wrong_tag),
        )

    @property
    def repository(self) -> str:
        """The name of its bare repository on the sandbox's Git server."""
        return f"{self.slug}.git"


@dataclass(frozen=True)
class SamplePerson:
    """Somebody who signs in. `role`: admin (site-wide), maintainer, deployer or viewer of every sample
    project.
    """

    username: str
    name: str
    email: str
    role: str


@dataclass(frozen=True)
class SampleCluster:
    """The one cluster of the sandbox."""

    slug: str = "sandbox"
    name: str = "Sandbox"


@dataclass(frozen=True)
class SampleRegistry:
    """The one registry of the sandbox. Its endpoint URL is that of the running AWS end."""

    name: str
    account: str
    region: str
    pull_secret: str  # name of the pull secret in every namespace
