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
    assert CANARY not in shown
    assert "AWS says" not in shown


SHORT = "User: arn:x is not authorized to perform: a:b"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "User: arn:aws:iam::123456789012:user/portal is not authorized to perform: secretsmanager:PutSecretValue on "
            "resource: shop/live because no identity-based policy allows the secretsmanager:PutSecretValue action",
            "all",
        ),
        ("Access to KMS is not allowed", "all"),
        (f"{SHORT}, the request was {CANARY}", SHORT),
        (f"refused: {CANARY}", ""),
    ],
)  # fmt: skip
def test_of_a_denial_only_the_sentence_about_rights_is_repeated(
    writer: SecretsWriter, stub: Any, said: str, kept: str
) -> None:
    stub.say(400, {"__type": "AccessDeniedException", "Message": said})
    with pytest.raises(Denied) as caught:
        writer.put("shop/live", CANARY, token=str(uuid.uuid4()))
    _, _, quoted = caught.value.hint.partition("AWS says: ")
    assert quoted == (said if kept == "all" else kept)


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
