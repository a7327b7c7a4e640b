"""All reads of secrets of one request together wait for AWS only so long; what was begun is brought to its end."""

from __future__ import annotations

import time
import uuid
from typing import Any

import boto3
import pytest

from adapters.aws.secrets_manager import SecretsManager
from adapters.aws.secrets_writer import SecretsWriter
from adapters.aws.session import HASTY, PATIENT, Access
from adapters.aws.waiting import SECONDS, in_time, one_read, waiting_at_most
from adapters.errors import TimedOut


@pytest.fixture
def name(moto_url: str) -> str:
    made = f"shop/staging/{uuid.uuid4()}"
    admin: Any = boto3.client("secretsmanager", region_name="eu-west-2", endpoint_url=moto_url)
    admin.create_secret(Name=made, SecretString="one")
    return made


def test_reads_share_the_time_and_none_is_begun_after_it() -> None:
    with waiting_at_most(0.1):
        for _ in range(2):
            with one_read("AWS"):
                time.sleep(0.06)
        with pytest.raises(TimedOut, match="too slowly"), one_read("AWS"):
            pytest.fail("a read was begun")
    with one_read("AWS"):
        pass  # no limit any more


def test_a_read_that_fails_takes_time_as_well() -> None:
    with waiting_at_most(0.01):
        with pytest.raises(ValueError, match="mine"), one_read("AWS"):
            time.sleep(0.02)
            raise ValueError("mine")
        with pytest.raises(TimedOut), one_read("AWS"):
            pytest.fail("a read was begun")


def test_limits_of_a_call_fit_what_is_left() -> None:
    access = Access("eu-west-2", limits=PATIENT)
    assert in_time(access).limits == PATIENT
    with waiting_at_most():
        assert in_time(access).limits == HASTY
    with waiting_at_most(1):
        last = in_time(access).limits
    assert last.tries * max(last.connect, last.read) <= 2
    assert SECONDS + last.read < 11


def test_secrets_are_not_read_when_it_is_used_up_and_a_write_is(moto_url: str, name: str) -> None:
    reader, writer = (kind("eu-west-2", endpoint_url=moto_url) for kind in (SecretsManager, SecretsWriter))
    base, token = reader.current_version(name), str(uuid.uuid4())
    with waiting_at_most(0):
        with pytest.raises(TimedOut):
            reader.describe(name)
        with pytest.raises(TimedOut):
            reader.get(name)
        assert writer.swap(name, "two", token=token, base=base, first=True) == token
    assert reader.get(name).text == "two"
