"""A new version with the content of an old one."""

from __future__ import annotations

from audit.actors import Actor
from core.errors import Refused, Stale
from projects.models import SecretsFile
from secrets_ui.editing.asking import store
from secrets_ui.editing.saving import finished
from secrets_ui.editing.staging import known_secret
from secrets_ui.editing.writing import SOURCE, Wanted
from secrets_ui.known.looking import look_again
from secrets_ui.known.reading import read_version
from secrets_ui.known.rights import require
from secrets_ui.models import SecretVersion


def restore(
    actor: Actor, file: SecretsFile, *, version_id: str, over: str, token: str, comment: str
) -> SecretVersion | None:
    """Makes the content of an old version current again, as a new one; None when it is what is current. `over`: the version
    that was current when the person decided.

    Raises Refused, Stale, ExternalError (Gone where AWS has removed the version), ManifestError.
    """
    require(actor, file, "edit", what=version_id)
    secret = known_secret(file)
    if not comment.strip():
        raise Refused("Say in a few words why. Nothing was restored.", code="reason")
    if (done := finished(actor, secret, token)) is not None:
        return done
    if not SecretVersion.objects.filter(secret=secret, version_id=version_id).exists():
        raise Refused("This secret has no such version. Nothing was changed.", code="unknown")
    current = look_again(file).current_version
    if current != over:
        raise Stale(
            "Another version was saved since you looked. Nothing was restored.", hint="Look at it first."
        )
    old, now = (read_version(file, secret, version).opened.text for version in (version_id, current))
    if old == now:
        return None
    return store(actor, file, secret, Wanted(old, current, token, SOURCE.RESTORE, comment.strip()))
