"""AWS clients: makes them, assumes roles, and turns AWS's refusals into ExternalErrors.

Credentials, proxy and endpoint come from boto3's environment variables unless given. A client is made at first use and
kept for its process: it is never shared over a fork, nor kept longer than the role's session.
"""

from __future__ import annotations

import binascii
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore import exceptions as sdk
from botocore.config import Config
from botocore.parsers import ResponseParserError

from adapters.errors import (
    Conflict,
    Denied,
    ExternalError,
    Invalid,
    NotFound,
    Throttled,
    TimedOut,
    Unavailable,
)

# botocore would print request and response bodies, secret values included, with the root logger at DEBUG.
for _name in ("botocore", "boto3", "urllib3", "s3transfer"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_SESSION_SECONDS = 3600
_RENEW_BEFORE = 300  # seconds before the end of a role's session at which it is renewed
_ROLE_SESSION_NAME = "slipway"


@dataclass(frozen=True)
class Limits:
    """Time limits of one try of a call, in seconds, and the number of tries."""

    connect: float
    read: float
    tries: int


PATIENT = Limits(connect=3, read=10, tries=5)  # for work in the background: up to a minute
HASTY = Limits(connect=2, read=3, tries=2)  # while a page waits: about seven seconds at worst


@dataclass(frozen=True)
class Access:
    """Region, identity, endpoint and time limits of calls. An empty value or None: boto3's environment decides."""

    region: str
    role_arn: str = ""
    endpoint_url: str | None = None
    limits: Limits = PATIENT


@dataclass(frozen=True)
class _Kept:
    client: Any
    until: float  # seconds since 1970


_clients: dict[tuple[Any, ...], _Kept] = {}
_sessions: dict[tuple[Any, ...], boto3.Session] = {}
_lock = threading.Lock()


def client(service: str, access: Access) -> Any:
    """A boto3 client of the service (`secretsmanager`, `ecr`, `sts`). Raises ExternalError."""
    with _lock:
        session = _session()
        kept = _clients.get((service, access, session))
    if kept is None or kept.until <= time.time():
        kept = _make(session, service, access)
        with _lock:
            _clients[(service, access, session)] = kept
    return kept.client


def fresh_client(service: str, access: Access) -> tuple[Any, datetime | None]:
    """A client with a session that has just begun, and the end of that session; None for credentials without an end.

    For what lives no longer than the session that made it, such as a registry's token. Raises ExternalError.
    """
    with _lock:
        session = _session()
    if access.role_arn:
        kept = _make(session, service, access)
        return kept.client, datetime.fromtimestamp(kept.until + _RENEW_BEFORE, UTC)
    made = client(service, access)
    with aws_errors("AWS", f"prepare calls to {service}"):
        return made, _end_of(session.get_credentials())


def _end_of(credentials: Any) -> datetime | None:
    """When temporary credentials of the environment end (a machine's role, SSO); botocore keeps it in a private attribute."""
    if credentials is None:
        return None
    credentials.get_frozen_credentials()  # renews those that end within the quarter of an hour
    end = getattr(credentials, "_expiry_time", None)
    return end.astimezone(UTC) if isinstance(end, datetime) else None


def _session() -> boto3.Session:
    """The session of this process and of its AWS environment variables. It holds the service models (80 ms to load)."""
    surroundings = frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    key = (os.getpid(), hash(surroundings))
    if key not in _sessions:
        # Older clients belong to another process or to former credentials.
        _sessions.clear()
        _clients.clear()
        _sessions[key] = boto3.Session()
    return _sessions[key]


def _make(session: boto3.Session, service: str, access: Access) -> _Kept:
    credentials, until = _assume(session, access) if access.role_arn else ({}, float("inf"))
    with aws_errors("AWS", f"prepare calls to {service}"):
        return _Kept(_new_client(session, service, access, **credentials), until)


def _new_client(session: boto3.Session, service: str, access: Access, **credentials: str) -> Any:
    region = access.region or None  # None: the environment decides
    config = _config(access.limits)
    with _lock:  # a session cannot make two clients at once
        return session.client(
            service, region_name=region, endpoint_url=access.endpoint_url, config=config, **credentials
        )


def _config(limits: Limits) -> Config:
    return Config(
        retries={"mode": "standard", "total_max_attempts": limits.tries},
        connect_timeout=limits.connect,
        read_timeout=limits.read,
        user_agent_extra="slipway",
    )


def _assume(session: boto3.Session, access: Access) -> tuple[dict[str, str], float]:
    """Credentials of the role, and the time (seconds since 1970) to renew them. The answer holds secrets: see
    `aws_errors`."""
    with aws_errors("AWS", f"assume the role {access.role_arn}"):
        answer = _new_client(session, "sts", access).assume_role(
            RoleArn=access.role_arn, RoleSessionName=_ROLE_SESSION_NAME, DurationSeconds=_SESSION_SECONDS
        )["Credentials"]
        credentials = {
            "aws_access_key_id": answer["AccessKeyId"],
            "aws_secret_access_key": answer["SecretAccessKey"],
            "aws_session_token": answer["SessionToken"],
        }
        return credentials, answer["Expiration"].timestamp() - _RENEW_BEFORE


_CLOCK = "The clock of the portal's machine is off by more than five minutes: let it follow a time server."


class ClockSkewed(Denied):
    """AWS refuses requests because the portal's clock is wrong. It passes when the clock is right again."""

    permanent = False


_NOT_FOUND = {
    *("ResourceNotFoundException", "RepositoryNotFoundException", "ImageNotFoundException", "NoSuchEntity"),
    *("LayersNotFoundException", "ScanNotFoundException"),
}
_CONFLICT = {
    *("ResourceExistsException", "RepositoryAlreadyExistsException", "ImageTagAlreadyExistsException"),
    *("ImageAlreadyExistsException", "PreconditionNotMetException"),
}
_CREDENTIALS = {
    *("UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException"),
    *("SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"),
    *(
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
        "InvalidAccessKeyId",
    ),
}
_SKEWED = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
# Such a refusal has the code of a wrong signature; only its text tells that the time is at fault.
_SKEWED_WORDS = ("signature expired", "signature not yet current")
_DENIED = {
    *("AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized", "OptInRequired"),
    *("DecryptionFailure", "EncryptionFailure", "KmsException", "KMSAccessDeniedException"),
}
_THROTTLED = {
    *("ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException", "SlowDown"),
    *("RequestThrottled", "RequestThrottledException", "RequestLimitExceeded", "BandwidthLimitExceeded"),
    *("PriorRequestNotComplete",),
}
_UNAVAILABLE = {
    *("InternalServiceError", "InternalFailure", "InternalError", "ServiceUnavailable", "ServerException"),
    *("ServiceUnavailableException", "InternalServiceException"),
}


@contextlib.contextmanager
def aws_errors(system: str, doing: str) -> Iterator[None]:
    """Turns boto3's exceptions inside the block into ExternalErrors.

    The block also reads the answer, so a missing member is an ExternalError, too. `doing` completes “… refused to …”: a
    verb with its object, such as `read the secret shop/staging`. The SDK's exception is not chained, because its text may
    quote parameters and answers with secret values.
    """
    try:
        yield
    except sdk.ClientError as error:
        raise _refusal(error.response, system, doing) from None
    except (sdk.ConnectTimeoutError, sdk.ReadTimeoutError):
        raise TimedOut(f"{system} gave no answer in time when asked to {doing}.", system=system) from None
    except (sdk.NoCredentialsError, sdk.PartialCredentialsError, sdk.CredentialRetrievalError):
        hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the portal's machine a role."
        raise Denied(f"There are no AWS credentials to {doing}.", system=system, hint=hint) from None
    except (sdk.TokenRetrievalError, sdk.UnauthorizedSSOTokenError):
        raise Denied(f"The AWS sign-in has expired; could not {doing}.", system=system) from None
    except (sdk.ParamValidationError, sdk.NoRegionError, sdk.InvalidRegionError, sdk.ProfileNotFound):
        hint = "Check the region and the names in the settings."
        raise Invalid(f"The request to {doing} is not one AWS can take.", system=system, hint=hint) from None
    except (sdk.BotoCoreError, ResponseParserError):
        hint = (
            "Try again; if it stays so, check the network between the portal and AWS, and AWS_ENDPOINT_URL."
        )
        raise Unavailable(
            f"{system} is not reachable; could not {doing}.", system=system, hint=hint
        ) from None
    except (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError, binascii.Error):
        raise Unavailable(
            f"{system} gave an answer without sense when asked to {doing}.", system=system
        ) from None
    except ValueError:  # boto3 refuses malformed endpoints so
        hint = "Check the region and AWS_ENDPOINT_URL."
        raise Invalid(f"AWS's address is malformed; could not {doing}.", system=system, hint=hint) from None


def _refusal(response: dict[str, Any], system: str, doing: str) -> ExternalError:
    """The error for AWS's answer. Only errors of rights repeat AWS's text, which names the identity and the missing
    right."""
    error = response.get("Error", {})
    code, status = str(error.get("Code", "")), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _NOT_FOUND:
        return NotFound(f"{system} has nothing there: could not {doing} ({code}).", system=system)
    if code in _CONFLICT:
        return Conflict(
            f"{system} could not {doing}: it exists already or has changed ({code}).", system=system
        )
    if code in _SKEWED or str(error.get("Message", "")).lower().startswith(_SKEWED_WORDS):
        return ClockSkewed(
            f"AWS does not accept the portal's clock; could not {doing} ({code}).", system=system, hint=_CLOCK
        )
    if code in _CREDENTIALS:
        hint = "Check the portal's AWS credentials, and its clock."
        return Denied(f"AWS does not accept the credentials to {doing} ({code}).", system=system, hint=hint)
    if code in _THROTTLED or status == 429:
        return Throttled(f"{system} asks us to slow down; could not {doing} ({code}).", system=system)
    if code in _DENIED or status in (401, 403):
        return Denied(
            f"AWS refused to {doing} ({code}).", system=system, hint=_quoted(error.get("Message", ""))
        )
    if code in _UNAVAILABLE or status >= 500 or status < 400:
        return Unavailable(
            f"{system} failed on its side; could not {doing} ({code or status}).", system=system
        )
    return Invalid(f"{system} cannot {doing} ({code or status}).", system=system)


def _quoted(message: object) -> str:
    text = "".join(c if c.isprintable() else " " for c in str(message))[:300]
    return f"AWS says: {text}" if text else ""
