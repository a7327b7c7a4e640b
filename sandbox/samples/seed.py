"""`python -m sandbox.samples.seed`: registers the samples in the portal and makes the first deploys through the real pipeline.

It talks to the portal as the portal's own code does: service functions, the gate, the database. What is there already
is left as it is, so every start of a sandbox may run it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import django

django.setup()

from adapters.aws.secrets_manager import SecretsManager  # noqa: E402  (after setup: models are loaded with it)
from audit.actors import SYSTEM_ACTOR, person  # noqa: E402
from builds import changing  # noqa: E402
from builds.models import BuildSettings  # noqa: E402
from clusters.services import refresh_environment  # noqa: E402
from deployments.gate import requests as deploys  # noqa: E402
from deployments.models import Deploy  # noqa: E402
from people.models import User  # noqa: E402
from people.services import create_user  # noqa: E402
from projects import infrastructure, memberships, services  # noqa: E402
from projects.allotting import services as allotting  # noqa: E402
from projects.models import Allotment, Cluster, Environment, Project, Registry, SecretsFile  # noqa: E402
from runs.models import OPEN, State  # noqa: E402
from sandbox import layout as layouts  # noqa: E402
from sandbox.cluster.kubectl import apply_as_kubectl  # noqa: E402
from sandbox.samples import CLUSTER, PEOPLE, REGISTRY, SAMPLES, pull_credentials  # noqa: E402
from sandbox.samples import model as samples  # noqa: E402
from sandbox.samples.by_hand import objects_by_hand  # noqa: E402
from sandbox.samples.publish import World, make_world  # noqa: E402
from sandbox.samples.secret_versions import save_versions  # noqa: E402

PATIENCE_SECONDS = 180
SIMULATED = "simulated cluster"

Pair = tuple[samples.Environment, Environment]  # the description, and the environment in the portal


def main() -> int:
    """Seeds; 0 also when a sample deploy failed (its page says why), which is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--existing-cluster", action="store_true", help="register only, deploy nothing")
    parser.add_argument("--simulated", action="store_true", help="say so wherever the cluster shows")
    options = parser.parse_args()
    layout = layouts.running(layouts.sandbox_directory())
    kubeconfig = Path(os.environ["KUBECONFIG"])
    world = make_world(layout.world_note, layout.repositories, layout.aws_url)
    people = {sample.username: ensure_person(sample, layout.keys.password) for sample in PEOPLE}
    cluster = ensure_cluster(kubeconfig.read_text(), notice=SIMULATED if options.simulated else "")
    registry = ensure_registry(layout.aws_url)
    environments = [
        pair for sample in SAMPLES for pair in ensure_project(sample, layout, cluster, registry, people)
    ]
    if layout.docker_host:
        build_pushes()
    pull_credentials.ensure_namespaces(kubeconfig)
    if options.existing_cluster:
        save_first_versions(environments, people)
    else:
        seed_cluster(environments, layout, world, people, kubeconfig)
    return 0


def seed_cluster(
    environments: list[Pair], layout: layouts.Layout, world: World, people: dict[str, User], kubeconfig: Path
) -> None:
    """Versions of secrets, objects made by hand, first deploys. A start waits for this, so they go on side by side."""
    pull_credentials.keep(person(people["admin"]), environments[0][1].cluster, layout)
    needed, free, waiting = in_order(environments)
    first = first_deploys(needed, world, people)
    others = []
    for pair in free:  # a deploy runs while the secrets of the next environment are saved
        save_first_versions([pair], people)
        others += first_deploys([pair], world, people)
    wait_for(first)
    save_first_versions(waiting, people)
    for described, environment in waiting:
        past_by_hand(described, environment, layout, world, kubeconfig)
    others += first_deploys(waiting, world, people)
    wait_for(others)
    deployed = {deploy.environment_id for deploy in others}
    for described, environment in environments:
        if environment.pk in deployed:
            save_versions(described, environment, people, after_deploy=True)


def save_first_versions(environments: list[Pair], people: dict[str, User]) -> None:
    """Saves the versions of secrets that come before the first deploy, in environments that had none yet."""
    for described, environment in environments:
        if not Deploy.objects.filter(environment=environment).exists():
            save_versions(described, environment, people, after_deploy=False)


def ensure_person(sample: samples.SamplePerson, password: str) -> User:
    """The sample person; all share the sandbox's password."""
    found = User.objects.filter(username=sample.username).first()
    return found or create_user(
        SYSTEM_ACTOR,
        username=sample.username,
        name=sample.name,
        email=sample.email,
        password=password,
        is_admin=sample.role == "admin",
    )


def ensure_cluster(kubeconfig: str, *, notice: str) -> Cluster:
    """The sandbox's cluster, with the kubeconfig and the notice of this start."""
    cluster = Cluster.objects.filter(slug=CLUSTER.slug).first()
    if cluster is None:
        return infrastructure.create_cluster(
            SYSTEM_ACTOR, slug=CLUSTER.slug, name=CLUSTER.name, kubeconfig=kubeconfig, notice=notice
        )
    if not cluster.kubeconfig.holds(kubeconfig) or cluster.notice != notice:
        infrastructure.change_cluster(
            SYSTEM_ACTOR, cluster=cluster, edited=cluster.edited, name=cluster.name, notice=notice,
            kubeconfig=kubeconfig,
        )  # fmt: skip
        cluster.refresh_from_db()
    return cluster


def ensure_registry(endpoint: str) -> Registry:
    """The sandbox's registry."""
    return Registry.objects.filter(slug="sandbox").first() or infrastructure.create_registry(
        SYSTEM_ACTOR, slug="sandbox", name=REGISTRY.name, endpoint=endpoint, account=REGISTRY.account,
        region=REGISTRY.region,
    )  # fmt: skip


