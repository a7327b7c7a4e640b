"""Secrets Manager's refusals in plain words. None of them holds a value."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from adapters.aws.session import Access, aws_errors
from adapters.aws.waiting import one_read
from adapters.errors import Conflict, Denied, ExternalError, Invalid, NotFound, Throttled

SYSTEM = "Secrets Manager"
MAX_BYTES = 65_536  # of the stored text in UTF-8
_READ_RIGHTS = "Allow secretsmanager:DescribeSecret and GetSecretValue, and kms:Decrypt for its key."
_WRITE_RIGHTS = (
    "Allow secretsmanager:PutSecretValue, UpdateSecretVersionStage, DescribeSecret, GetSecretValue and "
    "ListSecretVersionIds (CreateSecret for new ones), and kms:Decrypt and kms:GenerateDataKey for its key."
)
_LIMIT = (
    "AWS's limit for this secret is reached: about 100 versions, of which none younger than a day is removed, "
    "or 20 labels over all versions."
)
# What AWS says of a missing right. Any other words could be those of a proxy that quotes the request, with its value.
_OF_RIGHTS = re.compile(
    r"AWS says: (User:? [\w:/+=,.@-]{1,300} is not authorized to perform: [\w:]{1,100}"
    r"( on resource: [\w:/+=,.@*-]{1,600})?( (because|with) [\w :-]{1,200})?|Access to KMS is not allowed)"
)


class LostRace(Conflict):
    """Another version became current since the editor started. `current`: its VersionId."""

    code = "stale"

    def __init__(self, secret_id: str, current: str) -> None:
        super().__init__(
            f"The secret “{secret_id}” was changed by another writer meanwhile; nothing was overwritten.",
            system=SYSTEM,
            hint="Load the new version and make the change there again.",
        )
        self.current = current


class Gone(NotFound):
    """Deleted, or scheduled for deletion: the secret, or one version of it."""


@contextlib.contextmanager
def reading(secret_id: str, access: Access, version_id: str = "") -> Iterator[None]:
    """Turns AWS's errors inside the block into ExternalErrors about reading a secret. A person waits only so long for all reads
    of a request (adapters/aws/waiting.py)."""
    which = f"version {version_id} of " if version_id else ""
    try:
        with one_read(SYSTEM), aws_errors(SYSTEM, f"read {which}the secret “{secret_id}”"):
            yield
    except NotFound:
        hint = "Check its name and region in the environment's settings; old versions are removed by AWS in time."
        place = (
            f"{which}a secret “{secret_id}”" if version_id else f"secret “{secret_id}” with a current value"
        )
        raise NotFound(f"There is no {place} in {access.region}.", system=SYSTEM, hint=hint) from None
    except Denied as error:
        raise _denied(error, _READ_RIGHTS) from None
    except Invalid as error:
        # InvalidRequestException: a version, or the whole secret, is deleted or about to be.
        raise deleted(secret_id) if _is(error, "InvalidRequestException") else error from None


@contextlib.contextmanager
def writing(secret_id: str, access: Access, doing: str) -> Iterator[None]:
    """Turns AWS's errors inside the block into ExternalErrors about a write. `doing`: a verb with its object."""
    try:
        with aws_errors(SYSTEM, f"{doing} the secret “{secret_id}”"):
            yield
    except NotFound:
        hint = "Check its name and region in the environment's settings."
        message = f"There is no secret “{secret_id}” in {access.region}, or the version to {doing} is gone."
        raise NotFound(message, system=SYSTEM, hint=hint) from None
    except Denied as error:
        raise _denied(error, _WRITE_RIGHTS) from None
    except Throttled as error:
        hint = "Try again in a minute. AWS wants a secret to be written no more than once every ten minutes for long."
        raise Throttled(error.message, system=SYSTEM, hint=hint, retry_after=error.retry_after) from None
    except Invalid as error:
        raise _unwritable(secret_id, error) from None


def _unwritable(secret_id: str, error: Invalid) -> ExternalError:
    if _is(error, "InvalidRequestException"):
        return deleted(secret_id)
    if _is(error, "LimitExceededException"):
        hint = "Remove labels that are not needed, or wait a day until AWS has removed old versions."
        return Invalid(f"{error.message} {_LIMIT}", system=SYSTEM, hint=hint)
    return error


def _denied(error: Denied, rights: str) -> Denied:
    if error.hint and not error.hint.startswith("AWS says:"):
        return error  # AWS was not even asked: our own words, such as those about missing credentials
    quoted = _OF_RIGHTS.match(error.hint)
    return Denied(error.message, system=SYSTEM, hint=f"{rights} {quoted[0] if quoted else ''}".strip())


def _is(error: ExternalError, code: str) -> bool:
    return f"({code})" in error.message


def deleted(secret_id: str) -> Gone:
    """The error for a secret or version that is deleted or scheduled for deletion."""
    return Gone(
        f"The secret “{secret_id}”, or the version asked for, is deleted or scheduled for deletion.",
        system=SYSTEM,
        hint="Restore the secret in AWS, or choose a version that still exists.",
    )


def version_deleted(secret_id: str, version_id: str) -> Gone:
    """The error for a version that AWS has removed from an existing secret."""
    return Gone(
        f"Version {version_id} of the secret “{secret_id}” was deleted by AWS, which keeps about 100 versions.",
        system=SYSTEM,
        hint="Choose a version that still exists.",
    )


def check_size(secret_id: str, text: str) -> None:
    """Checks the size of the text in bytes, because boto3 does not. Raises Invalid."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = (
            f"The text for the secret “{secret_id}” has {size:,} bytes; AWS takes at most {MAX_BYTES:,}."
        )
        raise Invalid(
            message, system=SYSTEM, hint="Nothing was stored. Split the file, or shorten its values."
        )
