"""A portal with credentials in every state, for the tests of their pages. Nothing of it answers from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from people.models import User
from projects.models import Cluster, Environment, Registry, Role
from registry.models import Cause, Credential, Refresh, RefreshResult, RegistryToken, State, Watch
from tests import factories as make

REFUSED = "The cluster's account may not patch secrets in the namespace feed (ecr-pull)."
RULE = 'Add this rule to a Role: apiGroups: [""], resources: ["secrets"], verbs: ["patch"].'


@dataclass
class Portal:
    """One cluster with an environment, a registry with a living token, and the people."""

    now: datetime
    cluster: Cluster
    environment: Environment
    registry: Registry
    token: RegistryToken
    people: dict[str, User]

    def credential(
        self, namespace: str, state: str = State.VALID, *, hours: float | None = 8.0, **fields: Any
    ) -> Credential:
        """A credential whose token ends in so many hours."""
        ends = None if hours is None else self.now + timedelta(hours=hours)
        given = {
            "cluster": self.cluster, "namespace": namespace, "secret_name": "ecr-pull", "state": state, "expires_at": ends,
            "half_life_at": ends - timedelta(hours=6) if ends else None, "written_at": self.now - timedelta(hours=4),
            "proven_at": self.now - timedelta(minutes=14), "proven_by": "manifest", "seen_at": self.now,
        }  # fmt: skip
        return Credential.objects.create(**{**given, **fields})

    def failing(self, namespace: str = "feed", **fields: Any) -> Credential:
        """One that the cluster refuses to write, and that still works for two hours."""
        return self.credential(
            namespace, State.FAILING, hours=2, last_error=REFUSED.replace("feed", namespace), hint=RULE, attempts=8,
            failing_since=self.now - timedelta(hours=6), next_try_at=self.now + timedelta(minutes=14), **fields,
        )  # fmt: skip

    def renewal(
        self, row: Credential, days: int, *, result: str = "written", state: str = "succeeded", **fields: Any
    ) -> Refresh:
        """A renewal of so many days ago, with its result for one credential."""
        at = self.now - timedelta(days=days)
        refresh = Refresh.objects.create(
            **{
                "cluster": row.cluster,
                "cause": Cause.DUE,
                "state": state,
                "asked_at": at,
                "ended_at": at,
                **fields,
            }
        )
        RefreshResult.objects.create(refresh=refresh, credential=row, result=result)
        return refresh


def make_portal() -> Portal:
    """The portal, with one valid credential in the namespace of its environment."""
    now = timezone.now()
    cluster = make.make_cluster(slug="hel", name="Helsinki")
    project = make.make_project(slug="shop", name="Shop")
    environment = make.make_environment(
        project, slug="staging", cluster=cluster, namespace="shop", pull_secret="ecr-pull"
    )
    registry = make.make_registry(slug="eu", endpoint="https://123456789012.dkr.ecr.eu-west-2.amazonaws.com")
    make.make_image(project, registry=registry)
    token = RegistryToken.objects.create(
        region="eu-west-2", token="canary-token-of-ecr", minted_at=now - timedelta(hours=4),
        expires_at=now + timedelta(hours=8), proven_at=now - timedelta(minutes=14), proofs={registry.host: {"by": "manifest"}},
    )  # fmt: skip
    Watch.objects.create(cluster=cluster, looked_at=now - timedelta(seconds=20))
    people = {"admin": make.make_user("ada", is_admin=True), "stranger": make.make_user("sue")}
    for role in Role:
        people[role.value] = make.make_user(f"a-{role.value}")
        make.grant(people[role.value], role, project)
    portal = Portal(now, cluster, environment, registry, token, people)
    portal.credential("shop")
    return portal