def ensure_project(
    sample: samples.SampleProject,
    layout: layouts.Layout,
    cluster: Cluster,
    registry: Registry,
    people: dict[str, User],
) -> Iterator[tuple[samples.Environment, Environment]]:
    """The project with all that belongs to it; yields its environments beside their descriptions."""
    project = Project.objects.filter(slug=sample.slug).first()
    if project is None:
        project = services.create_project(
            SYSTEM_ACTOR, slug=sample.slug, name=sample.name, repository_url=layout.git_url(sample.repository),
            default_branch=sample.default_branch, credential_kind=Project.Credential.TOKEN,
            credential=layout.keys.git_token, slack_channel=sample.slack_channel, allot_usual=True,
        )  # fmt: skip
        for image in sample.images:
            services.create_image(
                SYSTEM_ACTOR, project=project, name=image.name, registry=registry, repository=image.repository,
                dockerfile=image.dockerfile, context=image.context,
            )  # fmt: skip
        for someone in PEOPLE:
            if someone.role != "admin":
                memberships.grant(
                    SYSTEM_ACTOR, user=people[someone.username], project=project, role=someone.role
                )
    for described in sample.environments:
        yield described, ensure_environment(project, described, cluster)


def build_pushes() -> None:
    """Every push builds the samples that have images. Without a Docker engine `python -m sandbox push` publishes them."""
    for project in Project.objects.filter(slug__in=[sample.slug for sample in SAMPLES if sample.images]):
        if not BuildSettings.objects.filter(project=project).exists():
            changing.change_rules(SYSTEM_ACTOR, project, edited=0, on_push=True)


def ensure_environment(project: Project, described: samples.Environment, cluster: Cluster) -> Environment:
    """One environment with its secrets files."""
    environment = (
        project.environments.select_related("project", "cluster").filter(slug=described.slug).first()
    )
    if environment is None:
        environment = services.create_environment(
            SYSTEM_ACTOR, project=project, slug=described.slug, name=described.name, order=described.order,
            is_production=described.production, cluster=cluster, namespace=described.namespace,
            config_directory=described.config_directory, pull_secret=REGISTRY.pull_secret, auto_deploy=described.auto_deploy,
            variables=[{"name": v.name, "value": v.value, "type": v.type} for v in described.variables],
        )  # fmt: skip
        for pattern in described.cluster_wide:
            allotting.allot(
                SYSTEM_ACTOR, project=project, kind=Allotment.Kind.OBJECTS_OF, pattern=pattern, environment=environment
            )  # fmt: skip
    known = set(SecretsFile.objects.filter(environment=environment).values_list("path", flat=True))
    for file in described.secrets_files:
        path = file.path.removeprefix(f"{described.config_directory}/")
        if path not in known:
            services.create_secrets_file(
                SYSTEM_ACTOR,
                environment=environment,
                path=path,
                secret_id=file.secret_id,
                region=REGISTRY.region,
            )
    return environment


def past_by_hand(
    described: samples.Environment,
    environment: Environment,
    layout: layouts.Layout,
    world: World,
    kubeconfig: Path,
) -> None:
    """Gives an environment a past: objects as `kubectl apply` left them, before the portal knew of it."""
    if not described.by_kubectl or Deploy.objects.filter(environment=environment).exists():
        return
    sample = next(sample for sample in SAMPLES if sample.slug == environment.project.slug)
    objects = objects_by_hand(
        sample, described, repositories=layout.repositories, commit=world.resolve(sample.slug, described.by_kubectl),
        registry_host=layout.registry_host,
        secrets={file.path: SecretsManager(REGISTRY.region).get(file.secret_id).text for file in described.secrets_files},
    )  # fmt: skip
    made = apply_as_kubectl(kubeconfig, objects)
    if made:
        print(f"{environment.label}: {len(made)} objects as kubectl leaves them")
        refresh_environment(environment)  # what was made behind the portal's back is on the board at once


def in_order(environments: list[Pair]) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Those whose kinds another sample needs on the cluster, those that have to do with no other, and those that need such
    kinds."""
    needing = {sample.slug: sample.needs for sample in SAMPLES if sample.needs}
    first = [pair for pair in environments if pair[1].project.slug in needing.values()]
    last = [pair for pair in environments if pair[1].project.slug in needing]
    return first, [pair for pair in environments if pair not in first + last], last


def first_deploys(environments: list[Pair], world: World, people: dict[str, User]) -> list[Deploy]:
    """Asks for the seeded revisions of each environment that was never deployed to. They run side by side, those of one
    environment in their order."""
    return [
        deploy
        for described, environment in environments
        if described.seeded and not Deploy.objects.filter(environment=environment).exists()
        for deploy in request(described, environment, world, people)
    ]


def request(
    described: samples.Environment, environment: Environment, world: World, people: dict[str, User]
) -> Iterator[Deploy]:
    """Asks for the environment's seeded revisions; they queue behind each other."""
    who = people["lead" if described.production else "dev"]
    for name in described.seeded:
        revision = world.resolve(environment.project.slug, name)
        yield deploys.request_deploy(person(who), environment=environment, revision=revision).deploy


def wait_for(requested: list[Deploy]) -> None:
    """Waits until all have ended, and says how."""
    numbers = [deploy.number for deploy in requested]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Deploy.objects.filter(number__in=numbers, state__in=OPEN).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    for deploy in (
        Deploy.objects.filter(number__in=numbers).select_related("environment__project").order_by("number")
    ):
        words = "" if deploy.state == State.SUCCEEDED else f": {deploy.result} {deploy.hint}"
        print(f"#{deploy.number} {deploy.environment.label} {deploy.short} {deploy.state}{words}")


if __name__ == "__main__":
    sys.exit(main())
