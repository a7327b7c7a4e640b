"""Deliveries as GitHub sends them, and a project whose repository is a real one on this disk."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from builds.incoming import rates
from builds.models import BuildSettings, Delivery
from projects.models import Project
from tests import factories as make
from tests.adapters.conftest import Origin

SITE_SECRET = "canary-site-webhook-secret-1f2e"
HOOK = "/webhooks/github/"
ZEROS = "0" * 40


def signature(body: bytes, secret: str = SITE_SECRET) -> str:
    """The header that GitHub sends with a body."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def push_body(
    url: str, *, ref: str = "refs/heads/main", before: str = "a" * 40, after: str = "b" * 40, **more: Any
) -> Any:
    """A push to the repository at `url`. `subject`, `paths`, and members of the payload."""
    head = {
        "id": more.pop("head", after),
        "message": more.pop("subject", "Change the colour"),
        "timestamp": "2026-11-27T10:00:00+01:00",
        "author": {"name": "Ana"},
    }
    commit = {**head, "added": [], "removed": [], "modified": more.pop("paths", ["src/app.py"])}
    deleted = after == ZEROS
    return {
        "ref": ref, "before": before, "after": after, "created": before == ZEROS, "deleted": deleted, "forced": False,
        "head_commit": None if deleted else head, "commits": [] if deleted else [commit],
        "repository": {"full_name": "acme/shop", "clone_url": url}, "sender": {"login": "mira"}, **more,
    }  # fmt: skip


def deliver(
    client: Client, content: Any, *, secret: str = SITE_SECRET, event: str = "push", delivery: str = "",
    content_type: str = "application/json", **headers: str,
) -> Any:  # fmt: skip
    """Posts a signed delivery. `content`: JSON, or bytes as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {
        "X-Hub-Signature-256": signature(body, secret),
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
        **headers,
    }
    return client.post(HOOK, body, content_type=content_type, headers=sent)


@pytest.fixture(name="site_secret")
def site_secret_fixture(settings: Any) -> Iterator[str]:
    """The site has a webhook secret, and nobody was refused yet."""
    settings.GITHUB_WEBHOOK_SECRET = SITE_SECRET
    windows = (rates.REFUSED, rates.REFUSED_HERE, rates.SIGNED)
    for window in windows:
        window.forget()
    yield SITE_SECRET
    for window in windows:
        window.forget()


@dataclass
class Shop:
    """A project that builds every push of its default branch, and its repository, whose address is allotted to it."""

    project: Project
    origin: Origin
    client: Client

    @property
    def url(self) -> str:
        """The repository's address."""
        return self.project.repository_url

    @property
    def rules(self) -> BuildSettings:
        """The stored rules."""
        return BuildSettings.objects.get(project=self.project)

    def set_rules(self, **values: Any) -> None:
        """Other rules."""
        BuildSettings.objects.filter(project=self.project).update(**values)

    def push(self, subject: str = "Change", files: dict[str, Any] | None = None, **more: Any) -> Delivery:
        """Commits, and tells the portal as GitHub would. The delivery is not decided yet."""
        before = self.origin.git("rev-parse", "HEAD")
        after = self.origin.commit(subject, files or {"src/app.py": subject})
        return self.tell(before, after, subject=subject, paths=list(files or {"src/app.py": ""}), **more)

    def tell(self, before: str, after: str, **more: Any) -> Delivery:
        """A delivery about heads that the repository has."""
        answer = deliver(self.client, push_body(self.url, before=before, after=after, **more))
        assert answer.status_code == 202, answer.content
        return Delivery.objects.order_by("-pk")[0]


@pytest.fixture(name="shop")
def shop_fixture(
    db: None, client: Client, origin: Origin, settings: Any, tmp_path: Path, site_secret: str
) -> Shop:
    settings.GIT_PROTOCOLS = ("file",)
    settings.GIT_MIRRORS = tmp_path / "mirrors"
    project = make.with_address(
        make.make_project(slug="shop", name="Shop", repository_url=f"file://{origin.bare}")
    )
    make.make_image(project, name="web")
    BuildSettings.objects.create(project=project, on_push=True)
    return Shop(project, origin, client)
