"""The errors of outside systems, as one family.

Every adapter raises only these; exceptions of an SDK, of `subprocess` or of a socket do not leave it. Callers decide by
the class and by `permanent` (whether repeating the request can help), never by a text.
"""

from __future__ import annotations

from engine.errors import SlipwayError


class ExternalError(SlipwayError):
    """An outside system did not carry out a request.

    `system`: its name for people, such as `Git` or `Secrets Manager`. `permanent`: the same request fails again until a
    person changes something; each class has its default. `retry_after`: seconds that the system asks us to wait, or None.

    The constructor calls its base by name, not by `super()`, so that a class with a second base (the errors of the
    Kubernetes client) can call each base's constructor itself.
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
    """The object does not exist, or is hidden from us."""

    permanent = True
    code = "outside-not-found"


class Conflict(ExternalError):
    """The object exists already, or changed since it was read. Read it again before another request."""

    permanent = True
    code = "outside-conflict"


class Denied(ExternalError):
    """Missing, wrong or expired credentials, or a missing right."""

    permanent = True
    code = "outside-denied"


class Throttled(ExternalError):
    """Too many requests. The same request can succeed later."""

    code = "outside-busy"


class Unavailable(ExternalError):
    """The system is not reachable, has an internal error, or gives an invalid answer."""

    code = "outside-unavailable"


class TimedOut(ExternalError):
    """No answer in time. The system may have carried out the request nevertheless."""

    code = "outside-timeout"


class Invalid(ExternalError):
    """The request itself cannot be carried out: a malformed name, an unsupported kind of content."""

    permanent = True
    code = "outside-invalid"
