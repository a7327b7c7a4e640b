"""What outside systems can do to us, as one family of errors.

Every adapter raises these and nothing else: no exception of an SDK, of `subprocess` or of a socket leaves
it. Callers decide by the class (what happened) and by `permanent` (whether asking again can help), never by a
text.
"""

from __future__ import annotations

from engine.errors import SlipwayError


class ExternalError(SlipwayError):
    """An outside system did not do what it was asked.

    `system`: its name for people, such as `Git` or `Secrets Manager`. `permanent`: the same request would
    fail again until somebody changes something; each class has its default. `retry_after`: seconds the system
    asked us to wait, if it said so.

    The base's constructor is called by name, not by `super()`, so that an error may belong to a second family
    as well (as those of the Kubernetes client do) and call each family's constructor itself.
    """

    permanent: bool = False
    code = "outside"

    def __init__(
        self,
        message: str,
        *,
        system: str,
        hint: str = "",
        permanent: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        SlipwayError.__init__(self, message, hint=hint)
        self.system = system
        self.retry_after = retry_after
        if permanent is not None:
            self.permanent = permanent


class NotFound(ExternalError):
    """What was asked for does not exist, or is hidden from us."""

    permanent = True
    code = "outside-not-found"


class Conflict(ExternalError):
    """It exists already, or changed since it was read. The same request will not pass; read again first."""

    permanent = True
    code = "outside-conflict"


class Denied(ExternalError):
    """No, wrong or expired credentials, or a missing right."""

    permanent = True
    code = "outside-denied"


class Throttled(ExternalError):
    """We ask too often. Later is fine."""

    code = "outside-busy"


class Unavailable(ExternalError):
    """The system is not reachable, answers with an error of its own, or answers nonsense."""

    code = "outside-unavailable"


class TimedOut(ExternalError):
    """No answer in time. What was asked may have happened nevertheless."""

    code = "outside-timeout"


class Invalid(ExternalError):
    """The request itself cannot be carried out: a malformed name, an unsupported kind of content."""

    permanent = True
    code = "outside-invalid"
