"""The samples: their histories hold together, every revision has its images, every secrets file fits its reference."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from engine.manifests.secretfiles import SecretsFileCheck, check_against_reference, parse_secrets_file
from engine.manifests.settling import settle_time, unprobed
from sandbox.samples import PEOPLE, SAMPLES
from sandbox.samples.by_hand import objects_by_hand
from sandbox.samples.model import SampleProject
from sandbox.samples.names import namespaces
from sandbox.samples.publish import World, labels_of, make_world, populated
from sandbox.samples.storefront import STOREFRONT
from sandbox.samples.values import PRIVATE_KEY, RAW_KEY, filled
from secrets_ui.files.model import open_text
from secrets_ui.values.checks import check_value
from secrets_ui.values.kinds import BINARY, PEM, kind_of
from tests.sandbox.ends import Aws

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.slug)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def world(aws: Aws, place: Path) -> World:
    return make_world(place / "world.json", place / "git", aws.url)


def objects(
    sample: SampleProject, name: str, world: World, place: Path, aws: Aws, commit: str = "main"
) -> list[dict]:
    environment = next(e for e in sample.environments if e.slug == name)
    client = aws.client("secretsmanager")
    secrets = {
        file.path: client.get_secret_value(SecretId=file.secret_id)["SecretString"]
        for file in environment.secrets_files
    }
    return objects_by_hand(
        sample,
        environment,
        repositories=place / "git",
        commit=world.resolve(sample.slug, commit),
        registry_host=aws.url.removeprefix("http://"),
        secrets=secrets,
    )


def test_the_world_is_made_once(world: World, aws: Aws, place: Path) -> None:
    assert make_world(place / "world.json", place / "git", "http://127.0.0.1:1") == world


def test_a_world_that_was_broken_off_is_finished(world: World, aws: Aws, place: Path) -> None:
    note = place / "world.json"
    kept = note.read_text()
    note.unlink()
    assert make_world(note, place / "git", aws.url) == world
    assert json.loads(note.read_text()) == json.loads(kept)


@pytest.mark.parametrize("slug", ["storefront", "catalog"])
def test_every_revision_has_its_images(world: World, aws: Aws, slug: str) -> None:
    sample = next(s for s in SAMPLES if s.slug == slug)
    commits = world.commits[slug]
    assert len(commits["main"]) >= 12
    ecr = aws.client("ecr")
    for image in sample.images:
        details = ecr.describe_images(repositoryName=image.repository)["imageDetails"]
        digests = {tag: detail["imageDigest"] for detail in details for tag in detail["imageTags"]}
        for commit in commits["main"][-8:] + commits["broken"]:
            assert digests[commit] == digests[commit[:7]]
        assert digests["latest"] == digests["branch-main"] == digests[commits["main"][-1]]
        assert digests["branch-broken"] == digests[commits["broken"][-1]]


@each_sample
def test_manifests_are_complete_once_filled_in(
    sample: SampleProject, world: World, aws: Aws, place: Path
) -> None:
    for environment in sample.environments:
        made = objects(sample, environment.slug, world, place, aws)
        assert len(made) >= 5
        text = json.dumps(made)
        assert "REGISTRY_HOST" not in text
        assert not [found for found in re.findall(r"\$\{(\w+)\}", text) if found != "customer"]
        names = [(body["kind"], body["metadata"]["name"]) for body in made]
        assert len(names) == len(set(names))
        assert environment.namespace in namespaces()


def secrets_text(sample: SampleProject, name: str, aws: Aws) -> str:
    """The populated secrets file of an environment, as AWS has it."""
    (file,) = next(e for e in sample.environments if e.slug == name).secrets_files
    return aws.client("secretsmanager").get_secret_value(SecretId=file.secret_id)["SecretString"]


def fits(sample: SampleProject, name: str, aws: Aws, place: Path, commit: str) -> SecretsFileCheck:
    """How it fits the reference file of a commit."""
    path = f"kubernetes/{name}/secrets.yaml"
    git = ["git", "-C", str(place / "git" / sample.repository), "show", f"{commit}:{path}"]
    reference = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    populated = parse_secrets_file(secrets_text(sample, name, aws), path=path)
    return check_against_reference(parse_secrets_file(reference, path=path), populated)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.images], ids=lambda sample: sample.slug)
@pytest.mark.parametrize("name", ["staging", "production"])
def test_secrets_files_fit_the_reference_files_of_every_revision_that_is_deployed(
    sample: SampleProject, name: str, world: World, aws: Aws, place: Path
) -> None:
    for commit in [*world.commits[sample.slug]["main"][-6:], world.commits[sample.slug]["broken"][-1]]:
        found = fits(sample, name, aws, place, commit)
        assert (found.missing, found.extra) == ((), ())
        blank = (
            ("storefront-keys/newsletter-token",) if (sample.slug, name) == ("storefront", "staging") else ()
        )
        assert found.placeholders == blank


@pytest.mark.parametrize("name", ["staging", "production"])
def test_one_branch_wants_a_key_that_no_secrets_file_has(
    name: str, world: World, aws: Aws, place: Path
) -> None:
    commit = world.resolve("storefront", "more-keys")
    assert fits(STOREFRONT, name, aws, place, commit).missing == ("storefront-secrets/FRAUD_CHECK_TOKEN",)


def test_the_secrets_files_are_as_different_as_real_ones(world: World, aws: Aws) -> None:
    opened = open_text(secrets_text(STOREFRONT, "staging", aws))
    assert [secret.name for secret in opened.secrets] == ["storefront-secrets", "storefront-keys"]
    assert "  # A new one signs every customer out.\n" in opened.text
    values = {key: value for secret in opened.secrets for key, value in secret.values().items()}
    kinds = {key: kind_of(value).name for key, value in values.items()}
    assert kinds["receipts.pem"] == PEM
    assert kinds["unsubscribe.key"] == BINARY
    assert [finding.code for key in kinds for finding in check_value(values[key])] == ["placeholder"]
    windows = secrets_text(SAMPLES[2], "production", aws)
    assert windows.count("\r\n") == windows.count("\n") > 5


def test_later_versions_are_of_keys_that_the_files_have_and_by_people_who_may_save_them() -> None:
    files = [(e, file) for sample in SAMPLES for e in sample.environments for file in e.secrets_files]
    saves = [(environment, file, one) for environment, file in files for one in file.saves]
    assert {one.by for _, _, one in saves} == {"lead", "dev"}
    for environment, file, one in saves:
        assert {name.partition("/")[2] for name in one.values} <= file.values.keys()
        assert one.by == "lead" or not environment.production


@pytest.mark.parametrize("slug", ["storefront", "catalog"])
def test_the_branch_broken_crashes_only_in_its_newest_revision(slug: str, place: Path, world: World) -> None:
    sample = next(s for s in SAMPLES if s.slug == slug)
    dockerfile = sample.images[0].dockerfile
    last = sample.broken[-1]
    crashing = [change for change in (*sample.main, *sample.broken) if "crash" in str(change.edits)]
    assert crashing == [last]
    edited = {edit.path for edit in last.edits}
    assert dockerfile in edited


def test_only_the_storefronts_worker_has_no_readiness_probe(world: World, aws: Aws, place: Path) -> None:
    """Good examples have one; one workload shows what is done where it is missing, with a short settle time."""
    found = {}
    for sample in SAMPLES:
        for environment in sample.environments:
            for body in objects(sample, environment.slug, world, place, aws):
                if body["kind"] in ("Deployment", "StatefulSet", "DaemonSet") and unprobed(body):
                    found[f"{environment.namespace}/{body['metadata']['name']}"] = settle_time(body, 10)
    assert found == {"storefront-staging/worker": 1, "storefront-production/worker": 1}


def test_the_branch_that_crashes_late_is_watched_for_long_enough(world: World, aws: Aws, place: Path) -> None:
    made = objects(STOREFRONT, "staging", world, place, aws, "crashes-late")
    worker = next(o for o in made if (o["kind"], o["metadata"]["name"]) == ("Deployment", "worker"))
    (word,) = re.findall(r"crash-later:(\d+)", str(STOREFRONT.crashes_late[-1].edits))
    assert int(word) + 2 < settle_time(worker, 10)


def test_labels_are_read_as_docker_reads_them() -> None:
    text = 'FROM scratch\nLABEL a="one\\ntwo \\"q\\""\nLABEL b.c/d="x"\n# LABEL no="1"\n'
    assert labels_of(text) == {"a": 'one\ntwo "q"', "b.c/d": "x"}


def test_a_reference_without_the_key_is_refused() -> None:
    file = SAMPLES[1].environments[0].secrets_files[0]
    with pytest.raises(ValueError, match="has no blank"):
        populated('data:\n  OTHER: ""\n', file)


def test_a_populated_file_keeps_everything_but_the_blanks() -> None:
    file = SAMPLES[1].environments[0].secrets_files[0]
    blank = "# note\nkind: Secret\ndata:\n" + "".join(f'  {key}: ""\n' for key in file.values)
    text = populated(blank, file)
    assert text.startswith("# note\nkind: Secret\n")
    assert yaml.safe_load(text)["data"].keys() == file.values.keys()


def test_values_differ_each_time() -> None:
    for pattern in ("{random}", "pay_{random}", RAW_KEY, PRIVATE_KEY):
        assert filled(pattern) != filled(pattern)
    assert filled("change-me") == b"change-me"


def test_there_are_the_four_people_of_the_contract() -> None:
    assert [person.username for person in PEOPLE] == ["admin", "lead", "dev", "viewer"]


def test_scans_and_archived_images_show_each_state(world: World, aws: Aws) -> None:
    ecr = aws.client("ecr")

    def scan(repository: str) -> str:
        try:
            found = ecr.describe_image_scan_findings(
                repositoryName=repository, imageId={"imageTag": "latest"}
            )
        except ecr.exceptions.ScanNotFoundException:
            return "none"
        return str(found["imageScanStatus"]["status"])

    assert [scan(name) for name in ("catalog/api", "catalog/search")] == ["IN_PROGRESS", "none"]
    assert {scan("storefront/web"), scan("storefront/worker")} <= {"IN_PROGRESS", "COMPLETE"}
    images = ecr.describe_images(repositoryName="storefront/worker")["imageDetails"]
    archived = [image for image in images if image["imageStatus"] == "ARCHIVED"]
    assert len(archived) == 1
    deployed = {
        world.resolve("storefront", name)
        for environment in SAMPLES[1].environments
        for name in (*environment.seeded, "main", "broken")
    }
    assert not deployed & set(archived[0]["imageTags"])
