"""A second portal: a process of its own on the tests' database, which calls the product's services when it is told to.

`python -m tests.secrets_ui.portal_process` reads a JSON object from each line of its input, and answers with one. Git is
in memory, as in the tests; AWS is where `AWS_ENDPOINT_URL` says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from sandbox.layout import ROOT

Told = dict[str, Any]


@dataclass
class Portal:
    """The other end of it."""

    process: subprocess.Popen[str]
    pool: ThreadPoolExecutor

    def ask(self, do: str, **given: Any) -> Future[Told]:
        """Calls a service; its result comes later."""
        return self.pool.submit(self._ask, {"do": do, **given})

    def _ask(self, told: Told) -> Told:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"died": True}

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        """Ends it."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.pool.shutdown()


def start(endpoint: str) -> Portal:
    """Starts one, with AWS at this address."""
    env = {**os.environ, "DATABASE_URL": database_url(), "AWS_ENDPOINT_URL": endpoint}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.secrets_ui.portal_process"],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "portal.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Portal(process, ThreadPoolExecutor(1))


def database_url() -> str:
    """The tests' own database."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


def main() -> None:
    """Answers until its input ends."""
    import django

    django.setup()
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    from core.redactor import redacting

    for line in sys.stdin:
        told = json.loads(line)
        with redacting():
            answer = _answer(told)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _answer(told: Told) -> Told:
    from engine.errors import SlipwayError

    try:
        return {"done": _services()[told.pop("do")](**told)}
    except SlipwayError as error:
        return {"refused": type(error).__name__, "message": error.message, "hint": error.hint}


def _services() -> dict[str, Callable[..., Any]]:
    from audit.actors import person
    from people.models import User
    from projects import connections
    from projects.models import SecretsFile
    from secrets_ui.editing import creating, restoring, saving
    from secrets_ui.models import ChangeRequest
    from secrets_ui.requests import deciding

    def who(user: int) -> Any:
        return person(User.objects.get(pk=user))

    def file_of(pk: int) -> SecretsFile:
        return SecretsFile.objects.select_related("environment__project").get(pk=pk)

    def save(user: int, file: int, token: str) -> str | None:
        row = saving.save(who(user), file_of(file), token=token, comment="because")
        return row.version_id if row is not None else None

    def restore(user: int, file: int, version: str, over: str, token: str) -> str | None:
        row = restoring.restore(
            who(user), file_of(file), version_id=version, over=over, token=token, comment="back"
        )
        return row.version_id if row is not None else None

    def approve(user: int, file: int, request: int) -> str:
        found = ChangeRequest.objects.select_related("version", "secret", "environment__project")
        return str(deciding.approve(who(user), file_of(file), found.get(pk=request)).state)

    def create(user: int, file: int, reference: str) -> str:
        from tests.deployments.outside import FakeGit, Outside

        world = Outside(files={"new.yaml": reference.encode()})
        world.branches["refs/heads/main"] = world.commits[0].sha
        connections.GitRepository = lambda *_, **__: FakeGit(world)  # type: ignore[assignment, misc]
        made = creating.create(who(user), file_of(file), comment="first")
        made.refresh_from_db()
        return str(made.current_version)

    return {"save": save, "restore": restore, "approve": approve, "create": create}


if __name__ == "__main__":
    main()
