"""The portal's writes to Secrets Manager against the sandbox's end: nobody's change is lost, whatever happens at once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from adapters.aws.secret_errors import LostRace
from adapters.aws.secrets_writer import SAVING, SecretsWriter
from adapters.errors import Conflict, Denied, ExternalError, Invalid, NotFound, TimedOut
from sandbox.layout import ROOT
from tests.sandbox.ends import Aws


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def writer(aws: Aws) -> SecretsWriter:
    return SecretsWriter("eu-west-2", endpoint_url=aws.url)


@pytest.fixture
def raw(aws: Aws) -> Any:
    return aws.client("secretsmanager")


@pytest.fixture
def name() -> str:
    return f"shop/{uuid.uuid4().hex}/live"


def token() -> str:
    return str(uuid.uuid4())


def test_a_save_moves_the_label_and_leaves_none_of_its_own(writer: SecretsWriter, name: str) -> None:
    base = writer.create(name, "one", token=token()).version_id
    new = writer.swap(name, "two", token=(wanted := token()), base=base)
    facts = writer.describe(name)
    assert new == wanted == facts.current_version
    assert facts.versions == {new: ("AWSCURRENT",), base: ("AWSPREVIOUS",)}
    assert writer.get(name, new).text == "two"


def test_whoever_started_from_an_older_version_changes_nothing(
    writer: SecretsWriter, raw: Any, name: str
) -> None:
    base = writer.create(name, "one", token=token()).version_id
    theirs = writer.swap(name, "theirs", token=token(), base=base)
    with pytest.raises(LostRace) as caught:
        writer.swap(name, "mine c4n4ry", token=token(), base=base)
    assert caught.value.current == theirs
    assert isinstance(caught.value, Conflict)
    assert "c4n4ry" not in f"{caught.value!r} {caught.value.hint}"
    plain = raw.put_secret_value(SecretId=name, SecretString="by hand")["VersionId"]
    with pytest.raises(LostRace) as caught:
        writer.swap(name, "mine", token=token(), base=theirs)
    assert caught.value.current == plain
    assert writer.get(name).text == "by hand"
    assert all(SAVING not in labels for labels in writer.describe(name).versions.values())


def test_the_same_save_again_is_the_same_save(writer: SecretsWriter, name: str) -> None:
    """A job that is run again after it succeeded, or by another worker, also when others have written since."""
    base = writer.create(name, "one", token=token()).version_id
    mine = token()
    for _ in range(2):
        assert writer.swap(name, "mine", token=mine, base=base) == mine
    other = writer.swap(name, "other", token=token(), base=mine)
    assert writer.swap(name, "mine", token=mine, base=base) == mine
    assert writer.describe(name).current_version == other
    with pytest.raises(Conflict):
        writer.put(name, "another text", token=mine)


def test_the_same_save_again_does_not_undo_a_way_back(writer: SecretsWriter, name: str) -> None:
    """A job that is run again after a person went back to the version before."""
    base = writer.create(name, "one", token=token()).version_id
    mine = writer.swap(name, "mine", token=token(), base=base)
    writer.move_current(name, to=base, expected_from=mine)
    assert writer.swap(name, "mine", token=mine, base=base) == mine
    assert writer.get(name).text == "one"
    assert all(SAVING not in labels for labels in writer.describe(name).versions.values())


def test_a_refused_move_leaves_no_label(
    writer: SecretsWriter, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = writer.create(name, "one", token=token()).version_id
    client = writer._client()
    original = client.update_secret_version_stage

    def refuses(**given: Any) -> Any:
        if given["VersionStage"] == "AWSCURRENT":
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateSecretVersionStage")
        return original(**given)

    monkeypatch.setattr(client, "update_secret_version_stage", refuses)
    with pytest.raises(Denied):
        writer.swap(name, "two", token=token(), base=base)
    assert writer.describe(name).versions == {base: ("AWSCURRENT",)}


@pytest.mark.parametrize("happened", [True, False])
def test_an_answer_that_got_lost(
    writer: SecretsWriter, name: str, happened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move took place and its answer did not arrive: a success. It did not take place: the error stays."""
    base = writer.create(name, "one", token=token()).version_id
    client = writer._client()
    original = client.update_secret_version_stage

    def silent(**given: Any) -> Any:
        if happened:
            original(**given)
        raise ReadTimeoutError(endpoint_url="https://aws.example")

    monkeypatch.setattr(client, "update_secret_version_stage", silent)
    if happened:
        new = writer.swap(name, "two", token=token(), base=base)
        assert writer.describe(name).current_version == new
        return
    with pytest.raises(TimedOut):
        writer.swap(name, "two", token=token(), base=base)
    assert writer.get(name).text == "one"


def test_of_many_threads_one_wins_each_round(aws: Aws, writer: SecretsWriter, name: str) -> None:
    base = writer.create(name, "start", token=token()).version_id
    for round_ in range(4):
        start = threading.Barrier(6)

        def save(
            number: int, base: str = base, start: threading.Barrier = start, round_: int = round_
        ) -> str:
            start.wait(10)
            try:
                mine = SecretsWriter("eu-west-2", endpoint_url=aws.url)
                return mine.swap(name, f"{round_} {number}", token=token(), base=base)
            except LostRace:
                return ""

        with ThreadPoolExecutor(6) as pool:
            won = [version for version in pool.map(save, range(6)) if version]
        assert len(won) == 1
        facts = writer.describe(name)
        assert facts.current_version == won[0]
        assert previous_of(facts) == base
        base = won[0]


