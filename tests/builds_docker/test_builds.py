"""Whole builds with a real engine: from a revision to tags, digests and labels in the sandbox's ECR."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from adapters.docker.engine import Engine
from builds.models import BuildSecret, BuiltImage, Recipe
from builds.services import rebuild, retry_build
from builds.tags import branch_tag
from projects.models import Allotment
from runs.models import State
from tests.builds_docker.world import COPY, SERVES, World, command, log_of, steps_of, work
from tests.sandbox.ends import Aws

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SECRET = "canary-build-secret-8c1f"


def listed(aws: Aws, image: BuiltImage) -> list[dict[str, Any]]:
    """The images of a repository as ECR lists them."""
    answer = aws.client("ecr").describe_images(repositoryName=image.reference.partition("/")[2])
    return list(answer["imageDetails"])


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_a_revision_becomes_an_image_with_its_tags_and_labels(
    world: World, aws: Aws, engine: Engine, settings: Any, builder: str
) -> None:
    settings.DOCKER_BUILDER = builder
    Recipe.objects.create(image=world.project.images.get(), arguments=[{"name": "COLOUR", "value": "teal"}])
    revision = world.commit({"Dockerfile": SERVES, "app/index.html": "hello"})
    world.git("tag", "v1.0")
    world.git("tag", "latest")
    build = world.build(revision)
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))
    assert (build.builder, build.result) == (builder, f"The image api of {build.short} is in the registry.")
    assert steps_of(build) == dict.fromkeys(["checkout", "build api", "push api", "tags"], "succeeded")
    image = build.images.get()
    assert image.state == BuiltImage.State.SUCCEEDED
    assert image.steps >= 5
    assert set(image.tags) == {revision, revision[:7], "v1.0", "branch-main", "latest"}
    (found,) = listed(aws, image)
    assert (found["imageDigest"], set(found["imageTags"])) == (image.digest, set(image.tags))
    assert image.size == found["imageSizeInBytes"] > 0
    labels = engine.wire.client.inspect_image(image.engine_id)["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["org.opencontainers.image.created"].endswith("Z")
    assert (labels["slipway.dev/build"], labels["slipway.dev/image"]) == (str(build.number), "api")
    assert "build api: " in log_of(build)
    assert "Created the repository" in log_of(build)


def test_the_same_revision_is_not_built_again(world: World, aws: Aws) -> None:
    revision = world.commit({"Dockerfile": COPY}, branch="feature")
    first = world.build(revision, branch="feature").images.get()
    world.git("branch", "main")
    world.git("branch", "release/1")
    build = world.build(revision, branch="main")
    image = build.images.get()
    assert build.branches == ["main", "feature", "release/1"]
    assert (image.state, image.digest, image.size) == (BuiltImage.State.EXISTED, first.digest, first.size)
    assert build.result == f"The image api of {build.short} was in the registry already."
    assert steps_of(build)["push api"] == "succeeded"
    wanted = {"branch-feature", "branch-main", "latest", branch_tag("release/1")}
    assert wanted < set(listed(aws, image)[0]["imageTags"])
    assert wanted < set(image.tags)


def test_a_rebuild_of_an_older_revision_leaves_the_branchs_tags_alone(world: World, aws: Aws) -> None:
    first = world.build(world.commit({"Dockerfile": COPY}))
    second = world.build(world.commit({"a": "1"}))
    time.sleep(1.1)  # the label of the time of the build has seconds
    build = work(rebuild(world.actor, first).build)
    assert build.state == State.SUCCEEDED, log_of(build)
    reason = f"the branch main has moved on to {second.short}."
    assert build.warnings == [f"The tags branch-main, latest were left alone: {reason}"]
    assert reason in log_of(build)
    image = second.images.get()
    by_digest = {one["imageDigest"]: set(one.get("imageTags", ())) for one in listed(aws, image)}
    assert {"branch-main", "latest"} < by_digest[image.digest]
    assert set(build.images.get().tags) == {first.revision, first.short}


def test_tags_wait_for_all_images(world: World, aws: Aws) -> None:
    world.image("tool", dockerfile="tool.Dockerfile")
    build = world.build(world.commit({"Dockerfile": COPY, "tool.Dockerfile": "FROM scratch\nBOGUS\n"}))
    assert (build.state, steps_of(build)["tags"]) == (State.FAILED, "skipped")
    image = build.images.get(name="api")
    assert set(listed(aws, image)[0]["imageTags"]) == {build.revision, build.short}


def test_a_rebuild_makes_the_image_anew_and_takes_the_tags(world: World, aws: Aws) -> None:
    revision = world.commit({"Dockerfile": COPY})
    first = world.build(revision)
    time.sleep(1.1)  # the label of the time of the build has seconds
    build = work(rebuild(world.actor, first).build)
    image = build.images.get()
    assert (build.cause, build.retry_of, image.state) == ("rebuild", first, BuiltImage.State.SUCCEEDED)
    assert image.digest != first.images.get().digest
    assert image.cached_steps == 0
    by_digest = {one["imageDigest"]: set(one.get("imageTags", ())) for one in listed(aws, image)}
    assert by_digest[image.digest] == set(image.tags)


def test_steps_come_from_the_cache_the_next_time(world: World) -> None:
    """The revision is a label and no argument above the heavy steps: a change elsewhere builds nothing again."""
    heavy = COPY + command("/bin/busybox echo heavy") + "COPY app /app\n"
    world.build(world.commit({"Dockerfile": heavy, "app/a": "1"}))
    image = world.build(world.commit({"app/a": "2"})).images.get()
    assert (image.steps, image.cached_steps) == (3, 2)


def test_images_side_by_side_and_one_that_fails(world: World) -> None:
    world.image("web", dockerfile="web/Dockerfile", context="web")
    world.image("tool", dockerfile="tool.Dockerfile")
    world.settings(side_by_side=3)
    bad = COPY + command("/bin/busybox echo goodbye; exit 3")
    files = {
        "Dockerfile": COPY,
        "web/Dockerfile": "FROM scratch\nCOPY a /a\n",
        "web/a": "a",
        "tool.Dockerfile": bad,
    }
    build = world.build(world.commit(files))
    assert build.state == State.FAILED
    assert build.result.startswith("tool: The command “")
    assert build.result.endswith("ended with code 3.")
    assert build.hint == "2 of 3 images are in the registry (api, web)."
    assert [one["ref"] for one in build.evidence] == ["tool"]
    assert {image.name: image.state for image in build.images.all()} == {
        "api": "succeeded", "tool": "failed", "web": "succeeded",
    }  # fmt: skip
    assert steps_of(build)["build tool"] == "failed"
    assert steps_of(build)["push tool"] == "skipped"
    assert "build tool: goodbye" in log_of(build)
    again = work(retry_build(world.actor, build).build)
    assert {image.name: image.state for image in again.images.all()} == {
        "api": "existed", "tool": "failed", "web": "existed",
    }  # fmt: skip


def test_a_secret_reaches_the_mount_and_nothing_else(world: World, aws: Aws, engine: Engine) -> None:
    name = f"{world.project.slug}/build"
    aws.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"token": SECRET}))
    Allotment.objects.create(project=world.project, kind="secret", pattern=name)
    BuildSecret.objects.create(project=world.project, name="npm", secret_id=name, key="token")
    text = (
        COPY
        + command(
            f"/bin/busybox echo {name}; "  # a step that was built before would come from the cache and print nothing
            "/bin/busybox cat /run/secrets/npm; /bin/busybox base64 /run/secrets/npm; /bin/busybox wc -c /run/secrets/npm"
        ).replace("RUN ", "RUN --mount=type=secret,id=npm ")
    )
    build = world.build(world.commit({"Dockerfile": text}))
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))
    log = log_of(build)
    assert f"{len(SECRET)} /run/secrets/npm" in log
    assert "•••••" in log
    assert SECRET not in log
    image = engine.wire.client.inspect_image(build.images.get().engine_id)
    history = engine.wire.client.history(build.images.get().engine_id)
    assert SECRET not in json.dumps([image, history], default=str)


def test_secrets_without_buildkit_are_refused_before_anything_is_built(world: World, settings: Any) -> None:
    settings.DOCKER_BUILDER = "classic"
    text = "FROM scratch\nCOPY busybox /bin/busybox\n" + command("true").replace(
        "RUN ", "RUN --mount=type=secret,id=npm "
    )
    build = world.build(world.commit({"Dockerfile": text}))
    assert build.state == State.FAILED
    assert "which only BuildKit can give it" in build.result
    assert "Step 1" not in log_of(build)


def test_what_is_left_out_is_said(world: World) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    text = COPY + "COPY . /srv\n" + command("/bin/busybox ls -la /srv; /bin/busybox cat /srv/version")
    files = {
        "Dockerfile": text, "large.bin": pointer, "notes.log": "x", ".dockerignore": "*.log\n", "out": "-> ../../etc/passwd",
        ".gitattributes": "kept export-ignore\nversion export-subst\n", "kept": "k", "version": "$Format:%H$",
    }  # fmt: skip
    build = world.build(world.commit(files))
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))
    log = log_of(build)
    assert "Kept in Git LFS, so only pointers came into the context: large.bin" in log
    assert "1 left out by .dockerignore" in log
    assert "Links that lead out of the context are not followed: out" in log
    assert "out -> ../../etc/passwd" in log
    assert "$Format:%H$" in log  # as a checkout has it
    assert " kept\n" in log
    assert " notes.log\n" not in log


def test_a_repository_that_keeps_its_tags(world: World, aws: Aws) -> None:
    """The branch's tag stays with the first image; the revision's own tags are refused before a rebuild."""
    repository = world.project.images.get().repository
    aws.client("ecr").create_repository(repositoryName=repository, imageTagMutability="IMMUTABLE")
    first = world.build(world.commit({"Dockerfile": COPY}))
    assert first.state == State.SUCCEEDED, log_of(first)
    second = world.build(world.commit({"a": "1"}))
    assert second.state == State.SUCCEEDED, log_of(second)
    assert set(second.images.get().tags) == {second.revision, second.short}
    assert "The tag branch-main stays with an older image" in log_of(second)
    build = work(rebuild(world.actor, second).build)
    assert build.state == State.ERRORED
    assert "keeps its tags" in build.result
    assert "it cannot be built anew" in build.result


def test_a_missing_repository_is_not_created_without_leave(world: World) -> None:
    world.settings(creates_repositories=False)
    build = world.build(world.commit({"Dockerfile": COPY}))
    assert build.state == State.ERRORED
    assert build.result.startswith("api: There is no repository team/")
    assert build.images.get().state == BuiltImage.State.FAILED


def test_a_created_repository_gets_the_lifecycle_policy(world: World, aws: Aws) -> None:
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 5},
    }
    policy = json.dumps({"rules": [{**rule, "action": {"type": "expire"}}]})
    world.settings(lifecycle_policy=policy)
    build = world.build(world.commit({"Dockerfile": COPY}))
    assert build.state == State.SUCCEEDED, log_of(build)
    stored = aws.client("ecr").get_lifecycle_policy(repositoryName=world.project.images.get().repository)
    assert json.loads(stored["lifecyclePolicyText"]) == json.loads(policy)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"other": "x"}, "There is no Dockerfile Dockerfile in revision"),
        ({"Dockerfile": "-> /etc/passwd"}, "is a symbolic link that leads out of the repository (/etc/passwd)"),
        ({"Dockerfile": "FROM scratch\nBOGUS\n"}, "unknown instruction: BOGUS"),
        ({"Dockerfile": "FROM scratch\nCOPY absent /x\n"}, "does not have"),
        ({"Dockerfile": "FROM scratch\nCOPY out /x\n", "out": "-> ../../../etc/passwd"}, "does not have"),
    ],
)  # fmt: skip
def test_a_revision_that_cannot_be_built(world: World, files: dict[str, str | None], sentence: str) -> None:
    build = world.build(world.commit(files))
    assert build.state == State.FAILED, (build.result, build.hint)
    assert sentence in build.result
    assert build.hint.endswith("Nothing was pushed.")


def test_a_context_that_is_too_large_is_refused_before_it_is_sent(world: World, settings: Any) -> None:
    settings.BUILD_CONTEXT_MB = 1
    build = world.build(world.commit({"Dockerfile": COPY}))
    assert build.state == State.FAILED
    assert (
        "The context is 2.0 MB large; 1.0 MB are sent at most. The largest files: busybox (2.0 MB)"
        in build.result
    )
    assert "[1/" not in log_of(build)


def test_a_base_image_that_cannot_be_pulled(world: World) -> None:
    build = world.build(world.commit({"Dockerfile": "FROM 127.0.0.1:1/nothing/there:1\n"}))
    assert build.state == State.ERRORED  # its registry is away
    assert "A base image cannot be pulled now" in build.result
    assert "Tried again in" in log_of(build)


def test_a_private_base_image_of_the_projects_registry(world: World) -> None:
    first = world.build(world.commit({"Dockerfile": COPY})).images.get()
    world.image("child", dockerfile="child.Dockerfile")
    text = f"FROM {first.reference}:latest\n" + command("/bin/busybox echo of my base")
    build = world.build(world.commit({"child.Dockerfile": text}))
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))


@pytest.mark.parametrize("line", ["FROM {}:latest", "ARG B={}\nFROM $B", "FROM scratch\nCOPY --from={} / /"])
def test_an_image_of_another_project_is_no_base(world: World, line: str) -> None:
    """The engine and its credential are the same for all projects, what a project may use is not."""
    reference = f"{world.registry.host}/other/private"
    build = world.build(world.commit({"Dockerfile": line.format(reference) + "\n"}))
    assert build.state == State.FAILED
    assert build.result.startswith("api: The repository other/private of ECR is not allotted to Shop")
    assert steps_of(build)["build api"] == "skipped"


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_a_trigger_of_a_base_image_takes_no_image_of_another_project(
    world: World, engine: Engine, settings: Any, builder: str
) -> None:
    settings.DOCKER_BUILDER = builder
    base, other = f"{world.project.slug}-base", f"{world.registry.host}/other/private"
    engine.wire.client.import_image_from_data(
        bytes(10_240), repository=base, tag="1", changes=[f"ONBUILD COPY --from={other} / /stolen"]
    )
    try:
        build = world.build(world.commit({"Dockerfile": f"FROM {base}:1\n"}))
    finally:
        engine.wire.client.remove_image(f"{base}:1", force=True)
    assert build.state == State.FAILED
    assert f"it takes {other}, which its Dockerfile does not name" in build.result
    assert "A trigger (ONBUILD)" in build.hint


def test_a_foreign_frontend_reads_no_dockerfile(world: World) -> None:
    build = world.build(world.commit({"Dockerfile": "# syntax=evil.example/frontend\nFROM scratch\n"}))
    assert build.state == State.FAILED
    assert "wants evil.example/frontend to read it; only Docker's own docker/dockerfile may" in build.result
    assert steps_of(build)["build api"] == "skipped"


@pytest.mark.parametrize("network", ["", "none"])
@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_the_network_of_steps(world: World, settings: Any, builder: str, network: str) -> None:
    settings.DOCKER_BUILDER, settings.BUILD_NETWORK = builder, network
    # With the project's name in it, because a step that was built before prints nothing.
    text = COPY + command(f"/bin/busybox echo {world.project.slug}; /bin/busybox cat /proc/net/dev")
    build = world.build(world.commit({"Dockerfile": text}))
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))
    assert " lo: " in log_of(build)
    assert ("eth0: " in log_of(build)) is (network == "")


def test_a_revision_that_was_force_pushed_away(world: World) -> None:
    build = world.ask(world.commit({"Dockerfile": COPY}))
    build.revision = "f" * 40
    build.save()
    work(build)
    assert build.state == State.FAILED
    assert "does not have fffffff any more" in build.result


def test_an_engine_that_is_not_there(world: World, settings: Any) -> None:
    settings.DOCKER_HOST = "unix:///nowhere/docker.sock"
    build = world.build(world.commit({"Dockerfile": COPY}))
    assert build.state == State.ERRORED
    assert build.result == "No Docker engine answers at unix:///nowhere/docker.sock."
