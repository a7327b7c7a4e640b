"""What a failure's evidence says about its likely fix. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from engine.health.named_settings import missing_settings
from engine.rollout.fixes import Fix, likely_fixes
from engine.types import Json

REF = "Deployment.apps/shop/web"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("KeyError: 'PAYMENT_API_URL'", ["PAYMENT_API_URL"]),
        ('KeyError: "payment_api_url"', []),  # a key of some dictionary
        ("RuntimeError: setting PAYMENT_API_URL is missing", ["PAYMENT_API_URL"]),
        ("django.core.exceptions.ImproperlyConfigured: Set the DATABASE_URL environment variable", ["DATABASE_URL"]),
        ("Error: Missing required environment variable: STRIPE_KEY", ["STRIPE_KEY"]),
        ("Missing required environment variable STRIPE_KEY", ["STRIPE_KEY"]),
        ("panic: required key REDIS_ADDR missing value", ["REDIS_ADDR"]),
        ("/app/start.sh: line 3: TOKEN_FILE: unbound variable", ["TOKEN_FILE"]),
        ("/app/start.sh: DSN_URL: parameter null or not set", ["DSN_URL"]),
        ("config.rb:3: key not found: \"MAIL_HOST\" (KeyError)", ["MAIL_HOST"]),
        ("Could not resolve placeholder 'SENTRY_DSN' in value", ["SENTRY_DSN"]),
        ("SENTRY_DSN must be set", ["SENTRY_DSN"]),
        ("environment variable API_TOKEN not set", ["API_TOKEN"]),
        ("FATAL env var not found: API_TOKEN", ["API_TOKEN"]),
        ("API_TOKEN is not defined", ["API_TOKEN"]),
        ("REDIS_URL is set, connecting", []),
        ("FATAL: password authentication failed", []),
        ("Starting with DEBUG off", []),
        ("GET /items is not found", []),
    ],
)  # fmt: skip
def test_names_in_last_lines(line: str, names: list[str]) -> None:
    assert missing_settings([line]) == names


def test_pydantic_names_the_field_on_the_line_before() -> None:
    lines = [
        "1 validation error for Settings",
        "payment_api_url",
        "  Field required [type=missing, input_value={}]",
    ]
    assert missing_settings(lines) == ["PAYMENT_API_URL"]


def test_the_last_one_comes_first_and_there_are_few() -> None:
    assert missing_settings([f"KEY_{n} is missing" for n in range(9)]) == [
        f"KEY_{n}" for n in (8, 7, 6, 5, 4)
    ]


def workload(*env: str, **container: Any) -> Json:
    spec = {
        "name": "web",
        "image": "r/web:1",
        "env": [{"name": name, "value": "hush"} for name in env],
        **container,
    }
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
    return {"object": {**body, "spec": {"template": {"spec": {"containers": [spec]}}}}, "source": "a.yaml:1"}


def config(*keys: str) -> Json:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": dict.fromkeys(keys, "hush"),
    }
    return {"object": body, "source": "c.yaml:1"}


def secret(*keys: str) -> Json:
    kept = {"ref": "Secret/shop/keys", "apiVersion": "v1", "keys": dict.fromkeys(keys, "0d82ec1c")}
    return {"secret": kept, "source": "s.yaml:1", "from": {"file": "secret.yaml", "version_id": "v"}}


FROM = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]


def crash(*lines: str, **more: Any) -> Json:
    return {"ref": REF, "container": "web", "reason": "Error", "previous_logs": list(lines), **more}


def fixes(item: Json, stored: list[Json], before: list[Json] | None = None) -> list[Fix]:
    return likely_fixes([item], stored, before or [], "Production")


def only(item: Json, stored: list[Json], before: list[Json] | None = None) -> Fix:
    (found,) = fixes(item, stored, before)
    return found


class TestSettings:
    def test_read_since_this_revision_and_set_nowhere(self) -> None:
        stored = [workload("PORT", envFrom=FROM), config("LOG_LEVEL"), secret("TOKEN")]
        found = only(crash("KeyError: 'PAYMENT_API_URL'"), stored, stored)
        assert (found.kind, found.name, found.file) == ("setting", "PAYMENT_API_URL", "secret.yaml")
        assert (
            found.sentence
            == "PAYMENT_API_URL is read by web since this revision and set nowhere in Production."
        )

    def test_without_a_release_before_nothing_is_said_of_since_when(self) -> None:
        found = only(crash("PAYMENT_API_URL is not set"), [workload()])
        assert found.sentence.startswith(
            "PAYMENT_API_URL is read by web and set nowhere in Production. Name it in the env of"
        )

    def test_one_that_the_release_before_had(self) -> None:
        before = [workload(envFrom=FROM), config("PAYMENT_API_URL"), secret()]
        found = only(
            crash("PAYMENT_API_URL is not set"), [workload(envFrom=FROM), config(), secret()], before
        )
        assert "any more: the release before had it from ConfigMap settings." in found.sentence

    @pytest.mark.parametrize("stored", [
        [workload("PAYMENT_API_URL")],
        [workload(envFrom=FROM), config("PAYMENT_API_URL"), secret()],
        [workload(envFrom=FROM), config(), secret("PAYMENT_API_URL")],
        [workload(envFrom=[{"prefix": "PAYMENT_", "configMapRef": {"name": "settings"}}]), config("API_URL")],
    ])  # fmt: skip
    def test_what_is_set_is_no_fix(self, stored: list[Json]) -> None:
        assert fixes(crash("PAYMENT_API_URL is not set"), stored) == []

    def test_what_may_be_set_elsewhere_is_said_to_be_so(self) -> None:
        found = only(crash("PAYMENT_API_URL is not set"), [workload(envFrom=FROM), config()])
        assert "Secret keys may set it" in found.sentence

    def test_a_secrets_file_of_which_single_keys_are_read(self) -> None:
        key = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}
        stored = [workload(), secret("token")]
        stored[0]["object"]["spec"]["template"]["spec"]["containers"][0]["env"] = [key]
        found = only(crash("PAYMENT_API_URL is not set"), stored)
        assert found.file == "secret.yaml"
        assert "Name it in the env of container web" in found.sentence

    def test_lines_of_the_container_that_ended_go_before_those_of_the_new_one(self) -> None:
        item = crash("A_KEY is missing", logs=["B_KEY is missing"])
        assert only(item, [workload()]).name == "A_KEY"
        assert only({**item, "previous_logs": []}, [workload()]).name == "B_KEY"

    def test_a_job_has_its_deploys_number(self) -> None:
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}}
        job = {**body, "spec": {"template": {"spec": {"containers": [{"name": "web"}]}}}}
        item = crash("A_KEY is missing", ref="Job.batch/shop/migrate-17")
        assert only(item, [{"object": job, "source": "j.yaml:1"}]).name == "A_KEY"

    def test_no_value_is_shown(self) -> None:
        stored = [workload("PORT", envFrom=FROM), config("LOG_LEVEL"), secret("TOKEN")]
        assert "hush" not in str(fixes(crash("KeyError: 'PAYMENT_API_URL'"), stored, stored))


def test_out_of_memory_names_the_limit() -> None:
    stored = [workload(resources={"limits": {"memory": "64Mi"}})]
    found = only(crash(reason="OOMKilled"), stored)
    assert found.sentence == "Raise the memory limit of container web (64Mi now), or make it use less."


MISSING = "image r/web:1 was not found in the registry"


@pytest.mark.parametrize(
    ("reason", "said", "built", "words"),
    [
        ("ErrImagePull", MISSING, ["r/web:1"], "build this revision"),
        ("ImagePullBackOff", MISSING, ["r/worker:1"], "this project does not build it: correct its tag in the manifests"),
        ("ErrImagePull", "image r/web:1 may not be pulled: the registry denies it", ["r/web:1"], "pull secret"),
        ("InvalidImageName", "image r/web:1 is not a valid image name", [], "no name of an image"),
    ],
)  # fmt: skip
def test_an_image_is_mended_by_what_the_registry_says_and_by_who_builds_it(
    reason: str, said: str, built: list[str], words: str
) -> None:
    item = crash(reason=reason, sentence=said)
    (found,) = likely_fixes([item], [workload(image="r/web:1@sha256:0d82ec1c")], [], "Production", built)
    assert (found.kind, words in found.sentence) == ("image", True), found.sentence


def test_of_a_registry_that_does_not_answer_the_image_is_not_blamed() -> None:
    item = crash(reason="ErrImagePull", sentence="image r/web:1 cannot be pulled: dial tcp: i/o timeout")
    assert fixes(item, [workload()]) == []


@pytest.mark.parametrize("message", [
    "couldn't find key TOKEN in Secret shop/keys",
    "couldn't find key TOKEN in Secret keys",
])  # fmt: skip
def test_a_missing_key(message: str) -> None:
    found = only(crash(reason="CreateContainerConfigError", message=message), [workload()])
    assert (found.kind, found.name, found.holder) == ("key", "TOKEN", "Secret keys")


def test_a_missing_secret() -> None:
    item = crash(reason="CreateContainerConfigError", message='secret "nowhere" not found')
    assert only(item, [workload()]).sentence.startswith("Add the Secret nowhere to the manifests")


def test_a_probe_that_asks_another_port() -> None:
    text = 'Readiness probe failed: Get "http://10.1.0.7:8001/ready": dial tcp 10.1.0.7:8001: connect: connection refused'
    item = crash(events=[{"reason": "Unhealthy", "type": "Warning", "text": text}])
    stored = [workload(ports=[{"containerPort": 8000}])]
    assert only(item, stored).sentence == (
        "The readiness probe of web asks port 8001; the container declares 8000. Let both be the same."
    )
    assert fixes(item, [workload(ports=[{"containerPort": 8001}])]) == []
    assert fixes(item, [workload()]) == []


def test_evidence_without_a_container_says_nothing() -> None:
    assert likely_fixes([{"ref": REF, "sentence": "it was refused"}], [workload()], [], "Production") == []
