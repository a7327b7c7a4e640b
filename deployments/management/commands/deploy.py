"""`manage.py deploy PROJECT ENVIRONMENT --revision REV [--override REASON] [--although-bad] [--wait] [--json] [--as USER]`, for
scripts and CI. With `--secrets-only` in place of `--revision` it deploys the secrets alone.

Exit status: 0 the deploy succeeded (without --wait: was accepted), 1 it failed, 2 it was refused. The reason is on stderr.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError

from audit.actors import SYSTEM_ACTOR, Actor, person
from core.errors import Refused
from core.unavailable import trouble_of
from deployments.gate import marking, requests, secrets_alone, undoing
from deployments.gate.announcements import url_of
from deployments.models import Deploy, ObjectState
from engine.errors import SlipwayError
from people.models import User
from projects.models import Environment
from runs.log import chunks_after, lines
from runs.models import State, Step

POLL_SECONDS = 0.5


class Command(BaseCommand):
    """Requests a deploy through the same gate as the page."""

    help = "Deploy a revision of a project to an environment, or the secrets alone to what runs there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project")
        parser.add_argument("environment")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--revision", help="a commit (short or full), a branch or a tag")
        what.add_argument(
            "--secrets-only",
            action="store_true",
            help="what runs stays, with the secrets files as they are in AWS now",
        )
        parser.add_argument("--reason", default="", help="shown on the deploy's page and in Slack")
        parser.add_argument(
            "--override", default="", metavar="REASON",
            help="deploy although checks failed that a person may override (a Secret that is not there yet), and why",
        )  # fmt: skip
        parser.add_argument(
            "--although-bad",
            action="store_true",
            help="deploy a commit although a release of it is marked bad in an environment of the project",
        )
        parser.add_argument("--wait", action="store_true", help="wait for the end and print the log")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the result as JSON")
        parser.add_argument(
            "--as", dest="user", default="", metavar="USER", help="act as this person, with their rights"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            deploy = request(options)
        except SlipwayError as error:
            raise refusal(error) from error
        except DatabaseError as error:
            if trouble := trouble_of(error, "POST"):
                raise refusal(trouble) from error
            raise
        if bad := marking.warning(marking.bad_release_of(deploy.environment, deploy.revision)):
            self.stderr.write(f"Warning: {bad}")
        if options["wait"]:
            follow(deploy, log=None if options["as_json"] else self.stdout.write)
            deploy.refresh_from_db()
        if options["as_json"]:
            self.stdout.write(json.dumps(facts(deploy)))
        elif options["wait"]:
            self.stdout.write(f"{deploy.get_state_display()}: {deploy.result}")
            if rollback := undoing.follower(deploy):
                self.stdout.write(
                    f"Rollback #{rollback.number} to {rollback.short} follows: {url_of(rollback)}"
                )
        else:
            self.stdout.write(f"#{deploy.number} {deploy.get_state_display().lower()}: {url_of(deploy)}")
        if options["wait"] and deploy.state != State.SUCCEEDED:
            sys.exit(1)


def refusal(error: SlipwayError) -> CommandError:
    """The error for the command line: exit status 2 when the gate refused, 1 when an outside system failed."""
    text = f"{error.message} {error.hint}".strip()
    return CommandError(text, returncode=2 if isinstance(error, Refused) else 1)


def request(options: dict[str, Any]) -> Deploy:
    """Requests the deploy that `options` describe. Raises Refused for an unknown project, environment, person or revision
    and for a role that is too low, ExternalError when the repository is unreachable."""
    found = Environment.objects.select_related("project", "cluster")
    environment = found.filter(project__slug=options["project"], slug=options["environment"]).first()
    if environment is None:
        raise Refused(
            f"There is no environment {options['environment']} of a project {options['project']}.",
            code="unknown",
        )
    actor = actor_for(options["user"])
    more = {"reason": options["reason"], "override": options["override"]}
    if options["secrets_only"]:
        return secrets_alone.request_secrets_deploy(actor, environment=environment, **more).deploy
    return requests.request_deploy(
        actor,
        environment=environment,
        revision=options["revision"],
        although_bad=options["although_bad"],
        minds_failures=False,  # nobody can be asked, and a script tries again after an outage
        **more,
    ).deploy


def actor_for(username: str) -> Actor:
    """The active person of that name; the portal itself for an empty name. Raises Refused for an unknown name."""
    if not username:
        return SYSTEM_ACTOR
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise Refused(f"There is no active person {username}.", code="unknown-user")
    return person(user)


def follow(deploy: Deploy, log: Any = None) -> None:
    """Waits until the deploy ends. Passes each new line of its log to `log`, if given."""
    seen = 0
    while True:
        is_open = Deploy.objects.values_list("state", flat=True).get(pk=deploy.pk)
        chunks = chunks_after(deploy.run_id, seen)
        if chunks and log is not None:
            for line in lines(chunks):
                log(f"{line.at:%H:%M:%S} {line.step:<9} {line.text}")
        seen = chunks[-1].sequence if chunks else seen
        if State(is_open) not in (State.QUEUED, State.WAITING, State.RUNNING, State.CANCELLING):
            return
        time.sleep(POLL_SECONDS)


def facts(deploy: Deploy) -> dict[str, Any]:
    """The result for --json. Scripts rely on these keys."""
    steps = Step.objects.filter(run_id=deploy.run_id)
    return {
        "id": deploy.number,
        "project": deploy.environment.project.slug,
        "environment": deploy.environment.slug,
        "revision": deploy.revision,
        "state": deploy.state,
        "reason": deploy.result,
        "url": url_of(deploy),
        "steps": [{"name": s.name, "state": s.state, "seconds": s.seconds} for s in steps],
        "pods": pods_of(deploy),
    }


def pods_of(deploy: Deploy) -> list[dict[str, Any]]:
    """Of each object with pods: how many are ready and wanted, and those that are not ready with what they wait for."""
    rows = ObjectState.objects.filter(run_id=deploy.run_id, pods__isnull=False)
    return [{"object": ref, **(pods or {})} for ref, pods in rows.values_list("ref", "pods")]
