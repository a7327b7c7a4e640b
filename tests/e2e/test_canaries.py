"""Known secret values are looked for wherever the portal writes: they are found nowhere.

Runs after everything else of this kind. First it makes every sort of leak happen: a program that prints its secrets
into the log of a deploy and of its failure, secrets files that are no YAML and no Kubernetes Secret.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
import requests
from redis import Redis

from core.redactor import MASK
from sandbox.supervision import guard
from tests.e2e import database, world
from tests.e2e.canaries import KEYS_FOUND_NOWHERE, PLANTED, Canaries, leaking_log
from tests.e2e.fixtures import People
from tests.e2e.portal import Person
from tests.e2e.redis_tap import RedisTap
from tests.e2e.running import Running
from tests.e2e.secret_tour import Tour, walked

pytestmark = pytest.mark.slow
LINK = re.compile(r'(?:href|hx-get|src|data-live|data-poll)="([^"]+)"')
MOST_OF_A_KIND = 3  # pages that differ only in numbers and queries
OTHERS_SECRET = "slipway/catalog/staging"


@pytest.fixture(scope="module")
def leaks(sandbox: Running, people: People, planted: Canaries) -> dict[str, int]:
    """Deploys that print secrets, by kind; all ended. Redis is listened to meanwhile."""
    values = {
        key.removeprefix(f"{PLANTED} "): value
        for key, value in planted.values.items()
        if key.startswith(PLANTED)
    }
    talk = leaking_log(values)
    commit = world.push(sandbox, "storefront", "talkative")
    labels = {world.BEHAVIOUR: "crash", world.LOG: talk}
    world.publish(
        sandbox, commit, {"storefront/web": labels, "storefront/worker": {**labels, world.BEHAVIOUR: "ready"}}
    )
    lead = people("lead")
    with RedisTap(sandbox.ports["redis"]) as tap:
        numbers = {
            "talkative": lead.deploy("storefront", "staging", "talkative", reason="to see what it says")
        }
        numbers |= dict(bad_files(sandbox, lead, planted))
        for number in numbers.values():
            sandbox.ended(number)
        tour = walked(sandbox, people, *planted.typed())
        TOURS.append(tour)
        with Redis(port=sandbox.ports["redis"]) as redis:
            kept = b"\n".join(kept_by(redis))
        HEARD["redis"] = tap.heard() + kept
    return numbers | tour.deploys


def kept_by(redis: Redis) -> Iterator[bytes]:
    """Everything that Redis holds, as it is; what RQ has compressed is unpacked."""
    for key in redis.scan_iter():
        yield key
        for value in values_at(redis, key):
            yield value
            with suppress(zlib.error):
                yield zlib.decompress(value)


def values_at(redis: Redis, key: bytes) -> list[bytes]:
    """The texts of one key, of whatever type it is."""
    match redis.type(key):
        case b"none":  # it has gone meanwhile
            return []
        case b"string":
            return [redis.get(key) or b""]
        case b"hash":
            return [part for pair in redis.hgetall(key).items() for part in pair]
        case b"list":
            return list(redis.lrange(key, 0, -1))
        case b"set":
            return list(redis.smembers(key))
        case b"zset":
            return list(redis.zrange(key, 0, -1))
        case b"stream":
            return [part for _, pairs in redis.xrange(key) for pair in pairs.items() for part in pair]
    raise AssertionError(f"{key!r} is of a type that this test does not know")


HEARD: dict[str, bytes] = {}
TOURS: list[Tour] = []
CHECKED: dict[str, bytes] = {}


def bad_files(sandbox: Running, lead: Person, planted: Canaries) -> Iterator[tuple[str, int]]:
    """Secrets files that hold values but are no Kubernetes Secrets, each for one deploy."""
    client = world.secrets_manager(sandbox)
    value = planted.values[f"{PLANTED} CHECKSUM_SALT"]
    good = client.get_secret_value(SecretId=OTHERS_SECRET)["SecretString"]  # type: ignore[attr-defined]
    texts = {
        "no yaml": f'apiVersion: v1\nkind: Secret\ndata: {{A: "{value}\n  B: [{value}\n',
        "no secret": f"DATABASE_PASSWORD={value}\nOTHER={value}\n",
        "bad base64": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: catalog-secrets}}\ndata:\n  DATABASE_URL: '%%{value}'\n",
        "bad type": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: catalog-secrets}}\ndata:\n  DATABASE_URL: '{value}'\n",
    }  # fmt: skip
    try:
        for name, text in texts.items():
            client.put_secret_value(SecretId=OTHERS_SECRET, SecretString=text)  # type: ignore[attr-defined]
            lead.get("/projects/catalog/staging/deploy/?see=1")
            tried = lead.post("/projects/catalog/settings/environments/staging/check/", {})
            CHECKED[name] = tried.content + unescape(tried.text).encode()
            number = lead.deploy("catalog", "staging", "main")
            sandbox.ended(number)
            yield name, number
    finally:
        client.put_secret_value(SecretId=OTHERS_SECRET, SecretString=good)  # type: ignore[attr-defined]


def test_what_a_program_prints_is_masked(sandbox: Running, leaks: dict[str, int], planted: Canaries) -> None:
    """The mask stands where a value stood: in the deploy's log, in the evidence, on the page."""
    number = leaks["talkative"]
    assert sandbox.deploy(number)["state"] == "failed"
    log = sandbox.log(number)
    for key in ("SMTP_PASSWORD", "QUEUE_URL", "CHECKSUM_SALT", "OAUTH_CLIENT", "SESSION_KEY"):
        assert f"plain {key}={MASK}" in log, key
        assert f"url ?{key}={MASK}&z=1" in log, key
    assert f"base64 {MASK}" in log
    assert "a talkative program starts" in log
    evidence = json.loads(sandbox.deploy(number)["evidence"])
    assert any(MASK in text for text in strings(evidence))


