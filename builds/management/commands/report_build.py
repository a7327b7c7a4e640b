"""`manage.py report_build PROJECT REVISION [--branch BRANCH] [--image NAME=DIGEST …] [--json] [--as USER]`: tells the portal of
a build that another tool made. Its images must be in the registry under the revision's tag.

Exit status: 0 it is taken, 1 an outside system failed, 2 it was refused. The reason is on stderr.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.actors import SYSTEM_ACTOR, Actor, person
from builds.models import Build
from builds.reporting import report_build
from core.errors import Refused
from engine.errors import SlipwayError
from people.models import User
from projects.models import Project

_PAIR = re.compile(r"([a-z][a-z0-9-]*)(?:=(sha256:[0-9a-f]{64}))?")


class Command(BaseCommand):
    """Takes the report through the same service as an API would."""

    help = "Report a build that another tool made, so that its images can be deployed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("revision", help="a commit (short or full), a branch or a tag")
        parser.add_argument(
            "--branch", default="",
            help="the branch that was built; without this option the branches count whose head the revision is",
        )  # fmt: skip
        parser.add_argument(
            "--image", action="append", default=[], metavar="NAME=DIGEST",
            help="an image that was pushed, and its digest (sha256:…); without this option all images of the project",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the result as JSON")
        parser.add_argument(
            "--as", dest="user", default="", metavar="USER", help="act as this person, with their rights"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            actor, project = actor_for(options["user"]), project_of(options["project"])
            digests = digests_of(options["image"])
            found = report_build(actor, project, options["revision"], digests, options["branch"].strip())
        except SlipwayError as error:
            text = f"{error.message} {error.hint}".strip()
            raise CommandError(text, returncode=2 if isinstance(error, Refused) else 1) from error
        if options["as_json"]:
            self.stdout.write(json.dumps(facts(found.build)))
        else:
            word = "taken" if found.is_new else "known already"
            self.stdout.write(
                f"Build {found.build.number} of {found.build.short} {word}: {url_of(found.build)}"
            )


def digests_of(pairs: Sequence[str]) -> dict[str, str]:
    """The digests by the images' names; empty for an image without one. Raises Refused for another form."""
    found: dict[str, str] = {}
    for pair in pairs:
        match = _PAIR.fullmatch(pair)
        if match is None:
            raise Refused(f"“{pair[:80]}” is not NAME=sha256:… of an image.", code="unknown")
        found[match[1]] = match[2] or ""
    return found


def project_of(slug: str) -> Project:
    """The project. Raises Refused for an unknown name."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise Refused(f"There is no project {slug}.", code="unknown")
    return project


def actor_for(username: str) -> Actor:
    """The active person of that name; the portal itself for an empty name. Raises Refused for an unknown name."""
    if not username:
        return SYSTEM_ACTOR
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise Refused(f"There is no active person {username}.", code="unknown-user")
    return person(user)


def url_of(build: Build) -> str:
    """The build's page, with the site's address."""
    return f"{settings.BASE_URL}/builds/{build.number}/"


def facts(build: Build) -> dict[str, Any]:
    """The result for --json. Scripts rely on these keys."""
    return {
        "id": build.number,
        "project": build.project.slug,
        "revision": build.revision,
        "state": build.state,
        "reason": build.result,
        "url": url_of(build),
        "images": [
            {
                "name": one.name,
                "reference": one.reference,
                "tags": one.tags,
                "digest": one.digest,
                "size": one.size,
            }
            for one in build.images.all()
        ],
    }
