"""Who the portal is for AWS."""

from __future__ import annotations

import pytest

from adapters.aws.identity import caller
from adapters.errors import Denied, Unavailable


def test_the_arn(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    assert caller("eu-west-2").startswith("arn:aws:")


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="not reachable"):
        caller("eu-west-2")


def test_a_refused_credential(stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    stub.say(
        403,
        "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>x</Message></Error></ErrorResponse>",
        Content_Type="text/xml",
    )
    with pytest.raises(Denied, match="does not accept the credentials"):
        caller("eu-west-2")
