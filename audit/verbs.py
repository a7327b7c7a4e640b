"""The words of each audit verb on a page: `<actor> <words> <target>`."""

from __future__ import annotations

VERBS: dict[str, str] = {
    "setup.completed": "set the portal up",
    "session.started": "signed in",
    "session.ended": "signed out",
    "session.refused": "was refused at sign-in",
    "password.changed": "changed the password",
    "user.created": "created the account",
    "user.changed": "changed the account",
    "membership.granted": "granted a role on",
    "membership.revoked": "revoked a role on",
    "project.created": "created the project",
    "project.changed": "changed the project",
    "environment.created": "created the environment",
    "environment.changed": "changed the environment",
    "image.created": "added the image",
    "image.changed": "changed the image",
    "image.removed": "removed the image",
    "secrets.refused": "was refused the secrets of",
    "secrets.revealed": "looked at the secret value",
    "secrets.downloaded": "downloaded all values of",
    "secrets.copied": "copied to another environment the secret value",
    "secrets.compared": "compared the secrets of",
    "secrets.asked": "asked for a change of the secrets of",
    "secrets.approved": "approved a change of the secrets of",
    "secrets.not_approved": "refused a change of the secrets of",
    "secrets.withdrawn": "withdrew a change of the secrets of",
    "secrets.lapsed": "ended as stale a change of the secrets of",
    "secrets.saved": "saved the secrets of",
    "secrets.not_saved": "tried to save the secrets of",
    "secrets.created": "created the secret of",
    "secrets_file.created": "added the secrets file",
    "secrets_file.changed": "changed the secrets file",
    "secrets_file.removed": "removed the secrets file",
    "cluster.created": "registered the cluster",
    "cluster.changed": "changed the cluster",
    "registry.created": "registered the registry",
    "registry.changed": "changed the registry",
    "deploy.requested": "asked for the deploy",
    "deploy.repeated": "asked again for the deploy",
    "deploy.refused": "was refused a deploy of",
    "deploy.started": "started the deploy",
    "deploy.resumed": "took over the deploy",
    "deploy.ended": "ended the deploy",
    "deploy.cancel_requested": "asked to cancel the deploy",
    "release.marked_bad": "marked as bad the release of",
    "release.unmarked": "took the mark “bad” off the release of",
    "history.exported": "exported the history",
    "audit.exported": "exported the audit",
    "audit.verified": "verified the audit",
}


def words(verb: str) -> str:
    """The words of a verb, or the verb itself when it has no words."""
    return VERBS.get(verb, verb)