def test_an_error_of_the_cluster_that_quotes_a_value_is_told_without_it(
    sandbox: Running, leaks: dict[str, int]
) -> None:
    if sandbox.plane != "real":
        pytest.skip("the simulated control plane has no policies of admission")
    told = sandbox.deploy(leaks["quoted"])
    assert told["state"] == "failed"
    assert "Secret catalog-secrets: the cluster refuses it" in told["result"]
    assert "not allowed" not in told["result"] + told["hint"] + sandbox.log(leaks["quoted"])


@pytest.mark.parametrize("name", ["no yaml", "no secret", "bad base64", "bad type"])
def test_bad_secrets_files_are_explained(sandbox: Running, leaks: dict[str, int], name: str) -> None:
    found = sandbox.deploy(leaks[name])
    assert found["state"] in ("failed", "errored")
    assert "secrets.yaml" in found["result"] + found["hint"]
    assert "error of the portal" not in found["result"]


@pytest.mark.parametrize("name", ["no yaml", "no secret", "bad base64", "bad type"])
def test_trying_bad_secrets_files_in_the_settings_shows_no_value(
    leaks: dict[str, int], planted: Canaries, name: str
) -> None:
    assert b"no Kubernetes Secret file" in CHECKED[name]
    assert planted.found_in(CHECKED[name]) == []


def test_not_in_the_database(sandbox: Running, leaks: dict[str, int], planted: Canaries) -> None:
    """Every table, every column; what is compressed is unpacked. The encrypted columns are encrypted."""
    found: dict[str, list[str]] = {}
    tables = dict(database.cells(sandbox.database_url))
    for table, cells in tables.items():
        text = b"\n".join(part for cell in cells for part in parts(cell))
        if names := planted.found_in(text, *unpickled(text)):
            found[table] = names
    query = "SELECT objects_compressed FROM deployments_release"
    objects = [zlib.decompress(row["objects_compressed"]) for row in sandbox.rows(query)]
    assert len(tables) > 20
    assert found == {}
    assert objects
    assert planted.found_in(*objects) == []


