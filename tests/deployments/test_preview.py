"""What the new deploy page says before the click: every bad input gets a clear answer, and no value is in it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from adapters.errors import Denied, NotFound, Throttled, TimedOut, Unavailable
from deployments.models import compress
from deployments.preparation.preview import Preview, preview
from engine.cluster.client import ApiError
from engine.types import Action
from registry.models import PullPolicy
from tests.deployments.outside import CANARY, CONFIG_MAP, POPULATED, REFERENCE, Outside, commit
from tests.factories import make_deploy, make_image, make_registry, make_release, make_secrets_file

pytestmark = pytest.mark.django_db
ALIASES = b"a: &a [1,1]\n" + b"".join(
    b"b%d: &b%d [*%s,*%s]\n" % (n, n, w, w) for n, w in enumerate([b"a", *(b"b%d" % n for n in range(40))])
)
DEPLOYMENT = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1
        env:
        - name: TOKEN
          valueFrom: {secretKeyRef: {name: elsewhere, key: TOKEN}}
"""


def look(environment: Any, letter: str = "c") -> Preview:
    return preview(environment, commit(letter))


def said(made: Preview) -> str:
    """Everything that is said of errors."""
    return " | ".join(f"{found.subject} {found.text} {found.detail}" for found in made.errors)


def with_secrets(environment: Any, outside: Outside, text: str = POPULATED) -> None:
    """The environment has a secrets file, and AWS holds `text`."""
    make_secrets_file(environment, path="secret.yaml", secret_id="app")
    outside.files["secret.yaml"] = REFERENCE
    outside.secrets["app"] = text


class TestGood:
    def test_what_would_change(self, environment: Any, outside: Outside) -> None:
        with_secrets(environment, outside)
        made = look(environment)
        assert made.errors == ()
        changes = {change.ref.kind: change for change in made.changes}
        assert {kind: change.action for kind, change in changes.items()} == {
            "ConfigMap": Action.CREATE, "Secret": Action.CREATE,
        }  # fmt: skip
        assert any("LEVEL: info" in line for line in changes["ConfigMap"].diff)
        assert CANARY not in repr(made)
        assert base64.b64encode(CANARY.encode()).decode() not in repr(made)

    def test_the_first_deploy_shows_the_newest_commits(self, environment: Any, outside: Outside) -> None:
        made = look(environment)
        assert made.live_revision == ""
        assert [one.subject for one in made.commits] == ["Change c", "Change b", "Change a"]

    @pytest.mark.parametrize(
        ("live", "chosen", "subjects", "reverse"),
        [
            ("a", "c", ["Change c", "Change b"], False),
            ("c", "a", ["Change c", "Change b"], True),
            ("c", "c", [], False),
        ],
    )
    def test_commits_between(
        self, environment: Any, outside: Outside, live: str, chosen: str, subjects: list[str], reverse: bool
    ) -> None:
        make_deploy(environment, release=make_release(environment, revision=live * 40))
        made = look(environment, chosen)
        assert ([one.subject for one in made.commits], made.reverse) == (subjects, reverse)
        assert made.commit_count == len(subjects)

    def test_a_live_commit_that_is_gone_is_no_error(self, environment: Any, outside: Outside) -> None:
        make_deploy(environment, release=make_release(environment, revision="9" * 40))
        outside.commits = [commit("c")]
        made = look(environment)
        assert (made.errors, made.commits) == ((), ())

    def test_secret_keys_that_changed_without_their_values(self, environment: Any, outside: Outside) -> None:
        with_secrets(environment, outside, POPULATED + "  NEW: Y2FuYXJ5LW5ldy12YWx1ZQ==\n")
        keys = {"TOKEN": "0" * 16, "OLD": "0" * 16}
        ref = f"Secret/{environment.namespace}/app"
        before = {"secret": {"ref": ref, "keys": keys}, "from": {"file": "secret.yaml"}}
        release = make_release(environment, objects_compressed=compress([before]))
        make_deploy(environment, release=release)
        made = look(environment, "c")
        assert [(one.key, one.kind) for one in made.secret_changes] == [
            ("NEW", "added"), ("OLD", "removed"), ("TOKEN", "changed"),
        ]  # fmt: skip
        assert "canary" not in repr(made)

    def test_it_is_kept_for_going_back_and_forth(self, environment: Any, outside: Outside) -> None:
        assert look(environment).errors == ()
        outside.fails["files"] = Unavailable("gone", system="Git")
        assert look(environment).errors == ()

    def test_a_new_deploy_or_new_settings_make_it_anew(self, environment: Any, outside: Outside) -> None:
        look(environment)
        outside.fails["files"] = Unavailable("gone", system="Git")
        make_deploy(environment)
        assert look(environment).errors != ()

    def test_what_was_wrong_is_looked_at_again(self, environment: Any, outside: Outside) -> None:
        outside.fails["cluster"] = Unavailable("The cluster does not answer.", system="Kubernetes")
        assert look(environment).errors != ()
        del outside.fails["cluster"]
        assert look(environment).errors == ()


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"a: [1", "bad.yaml:"),
            (b"apiVersion: v1\nmetadata: {name: x}\n", "kind"),
            (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "name"),
            (b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, name: y}\n", "bad.yaml:"),
            (b"a: &a [*a]\n", "bad.yaml"),
            (ALIASES, "bad.yaml"),
            (b"x: " + b"y" * 2_100_000, "bad.yaml"),
            (CONFIG_MAP.replace(b"info", b"${NO_SUCH_VARIABLE}").replace(b"settings", b"x"), "NO_SUCH_VARIABLE"),
            (CONFIG_MAP, "settings"),  # the same object twice
            (CONFIG_MAP.replace(b"ConfigMap", b"Wibble"), "Wibble"),
            (b"\xff\xfe\x00", "bad.yaml"),
        ],
        ids=["no YAML", "no kind", "no name", "twice the same key", "eats itself", "aliases", "huge", "variable", "twice",
             "unknown kind", "no text"],
    )  # fmt: skip
    def test_what_is_wrong_is_said_with_the_place(
        self, environment: Any, outside: Outside, content: bytes, words: str
    ) -> None:
        outside.files["bad.yaml"] = content
        made = look(environment)
        assert words in said(made)
        assert made.changes == ()

    def test_no_config_directory(self, environment: Any, outside: Outside) -> None:
        outside.fails["files"] = NotFound(
            "There is no directory kubernetes/staging in this revision.", system="Git"
        )
        assert "kubernetes/staging" in said(look(environment))

    def test_no_manifests(self, environment: Any, outside: Outside) -> None:
        outside.files = {"README.md": b"# hello"}
        assert (
            "kubernetes/staging" in said(look(environment)) or "manifest" in said(look(environment)).lower()
        )


