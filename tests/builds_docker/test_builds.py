"""Whole builds: from a revision to tags, digests and labels in the registry."""

from __future__ import annotations

import pytest

from adapters.docker.engine import Engine
from builds.models import BuiltImage
from runs.models import State
from tests.builds_docker.world import SERVES, World, log_of, steps_of
from tests.sandbox.ends import Aws

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_a_revision_becomes_an_image_with_its_tags_and_labels(world: World, aws: Aws, engine: Engine) -> None:
    revision = world.commit({"Dockerfile": SERVES, "app/index.html": "hello"})
    build = world.build(revision, git_tags=["v1.0"])
    assert build.state == State.SUCCEEDED, (build.result, log_of(build))
    assert build.builder == "buildkit"
    assert steps_of(build) == {"checkout": "succeeded", "build api": "succeeded", "push api": "succeeded"}
    image = build.images.get()
    assert image.state == BuiltImage.State.SUCCEEDED
    assert set(image.tags) == {revision, revision[:7], "v1.0", "branch-main", "latest"}
    assert (image.steps, image.digest[:7]) == (5, "sha256:")
    listed = aws.client("ecr").describe_images(repositoryName=image.reference.partition("/")[2])[
        "imageDetails"
    ]
    assert [(one["imageDigest"], set(one["imageTags"])) for one in listed] == [
        (image.digest, set(image.tags))
    ]
    assert image.size == listed[0]["imageSizeInBytes"]
    labels = engine.wire.client.inspect_image(image.engine_id)["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["slipway.dev/build"] == str(build.number)
    assert "build api: [tools 2/2] RUN" in log_of(build)
