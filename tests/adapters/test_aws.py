"""boto3 in one place: its clients, an assumed role, and that none of its exceptions gets out."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore import exceptions as sdk

from adapters.aws import session
from adapters.aws.ecr import Ecr
from adapters.aws.secrets_manager import SecretsManager
from adapters.aws.session import HASTY, PATIENT, Access, Limits, aws_errors
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

CANARY = "canary-value-91c2"

CODES = [
    ("ResourceNotFoundException", 400, NotFound),
    ("RepositoryNotFoundException", 400, NotFound),
    ("ImageNotFoundException", 400, NotFound),
    ("AccessDeniedException", 400, Denied),
    ("UnrecognizedClientException", 400, Denied),
    ("ExpiredTokenException", 400, Denied),
    ("InvalidSignatureException", 400, Denied),
    ("DecryptionFailure", 400, Denied),
    ("SomethingNew", 403, Denied),
    ("ThrottlingException", 400, Throttled),
    ("TooManyRequestsException", 429, Throttled),
    ("LimitExceededException", 400, Invalid),
    ("ResourceExistsException", 400, Conflict),
    ("InternalServiceError", 500, Unavailable),
    ("ServerException", 500, Unavailable),
    ("Whatever", 502, Unavailable),
    ("InvalidParameterException", 400, Invalid),
    ("ValidationException", 400, Invalid),
]


def calls(url: str):
    """Every call of both adapters, aimed at `url`."""
    secrets, images = (
        SecretsManager("eu-west-2", endpoint_url=url),
        Ecr("eu-west-2", "123456789012", endpoint_url=url),
    )
    role = SecretsManager("eu-west-2", role_arn="arn:aws:iam::123456789012:role/reader", endpoint_url=url)
    return {
        "describe": lambda: secrets.describe("shop/staging"),
        "current_version": lambda: secrets.current_version("shop/staging"),
        "get": lambda: secrets.get("shop/staging"),
        "get a version": lambda: secrets.get("shop/staging", "11111111-1111-1111-1111-111111111111"),
        "digests": lambda: images.digests("shop/web", ["a"]),
        "token": images.token,
        "role": lambda: role.describe("shop/staging"),
    }


NAMES = list(calls("http://x"))


@pytest.mark.parametrize("tries", [1, 2])
@pytest.mark.parametrize("make", [SecretsManager, lambda *args, **more: Ecr(*args, "1", **more)])
def test_whoever_calls_says_how_long_a_silent_aws_is_waited_for(stub, quick_retries, make, tries) -> None:
    stub.say(200, {})
    stub.delay = 30
    limits = Limits(connect=0.3, read=0.3, tries=tries)
    hasty = make("eu-west-2", endpoint_url=stub.url, limits=limits)
    ask = hasty.token if isinstance(hasty, Ecr) else lambda: hasty.get("shop/staging")
    begun = time.monotonic()
    with pytest.raises(TimedOut, match="no answer in time"):
        ask()
    assert time.monotonic() - begun < 20
    assert len(stub.requests) == tries


def test_a_role_is_assumed_in_the_same_haste(stub, quick_retries) -> None:
    stub.say(200, {})
    stub.delay = 30
    limits = Limits(connect=0.3, read=0.3, tries=1)
    role = "arn:aws:iam::123456789012:role/reader"
    begun = time.monotonic()
    with pytest.raises(TimedOut):
        SecretsManager("eu-west-2", role_arn=role, endpoint_url=stub.url, limits=limits).describe("shop")
    assert time.monotonic() - begun < 20


def test_a_page_waits_less_than_ten_seconds_for_one_call() -> None:
    assert HASTY.tries * max(HASTY.connect, HASTY.read) + (HASTY.tries - 1) < 8
    assert PATIENT.tries * PATIENT.read > 40


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("code", "status", "expected"), CODES)
def test_no_sdk_exception_leaves_an_adapter(stub, quick_retries, name, code, status, expected) -> None:
    message = f"User: arn:aws:iam::1:user/portal is not allowed {CANARY}"
    if name == "role":  # STS speaks XML
        body = (
            f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        )
        stub.say(status, body)
    else:
        stub.say(status, {"__type": code, "message": message}, Content_Type="application/x-amz-json-1.1")
    with pytest.raises(ExternalError) as caught:
        calls(stub.url)[name]()
    assert isinstance(caught.value, expected)
    assert caught.value.__cause__ is None
    # Words about a secret could quote its value, unless they are AWS's sentence about rights.
    quotes = caught.value.system != "Secrets Manager" and (status == 403 or code in session._DENIED)
    assert (CANARY in caught.value.hint) is quotes
    assert CANARY not in caught.value.message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"\xff<html>"),
        (200, b"{"),
        (200, b""),
        (200, b"[]"),
        (404, b"<html>"),
        (503, b"<html>"),
        (0, b""),
    ],
)
def test_answers_that_make_no_sense(stub, quick_retries, name, status, body) -> None:
    stub.say(status, body + CANARY.encode() if body else b"")
    with pytest.raises(ExternalError) as caught:
        calls(stub.url)[name]()
    assert CANARY not in caught.value.message + caught.value.hint


def test_tries_are_five_for_what_may_pass(stub, quick_retries) -> None:
    stub.say(400, {"__type": "ThrottlingException", "message": ""})
    with pytest.raises(Throttled, match="slow down") as caught:
        calls(stub.url)["get"]()
    assert len(stub.requests) == 5
    assert caught.value.permanent is False


def test_passing_trouble_is_not_noticed(stub, quick_retries) -> None:
    stub.say(500, {"__type": "InternalServiceError"})
    stub.say(400, {"__type": "ThrottlingException"})
    stub.say(0)
    stub.say(200, {"Name": "n", "ARN": "a", "VersionIdsToStages": {"v1": ["AWSCURRENT"]}})
    assert calls(stub.url)["current_version"]() == "v1"


def test_nobody_there(quick_retries) -> None:
    with pytest.raises(Unavailable, match="not reachable"):
        calls("http://127.0.0.1:1")["get"]()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sdk.NoCredentialsError(), Denied),
        (sdk.PartialCredentialsError(provider="env", cred_var="x"), Denied),
        (sdk.ConnectTimeoutError(endpoint_url="u"), TimedOut),
        (sdk.ParamValidationError(report=CANARY), Invalid),
        (sdk.NoRegionError(), Invalid),
        (sdk.InvalidRegionError(region_name="x y"), Invalid),
        (sdk.SSLError(endpoint_url="u", error="e"), Unavailable),
        (sdk.EndpointConnectionError(endpoint_url="u"), Unavailable),
        (sdk.DataNotFoundError(data_path="x"), Unavailable),
        (ValueError("Invalid endpoint: " + CANARY), Invalid),
    ],
)
def test_what_boto3_raises_without_an_answer(error: Exception, expected: type[ExternalError]) -> None:
    with pytest.raises(expected) as caught, aws_errors("ECR", "do it"):
        raise error
    assert "do it" in caught.value.message
    assert CANARY not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("region", "endpoint", "secret"),
    [("eu west/2", None, "x"), ("", None, "x"), ("eu-west-2", "no address", "x"), ("eu-west-2", None, "")],
)
def test_malformed_settings_are_explained(region, endpoint, secret, monkeypatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(Invalid):
        SecretsManager(region, endpoint_url=endpoint).get(secret)


def test_no_credentials_at_all(monkeypatch, tmp_path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Denied, match="no AWS credentials") as caught:
        SecretsManager("eu-west-2").describe("x")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_client_is_kept_but_not_over_a_fork_nor_other_surroundings(moto_url, monkeypatch) -> None:
    access = Access("eu-west-2", endpoint_url=moto_url)
    first = session.client("secretsmanager", access)
    assert session.client("secretsmanager", access) is first
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert session.client("secretsmanager", access) is not first
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    other = session.client("secretsmanager", access)
    assert other is not first
    assert first.meta.config.connect_timeout == 3
    assert first.meta.config.retries["total_max_attempts"] == 5


def sts_answer(stub, expires: datetime) -> None:
    stub.say(
        200,
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>"
        f"<SecretAccessKey>{CANARY}</SecretAccessKey><SessionToken>session-1</SessionToken>"
        f"<Expiration>{expires.isoformat()}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
    )


@pytest.mark.parametrize(("minutes", "assumed"), [(60, 1), (4, 2)])
def test_role_is_assumed_once_until_five_minutes_before_its_end(stub, minutes: int, assumed: int) -> None:
    access = Access("eu-west-2", "arn:aws:iam::123456789012:role/reader", stub.url)
    sts_answer(stub, datetime.now(UTC) + timedelta(minutes=minutes))
    clients = {session.client("secretsmanager", access) for _ in range(2)}
    assert len(clients) == len(stub.requests) == assumed
    credentials = clients.pop()._request_signer._credentials
    assert (credentials.access_key, credentials.token) == ("ASIA1", "session-1")


def test_role_by_moto(moto_url) -> None:
    role = Access("eu-west-2", "arn:aws:iam::210987654321:role/reader", moto_url)
    assert session.client("sts", role).get_caller_identity()["Account"] == "210987654321"


def test_bodies_stay_out_of_the_logs(stub, caplog) -> None:
    """Somebody sets the root logger to DEBUG: botocore would print the value."""
    stub.say(200, {"ARN": "a", "Name": "n", "VersionId": "v", "SecretString": CANARY, "CreatedDate": 1})
    caplog.set_level(logging.DEBUG)
    secret = SecretsManager("eu-west-2", endpoint_url=stub.url).get("x")
    assert secret.text == CANARY
    assert CANARY not in caplog.text
    assert CANARY not in repr(secret)