def previous_of(facts: Any) -> str:
    return next(version for version, labels in facts.versions.items() if "AWSPREVIOUS" in labels)


SAVES = """
import sys, uuid
from adapters.aws.secret_errors import LostRace
from adapters.aws.secrets_writer import SecretsWriter
url, name, label = sys.argv[1:]
writer = SecretsWriter("eu-west-2", endpoint_url=url)
lost = 0
sys.stdin.readline()
for number in range(8):
    while True:
        current = writer.get(name)
        try:
            writer.swap(name, current.text + label, token=str(uuid.uuid4()), base=current.version_id)
            break
        except LostRace:
            lost += 1
print(lost)
"""


def test_two_processes_lose_nothing(aws: Aws, writer: SecretsWriter, name: str) -> None:
    """Each adds its letter eight times, and begins again after a lost race: sixteen letters are there."""
    writer.create(name, "-", token=token())
    command = [sys.executable, "-c", SAVES, aws.url, name]
    children = [
        subprocess.Popen(
            [*command, label],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        for label in "ab"
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=100)
        assert child.returncode == 0
    assert sorted(writer.get(name).text) == sorted("-" + "a" * 8 + "b" * 8)


def test_the_same_save_by_two_threads_is_one_version(aws: Aws, writer: SecretsWriter, name: str) -> None:
    base = writer.create(name, "one", token=token()).version_id
    mine, start = token(), threading.Barrier(2)

    def save(_: int) -> str:
        start.wait(10)
        return SecretsWriter("eu-west-2", endpoint_url=aws.url).swap(name, "two", token=mine, base=base)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(save, range(2))) == [mine, mine]
    assert len(writer.versions(name)) == 2


def test_all_versions_are_listed_over_pages(
    writer: SecretsWriter, raw: Any, name: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("adapters.aws.secrets_writer._PAGE", 3)
    base = writer.create(name, "0", token=token()).version_id
    for number in range(1, 8):
        base = writer.swap(name, str(number), token=token(), base=base)
    versions = writer.versions(name)
    assert len({version.version_id for version in versions}) == 8
    assert [v.labels for v in versions if v.version_id == base] == [("AWSCURRENT",)]
    assert sum(not version.labels for version in versions) == 6


def test_back_to_an_older_version(writer: SecretsWriter, name: str) -> None:
    first = writer.create(name, "one", token=token()).version_id
    second = writer.swap(name, "two", token=token(), base=first)
    writer.move_current(name, to=first, expected_from=second)
    assert writer.get(name).text == "one"
    with pytest.raises(ExternalError):
        writer.move_current(name, to=token(), expected_from=first)
    assert writer.get(name).text == "one"


def test_what_is_refused_before_aws_is_asked(writer: SecretsWriter, name: str) -> None:
    base = writer.create(name, "one", token=token()).version_id
    with pytest.raises(Invalid, match="65,537 bytes"):
        writer.swap(name, "ü" * 32_768 + "x", token=token(), base=base)
    writer.swap(name, "ü" * 32_768, token=token(), base=base)
    for label in ("AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"):
        with pytest.raises(Invalid):
            writer.put(name, "x", token=token(), label=label)
    with pytest.raises(Invalid, match="32 to 64"):
        writer.put(name, "x", token="short")
    for bad in ("with space", "", "x" * 513, "shop-a1B2c3"):
        with pytest.raises(Invalid):
            writer.create(bad, "x", token=token())


def test_names_that_are_taken_or_wait_for_their_deletion(writer: SecretsWriter, raw: Any, name: str) -> None:
    mine = token()
    made = writer.create(name, "one", token=mine)
    assert writer.create(name, "one", token=mine).arn == made.arn
    with pytest.raises(Conflict):
        writer.create(name, "two", token=token())
    raw.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    for call in (
        lambda: writer.create(name, "two", token=token()),
        lambda: writer.swap(name, "two", token=token(), base=made.version_id),
        lambda: writer.get(name),
    ):
        with pytest.raises(NotFound, match="scheduled for deletion"):
            call()
    with pytest.raises(NotFound):
        writer.swap("absent/secret", "x", token=token(), base=token())


def test_an_unlabelled_version_of_an_empty_secret_is_current(
    writer: SecretsWriter, raw: Any, name: str
) -> None:
    raw.create_secret(Name=name)
    version = writer.put(name, "first", token=token())
    assert writer.describe(name).current_version == version


def test_limits_in_words(writer: SecretsWriter, raw: Any, name: str) -> None:
    writer.create(name, "one", token=token())
    for number in range(19):
        raw.put_secret_value(SecretId=name, SecretString=f"{number}", VersionStages=[f"L{number}"])
    with pytest.raises(Invalid, match="20 labels") as caught:
        writer.put(name, "c4n4ry", token=token())
    assert "c4n4ry" not in f"{caught.value!r}{caught.value.hint}"
    with pytest.raises(ClientError):
        raw.put_secret_value(SecretId=name, SecretString="x", VersionStages=["L20"])


def test_values_stay_out_of_logs_and_tracebacks(
    writer: SecretsWriter, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary-" + uuid.uuid4().hex
    values = [f"{canary}-{number}" for number in range(3)]
    base = writer.create(name, values[0], token=token()).version_id
    writer.swap(name, values[1], token=token(), base=base)
    with pytest.raises(LostRace) as caught:
        writer.swap(name, values[2], token=token(), base=base)
    writer.get(name)
    assert canary not in caplog.text + "".join(traceback.format_exception(caught.value))