def parts(cell: bytes) -> Iterator[bytes]:
    """A text or blob; of JSON also what its strings say."""
    yield cell
    with suppress(ValueError):
        yield "\n".join(strings(json.loads(cell))).encode()


def strings(value: object) -> Iterator[str]:
    """Every text inside of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for part in pair for text in strings(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in strings(part))


def unpickled(text: bytes) -> list[bytes]:
    """Cached entries are pickled and in base64: decoded."""
    pieces = re.findall(rb"[A-Za-z0-9+/]{200,}={0,2}", text)
    bare = [piece.rstrip(b"=") for piece in pieces]
    whole = [piece[:-1] if len(piece) % 4 == 1 else piece for piece in bare]  # what is no base64 at all, too
    return [base64.b64decode(piece + b"=" * (-len(piece) % 4)) for piece in whole]


def test_not_in_the_database_s_own_file(sandbox: Running, leaks: dict[str, int], planted: Canaries) -> None:
    """Also not in rows that were erased, nor in what is not written back yet."""
    if database.is_postgresql(sandbox.database_url):
        assert planted.found_in(database.dump(sandbox.database_url)) == []
        return
    place = database.file_of(sandbox.database_url)
    raw = {path.name: path.read_bytes() for path in place.parent.glob(f"{place.name}*")}
    assert raw[place.name].startswith(b"SQLite format 3")
    assert {name: found for name, text in raw.items() if (found := planted.found_in(text))} == {}


def test_not_in_a_session(sandbox: Running, leaks: dict[str, int], planted: Canaries) -> None:
    """Messages to a person wait there, and what a form is to say after a redirect."""
    rows = [row["session_data"] for row in sandbox.rows("SELECT session_data FROM django_session")]
    texts = [session(row) for row in rows]
    assert b"_auth_user_id" in b"".join(texts)
    assert planted.found_in(*texts) == []


def session(data: str) -> bytes:
    """What a session holds: signed, in base64, and compressed when it is long."""
    text = data.partition(":")[0]
    body = text.removeprefix(".")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return zlib.decompress(raw) if text.startswith(".") else raw


def test_no_answer_of_the_tour_holds_a_value(leaks: dict[str, int], planted: Canaries) -> None:
    """But those that were asked for one."""
    (tour,) = TOURS[-1:]
    assert (tour.shown, len(tour.quiet) > 50) == (8, True)
    found = {
        path: planted.found_in(text, unescape(text.decode(errors="replace")).encode())
        for path, text in tour.quiet.items()
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_not_in_a_process_s_arguments_or_environment(
    sandbox: Running, leaks: dict[str, int], planted: Canaries
) -> None:
    """Of the web server, the workers and the scheduler; anybody on the machine may read the arguments."""
    pids = guard.marked(sandbox.directory)
    texts = {
        f"{pid} {name}": read(Path(f"/proc/{pid}/{name}")) for pid in pids for name in ("cmdline", "environ")
    }
    assert b"rqworker" in b"".join(texts.values())
    only = Canaries(
        {name: value for name, value in planted.values.items() if name not in KEYS_FOUND_NOWHERE},
        planted.binary,
    )
    found = {name: only.found_in(text) for name, text in texts.items()}
    assert {name: names for name, names in found.items() if names} == {}


def read(path: Path) -> bytes:
    """A file of a process; nothing once that has ended."""
    with suppress(OSError):
        return path.read_bytes()
    return b""


def test_not_in_redis(leaks: dict[str, int], planted: Canaries) -> None:
    """Everything that it was told while secrets were printed, and everything that it keeps."""
    heard = HEARD["redis"]
    assert b"slipway:runs" in heard
    assert b"rq:queue:deploys" in heard
    assert planted.found_in(heard) == []


def test_not_in_the_logs(sandbox: Running, leaks: dict[str, int], planted: Canaries) -> None:
    """What the programs write on their standard outputs, the sandbox's first lines excepted: they tell the password."""
    logs = sorted((sandbox.directory / "logs").glob("*.log"))
    assert {"web.log", "deploys-1.log", "scheduler.log", "short.log"} <= {path.name for path in logs}
    assert {
        path.name: planted.found_in(path.read_bytes()) for path in logs if planted.found_in(path.read_bytes())
    } == {}


