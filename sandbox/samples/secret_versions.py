"""Later versions of the samples' secrets: saved in the portal by the sample people, as its pages do it.

Needs Django to be set up.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from audit.actors import Actor, person
from core.redactor import redacting
from people.models import User
from projects.models import Environment, SecretsFile
from sandbox.samples import model as samples
from sandbox.samples.values import filled
from secrets_ui.editing.drafts import Edit
from secrets_ui.editing.saving import finished, save
from secrets_ui.editing.staging import known_keys, known_secret, stage
from secrets_ui.known.looking import look_again
from secrets_ui.known.public import place_of
from secrets_ui.known.reading import learn

_NAMESPACE = uuid.UUID("0b3f5a0e-5a53-4c8f-9c0f-6f0b5f4f0c55")


def save_versions(
    described: samples.Environment,
    environment: Environment,
    people: Mapping[str, User],
    *,
    after_deploy: bool,
) -> None:
    """Saves the versions that belong before, or after, the environment's seeded deploys. What was saved already is not
    saved again, and a secret with other keys, as an older sandbox has it, stays as it is. Raises Refused, ExternalError."""
    for sample in described.secrets_files:
        wanted = [one for one in sample.saves if one.after_deploy == after_deploy]
        path = sample.path.removeprefix(f"{described.config_directory}/")
        files = environment.secrets_files.select_related("environment__project").filter(path=path)
        for file in files if wanted else ():
            with redacting():
                _save_all(file, sample, wanted, people)


def _save_all(
    file: SecretsFile, sample: samples.SecretsFile, wanted: list[samples.Save], people: Mapping[str, User]
) -> None:
    current = look_again(file).current_version
    learn(file, current)
    keys = {key for _, key in known_keys(known_secret(file), current)}
    if sample.values.keys() <= keys:
        for one in wanted:
            _save(person(people[one.by]), file, one)


def _save(actor: Actor, file: SecretsFile, wanted: samples.Save) -> None:
    secret = known_secret(file)
    token = str(uuid.uuid5(_NAMESPACE, f"{secret.arn}\0{wanted.comment}"))
    if finished(actor, secret, token):
        return
    for name, pattern in wanted.values.items():
        stage(actor, file, Edit(*place_of(name), "set", filled(pattern)))
    save(actor, file, token=token, comment=wanted.comment)
