"""What AWS answers to writes, in words; the writes themselves are tested against the sandbox's end (tests/sandbox)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from adapters.aws.secret_errors import LostRace
from adapters.aws.secrets_writer import SecretsWriter
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

CANARY = "c4n4ry-hunter2"
NEW, BASE, OTHER = (str(uuid.uuid4()) for _ in range(3))


@pytest.fixture
def writer(stub: Any) -> SecretsWriter:
    return SecretsWriter("eu-west-2", endpoint_url=stub.url)


def refuse(stub: Any, code: str, status: int = 400) -> None:
    stub.say(
        status,
        {"__type": code, "Message": f"about {CANARY}" if code != "AccessDeniedException" else "User x"},
    )


@pytest.mark.parametrize(
    ("code", "status", "kind", "words", "permanent"),
    [
        ("AccessDeniedException", 400, Denied, "PutSecretValue", True),
        ("EncryptionFailure", 400, Denied, "kms:GenerateDataKey", True),
        ("DecryptionFailure", 400, Denied, "kms:Decrypt", True),
        ("ResourceNotFoundException", 400, NotFound, "eu-west-2", True),
        ("InvalidRequestException", 400, NotFound, "scheduled for deletion", True),
        ("ResourceExistsException", 400, Conflict, "exists already", True),
        ("PreconditionNotMetException", 400, Conflict, "has changed", True),
        ("LimitExceededException", 400, Invalid, "about 100 versions", True),
        ("InvalidParameterException", 400, Invalid, "InvalidParameterException", True),
        ("ThrottlingException", 400, Throttled, "ten minutes", False),
        ("InternalServiceError", 500, Unavailable, "failed on its side", False),
    ],
)
@pytest.mark.usefixtures("quick_retries")
def test_each_refusal_has_words(
    writer: SecretsWriter, stub: Any, code: str, status: int, kind: type, words: str, permanent: bool
) -> None:
    refuse(stub, code, status)
    with pytest.raises(kind) as caught:
        writer.put("shop/live", CANARY, token=str(uuid.uuid4()))
    shown = f"{caught.value.message} {caught.value.hint}"
    assert words in shown
    assert caught.value.permanent is permanent
    # Only refusals of rights repeat AWS's own text, which names the identity.
    assert CANARY not in shown.replace(f"AWS says: about {CANARY}", "")
    assert kind is Denied or "AWS says" not in shown


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        ({NEW: ["AWSCURRENT"], BASE: ["AWSPREVIOUS"]}, None),
        ({OTHER: ["AWSCURRENT"], NEW: ["AWSPREVIOUS"]}, None),  # ours took place, another followed
        ({BASE: ["AWSCURRENT"]}, Invalid),
        (
            {BASE: ["AWSCURRENT"], NEW: ["AWSPREVIOUS"]},
            Invalid,
        ),  # back to the version before: it did not happen
        ({OTHER: ["AWSCURRENT"], BASE: ["AWSPREVIOUS"]}, LostRace),
    ],
)
def test_after_an_error_the_labels_decide(
    writer: SecretsWriter, stub: Any, labels: dict, outcome: type[ExternalError] | None
) -> None:
    refuse(stub, "InvalidParameterException")
    stub.say(200, {"Name": "shop/live", "ARN": "arn:x", "VersionIdsToStages": labels})
    if outcome is None:
        writer.move_current("shop/live", to=NEW, expected_from=BASE)
        return
    with pytest.raises(outcome):
        writer.move_current("shop/live", to=NEW, expected_from=BASE)


@pytest.mark.usefixtures("quick_retries")
def test_a_move_without_any_answer_stays_unknown(writer: SecretsWriter, stub: Any) -> None:
    stub.say(0)
    with pytest.raises(ExternalError) as caught:
        writer.move_current("shop/live", to=NEW, expected_from=BASE)
    assert isinstance(caught.value, Unavailable | TimedOut)
    assert not caught.value.permanent