def test_not_in_files(sandbox: Running, leaks: dict[str, int], planted: Canaries) -> None:
    """The portal's own files: mirrors of the repositories, their settings; and what is left in the folder for temporary files."""
    found = {}
    for path in sorted([*(sandbox.directory / "data").rglob("*"), *(sandbox.directory / "tmp").rglob("*")]):
        if path.is_file() and (names := planted.found_in(path.read_bytes())):
            found[str(path.relative_to(sandbox.directory))] = names
    assert found == {}


def test_not_in_slack(sandbox: Running, leaks: dict[str, int], planted: Canaries) -> None:
    url = sandbox.env["SLIPWAY_SLACK_URL"]
    shown = [
        requests.get(url, headers={"Accept": kind}, timeout=20).content
        for kind in ("application/json", "text/html")
    ]
    assert b"/deploys/" in shown[0]
    assert planted.found_in(*shown) == []


def test_not_on_any_page(sandbox: Running, leaks: dict[str, int], people: People, planted: Canaries) -> None:
    """Every page that an administrator reaches by links, and what can be downloaded."""
    pages = dict(crawl(people("admin"), [f"/deploys/{number}/" for number in leaks.values()]))
    kinds = {kind(path) for path in pages}
    assert {
        "/",
        "/deploys/N/",
        "/audit/",
        "/audit/N/",
        "/deploys/export.csv",
        "/audit/export.csv",
        "/deploys/N/log",
    } <= kinds
    assert {path: planted.found_in(text) for path, text in pages.items() if planted.found_in(text)} == {}


def kind(path: str) -> str:
    """The address without its query, numbers as N."""
    return re.sub(r"\d+", "N", urlsplit(path).path)


def crawl(person: Person, first: list[str]) -> Iterator[tuple[str, bytes]]:
    """Follows every link; of pages of one kind only some. Nothing that ends the session, no stream that does not end."""
    waiting, known, seen = deque([*first, "/"]), set(first), Counter[str]()
    while waiting:
        path = waiting.popleft()
        seen[kind(path)] += 1
        if seen[kind(path)] > MOST_OF_A_KIND:
            continue
        answer = person.session.get(person.running.url + path, timeout=60)
        assert answer.status_code < 500, path
        yield path, unescape(answer.text).encode() + answer.content
        if "html" not in answer.headers.get("Content-Type", ""):
            continue
        for link in LINK.findall(answer.text):
            target = urldefrag(urljoin(answer.url, unescape(link)))[0]
            here = target.removeprefix(person.running.url)
            if target != here and here not in known and not re.search(r"logout|/stream|/static/", here):
                known.add(here)
                waiting.append(here)


def test_pages_of_errors(people: People, planted: Canaries) -> None:
    """What is typed into a form of secrets does not come back in its errors."""
    kubeconfig = planted.values.get("kubeconfig key") or planted.values["kubeconfig token"]
    person = people("admin")
    answer = person.post(
        "/admin/clusters/new/", {"slug": "another", "name": "Another", "kubeconfig": f"users: [{kubeconfig}"}
    )
    assert answer.status_code in (200, 422)
    assert planted.found_in(answer.content, unescape(answer.text).encode()) == []


def test_they_would_be_found(planted: Canaries, tmp_path: Path) -> None:
    """The search itself: each form of each value is found where it is."""
    assert planted.found_in(b"nothing here") == []
    for needle, name in planted.needles().items():
        assert name in planted.found_in(b"before " + needle + b" after")