class TestSecrets:
    def test_no_such_secret(self, environment: Any, outside: Outside) -> None:
        with_secrets(environment, outside)
        outside.secrets.clear()
        assert "There is no secret app." in said(look(environment))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('["canary-token-value"]', "secret.yaml"),
            (POPULATED.replace("kind: Secret", "kind: ConfigMap"), "secret.yaml"),
            (POPULATED.replace("Y2FuYXJ5", "canary-token-value/"), "a value of data is not valid base64"),
            ("TOKEN: [canary-token-value", "secret.yaml"),
            ("", "secret.yaml"),
        ],
        ids=["JSON list", "no Secret", "no base64", "no YAML", "empty"],
    )  # fmt: skip
    def test_what_is_no_kubernetes_secret_is_said_without_its_values(
        self, environment: Any, outside: Outside, text: str, words: str
    ) -> None:
        with_secrets(environment, outside, text)
        made = look(environment)
        assert words in said(made)
        assert CANARY not in repr(made)

    def test_a_missing_key_stops_it(self, environment: Any, outside: Outside) -> None:
        with_secrets(environment, outside)
        outside.files["secret.yaml"] = REFERENCE + b'  OTHER: ""\n'
        (found,) = look(environment).errors
        assert (found.text, found.keys) == (
            "The secrets file secret.yaml lacks 1 key of its reference file.", ("app/OTHER",),
        )  # fmt: skip

    @pytest.mark.parametrize("stops", [True, False])
    def test_a_placeholder_warns_or_stops_as_the_environment_says(
        self, environment: Any, outside: Outside, stops: bool
    ) -> None:
        environment.placeholders_stop = stops
        environment.save()
        with_secrets(environment, outside, POPULATED.replace("Y2FuYXJ5LXRva2VuLXZhbHVl", "Y2hhbmdlbWU="))
        made = look(environment)
        assert bool(made.errors) is stops
        assert "placeholder" in repr(made.findings)

    @pytest.mark.parametrize(
        "error",
        [Denied("AWS refuses this identity.", system="Secrets Manager"), Throttled("Slow down.", system="Secrets Manager"),
         TimedOut("No answer.", system="Secrets Manager")],
        ids=["denied", "throttled", "slow"],
    )  # fmt: skip
    def test_aws_that_does_not_give_it(self, environment: Any, outside: Outside, error: Any) -> None:
        with_secrets(environment, outside)
        outside.fails["secrets"] = error
        assert error.message in said(look(environment))


class TestImages:
    def test_every_missing_image_is_named(self, environment: Any, outside: Outside) -> None:
        for name in ("web", "worker"):
            make_image(environment.project, name=name, repository=f"shop/{name}")
        outside.tags.clear()
        made = look(environment)
        assert len(made.errors) == 2
        for name in ("web", "worker"):
            assert f"shop/{name}:ccccccc is not in the registry" in said(made)

    def test_a_registry_that_does_not_answer(self, environment: Any, outside: Outside) -> None:
        make_image(environment.project)
        outside.fails["ecr"] = Unavailable("ECR does not answer.", system="ECR")
        assert "ECR does not answer." in said(look(environment))

    @pytest.mark.parametrize("keeps", [True, False], ids=["kept by the portal", "by others"])
    def test_a_missing_pull_secret(self, environment: Any, outside: Outside, keeps: bool) -> None:
        """The deploy renews one that the portal keeps: that is said, and stops nothing."""
        make_image(environment.project)
        environment.pull_secret = "ecr-pull"
        environment.save()
        PullPolicy.objects.create(cluster=environment.cluster, enabled=keeps)
        made = look(environment)
        found = made.notes if keeps else made.errors
        assert [f.text.partition(" in the")[0] for f in found] == ["The pull secret ecr-pull is missing"]
        assert bool(made.errors) is not keeps

    @pytest.mark.parametrize("keeps", [True, False], ids=["kept by the portal", "by others"])
    def test_a_pull_secret_that_pods_name(self, environment: Any, outside: Outside, keeps: bool) -> None:
        outside.files["web.yaml"] = DEPLOYMENT.replace(
            b"containers:", b"imagePullSecrets: [{name: ecr-pull}]\n      containers:"
        )
        make_registry()
        environment.pull_secret = "ecr-pull"
        environment.save()
        PullPolicy.objects.create(cluster=environment.cluster, enabled=keeps)
        assert ("needs Secret ecr-pull" in said(look(environment))) is not keeps


class TestCluster:
    @pytest.mark.parametrize(
        "error",
        [
            ApiError("The cluster does not answer.", status=0),
            ApiError("The cluster does not accept the credentials.", status=401, reason="Unauthorized"),
            ApiError("Too many requests.", status=429, reason="TooManyRequests"),
            ApiError("It is starting.", status=503, reason="ServiceUnavailable"),
        ],
        ids=["down", "401", "429", "503"],
    )
    @pytest.mark.parametrize("where", ["everything", "dry run"])
    def test_one_that_gives_no_answer(
        self, environment: Any, outside: Outside, error: ApiError, where: str
    ) -> None:
        if where == "everything":
            outside.files["web.yaml"] = DEPLOYMENT
            outside.fails["cluster"] = error
        else:
            outside.refuses = error
        made = look(environment)
        assert error.message in said(made)
        assert made.changes == ()

    @pytest.mark.parametrize(
        ("status", "reason", "message"),
        [
            (403, "Forbidden", 'configmaps is forbidden: User "slipway" cannot patch resource "configmaps"'),
            (409, "Conflict", "the object has been modified"),
            (422, "Invalid", 'ConfigMap "settings" is invalid: data: Too long'),
            (500, "InternalError", "failed calling webhook: no endpoints available"),
        ],
        ids=["403", "409", "422", "500"],
    )
    def test_an_object_that_it_refuses(
        self, environment: Any, outside: Outside, status: int, reason: str, message: str
    ) -> None:
        outside.refuses = ApiError(message, status=status, reason=reason)
        made = look(environment)
        assert len(made.errors) == 1
        assert "kubernetes/staging/settings.yaml:1" in made.errors[0].subject
        assert "settings" in made.errors[0].text

    def test_a_namespace_that_does_not_exist(self, environment: Any, outside: Outside) -> None:
        message = f'namespaces "{environment.namespace}" not found'
        outside.refuses = ApiError(message, status=404, reason="NotFound")
        assert environment.namespace in said(look(environment))

    def test_a_secret_key_that_a_workload_reads_and_nobody_brings(
        self, environment: Any, outside: Outside
    ) -> None:
        outside.files["web.yaml"] = DEPLOYMENT
        assert "elsewhere" in said(look(environment))

    def test_texts_of_the_cluster_are_redacted(self, environment: Any, outside: Outside) -> None:
        with_secrets(environment, outside)
        outside.refuses = ApiError(f"invalid value {CANARY}", status=422, reason="Invalid")
        made = look(environment)
        assert made.errors
        assert CANARY not in repr(made)
