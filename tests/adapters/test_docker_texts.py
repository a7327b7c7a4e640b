"""What the Docker engine says, read without an engine: its errors, its progress, the rules of .dockerignore, what to remove."""

from __future__ import annotations

import base64
import io
import tarfile
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.docker import protobuf
from adapters.docker.building import _read
from adapters.docker.context import Context, stream
from adapters.docker.disk import OurImage, _image, to_remove
from adapters.docker.engine import EngineFacts, _builder_of
from adapters.docker.faults import (
    BuildFailed,
    DiskFull,
    EngineLost,
    ImmutableTag,
    QuotaExceeded,
    build_fault,
)
from adapters.docker.ignoring import Ignored
from adapters.docker.push_faults import push_fault
from adapters.docker.trace import BuildKitTrace, ClassicTrace, shown
from adapters.docker.wire import Stopper
from adapters.errors import Denied, ExternalError, NotFound, Throttled, Unavailable

# Texts as Docker 20.10, 24 and 28 write them.
BUILDS = [
    (
        "executor failed running [/bin/sh -c make]: exit code: 2", BuildFailed,
        "The command “/bin/sh -c make” ended with code 2.",
    ),
    (
        "The command '/bin/sh -c make' returned a non-zero code: 2", BuildFailed,
        "The command “/bin/sh -c make” ended with code 2.",
    ),
    (
        'process "/bin/sh -c make" did not complete successfully: exit code: 2', BuildFailed,
        "The command “/bin/sh -c make” ended with code 2.",
    ),
    (
        "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown "
        "instruction: BOGUS", BuildFailed, "dockerfile parse error line 2: unknown instruction: BOGUS.",
    ),
    (
        'failed to solve with frontend dockerfile.v0: failed to solve: rpc error: code = Unknown desc = failed to compute cache '
        'key: "/web/app" not found: not found', BuildFailed,
        "COPY or ADD names “web/app”, which the build context does not have.",
    ),
    (
        'failed to solve: failed to compute cache key: failed to calculate checksum of ref a::b: "/app": not found', BuildFailed,
        "COPY or ADD names “app”, which the build context does not have.",
    ),
    (
        "COPY failed: file not found in build context or excluded by .dockerignore: stat app: file does not exist", BuildFailed,
        "COPY or ADD names “app”, which the build context does not have.",
    ),
    ("write /app/x: no space left on device", DiskFull, "The Docker engine's disk is full."),
    (
        "failed to solve: ResourceExhausted: failed to read dockerfile: failed to create temp dir: mkdir /var/lib/docker/tmp/"
        "buildkit-mount1: no space left on device", DiskFull, "The Docker engine's disk is full.",
    ),
    ("failed to register layer: write /usr/x: disk quota exceeded", DiskFull, "The Docker engine's disk is full."),
    (  # what a command says is not what the engine says
        'process "/bin/sh -c grep -q \'no space left on device\' log || exit 3" did not complete successfully: exit code: 3',
        BuildFailed, "The command “/bin/sh -c grep",
    ),
    (
        'process "/bin/sh -c curl Get https://x toomanyrequests context canceled" did not complete successfully: exit code: 22',
        BuildFailed, "The command “/bin/sh -c curl",
    ),
    (
        "executor failed running [/bin/sh -c sleep 30]: exit code: 137: context canceled: context canceled", EngineLost,
        "The Docker engine stopped the build.",
    ),
    (
        "failed to solve: failed to compute cache key: failed to calculate checksum of ref abc::def: \"/absent\": not found",
        BuildFailed, "COPY or ADD names “absent”",
    ),
    ("failed to compute cache key: \"/absent\" not found: not found", BuildFailed, "COPY or ADD names “absent”"),
    (
        "failed to solve: python:9: failed to resolve source metadata for docker.io/library/python:9: "
        "docker.io/library/python:9: not found", BuildFailed, "A base image cannot be pulled: ",
    ),
    (
        "failed to solve: x: failed to resolve source metadata for r.example/x:1: unexpected status from HEAD request to "
        "https://r.example/v2/x/manifests/1: 403 Forbidden", BuildFailed, "A base image cannot be pulled: ",
    ),
    (
        "failed to copy: httpReadSeeker: failed open: unexpected status code https://r.example/v2/x/blobs/sha256:1: "
        "403 Forbidden",
        BuildFailed, "A base image cannot be pulled: ",
    ),
    (
        "failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://r.example/v2/x/blobs/sha256:1:"
        " 503 Service Unavailable", Unavailable, "A base image cannot be pulled now: ",
    ),
    (
        "failed to solve: failed to resolve source metadata for docker.io/library/x:1: unexpected status from HEAD request to "
        "https://registry-1.docker.io/v2/library/x/manifests/1: 429 Too Many Requests\ntoomanyrequests: You have reached your "
        "unauthenticated pull rate limit.", Throttled, "The registry of a base image asks us to slow down",
    ),
    (
        "failed to solve: docker.io/library/x:1: failed to resolve source metadata for docker.io/library/x:1: no match for "
        "platform in manifest: not found", BuildFailed, "A base image cannot be pulled: ",
    ),
    (
        'Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout '
        "exceeded while awaiting headers)", Unavailable, "A base image cannot be pulled now: ",
    ),
    ("rpc error: code = Canceled desc = context canceled", EngineLost, "The Docker engine stopped the build."),
    (
        "pull access denied for team/base, repository does not exist or may require 'docker login'", BuildFailed,
        "A base image cannot be pulled: pull access denied",
    ),
    (
        'failed to do request: Head "https://r.example/v2/x/manifests/1": dial tcp: lookup r.example: no such host',
        Unavailable, "A base image cannot be pulled now: ",
    ),
    (
        "toomanyrequests: You have reached your pull rate limit: error pulling image configuration", Throttled,
        "The registry of a base image asks us to slow down",
    ),
    (
        "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/", BuildFailed,
        "The Dockerfile needs BuildKit",
    ),
]  # fmt: skip
PUSHES: list[tuple[str, type[ExternalError]]] = [
    ("unauthorized: authentication required", Denied),
    ("no basic auth credentials", Denied),
    ("denied: Your authorization token has expired. Reauthenticate and try again.", Denied),
    (
        "denied: User: arn:aws:iam::1:user/x is not authorized to perform: ecr:InitiateLayerUpload on resource: x",
        Denied,
    ),
    ("unexpected status from HEAD request to https://r.example/v2/x/blobs/sha256:1: 403 Forbidden", Denied),
    (
        "name unknown: The repository with name 'team/api' does not exist in the registry with id '1'",
        NotFound,
    ),
    (
        "tag invalid: The image tag 'v1' already exists in the 'team/api' repository and cannot be overwritten "
        "because the repository is immutable.",
        ImmutableTag,
    ),
    (
        "denied: The maximum number of images per repository has been reached: LimitExceededException",
        QuotaExceeded,
    ),
    (
        "denied: adding 29.0 MiB of storage resource, which when updated to current usage of 152.4 MiB will exceed the "
        "configured upper limit of 10.0 MiB.",
        QuotaExceeded,
    ),
    (
        "denied: The repository already has the maximum allowed number of images which is '10000'",
        QuotaExceeded,
    ),
    ('error parsing HTTP 403 response body: unexpected end of JSON input: ""', Denied),
    (
        'failed commit on ref "manifest-sha256:1": unexpected status from PUT request to https://r.example/v2/x/manifests/1: '
        "403 Forbidden",
        Denied,
    ),
    (
        'failed commit on ref "manifest-sha256:1": unexpected status from PUT request to https://r.example/v2/x/manifests/1: '
        "400 Bad Request",
        Denied,
    ),
    (
        'failed commit on ref "layer-sha256:1": unexpected status from PUT request to https://r.example/v2/x/blobs/uploads/1: '
        "413 Request Entity Too Large",
        QuotaExceeded,
    ),
    (
        "error parsing HTTP 413 response body: invalid character '<' looking for beginning of value: \"<html>\"",
        QuotaExceeded,
    ),
    ('error parsing HTTP 429 response body: unexpected end of JSON input: ""', Throttled),
    (
        "error parsing HTTP 404 response body: invalid character 'p' after top-level value: \"404 page\"",
        NotFound,
    ),
    ("unknown: filesystem: write /var/lib/registry/docker/x: no space left on device", QuotaExceeded),
    (
        "errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n",
        Denied,
    ),
    # The name of the repository says nothing.
    (
        "name unknown: The repository with name 'team/quota-timeout' does not exist in the registry with id '1'",
        NotFound,
    ),
    (
        "denied: User: x is not authorized to perform: ecr:PutImage on resource: arn:aws:ecr:eu:1:repository/team/immutable",
        Denied,
    ),
    ("toomanyrequests: Rate exceeded", Throttled),
    (
        'Put "https://r.example/v2/x/manifests/1": dial tcp 10.0.0.1:443: connect: connection refused',
        Unavailable,
    ),
    ("received unexpected HTTP status: 503 Service Unavailable", Unavailable),
    ("write /tmp/x: no space left on device", DiskFull),
    ("something new", Unavailable),
]


@pytest.mark.parametrize(("text", "kind", "sentence"), BUILDS)
def test_the_message_with_which_a_build_ends(text: str, kind: type[ExternalError], sentence: str) -> None:
    error = build_fault(text)
    assert type(error) is kind
    assert error.message.startswith(sentence)


@pytest.mark.parametrize(("text", "kind"), PUSHES)
def test_the_message_with_which_a_push_ends(text: str, kind: type[ExternalError]) -> None:
    assert type(push_fault(text, "r.example/team/api")) is kind


def test_the_name_of_a_repository_says_nothing_of_what_happened() -> None:
    text = "failed: unexpected status from HEAD request to https://r.example/v2/team/quota/blobs/sha256:1: 403 Forbidden"
    error = push_fault(text, "r.example/team/quota")
    assert type(error) is Denied
    assert "team/quota/blobs" in error.message


@pytest.mark.parametrize(
    ("patterns", "path", "left_out"),
    [
        ("", "a", False),
        ("*.log", "a.log", True),
        ("*.log", "logs/a.log", False),
        ("**/*.log", "logs/deep/a.log", True),
        ("**/*.log", "a.log", True),
        ("node_modules", "node_modules/a/b.js", True),
        ("node_modules", "web/node_modules/a.js", False),
        ("**/node_modules", "web/node_modules/deep/a.js", True),
        ("/docs/", "docs/a.md", True),
        ("docs\n!docs/keep.md", "docs/keep.md", False),
        ("docs\n!docs/keep.md", "docs/other.md", True),
        ("*\n!src", "src/deep/a.py", False),
        ("*\n!src\nsrc/*.pyc", "src/a.pyc", True),
        ("# a comment\n\n  spaced  ", "spaced", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("./here", "here", True),
        ("a/../b", "b", True),
        (".", "anything", False),
        ("\\!odd", "!odd", True),
        ("docs/**", "docs/a/b", True),
        ("docs/**", "docs", False),
        ("*a*b*c", "xaybzc", True),
        ("*a*b*c", "xay/bzc", False),
        ("**/*a*.[ch]", "deep/down/xax.c", True),
        ("**/*a*.?", "xax.c", True),
        ("a/**/b/**/*.c", "a/b/x.c", True),
        ("a/**/b/**/*.c", "a/x/b/y/x.c", True),
        ("a/**/b/**/*.c", "a/x.c", False),
        ("**/**/*.c", "x.c", True),
    ],
)
def test_dockerignore(patterns: str, path: str, left_out: bool) -> None:
    assert Ignored(patterns)(path) is left_out


def test_a_hostile_dockerignore_takes_no_hours() -> None:
    began = time.process_time()
    assert not Ignored("*a" * 20 + "*b")("a" * 200)
    assert not Ignored("**/a" * 20 + "/b")("a/" * 100 + "a")
    assert time.process_time() - began < 20


def test_a_label_of_a_foreign_image_is_no_trouble() -> None:
    found = _image({"Id": "a", "Labels": {"org.opencontainers.image.created": "2020-01-01"}, "Created": 1})
    assert (
        to_remove([found], (), now=datetime.now(UTC), keep=timedelta(1), most_bytes=0, busy=(), build="b")
        == []
    )


def test_a_hostile_command_takes_no_hours() -> None:
    began = time.process_time()
    build_fault("executor failed running [" + "The command 'manifest for " * 40_000)
    assert time.process_time() - began < 20


def test_the_dockerfile_is_sent_as_it_was_checked() -> None:
    """Attributes of a repository could encode it into another text, and a file may have the name of one from outside."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name in ("Dockerfile", "other"):
            member = tarfile.TarInfo(name)
            member.size = 5
            made.addfile(member, io.BytesIO(b"FROM "))
    snapshot: Any = SimpleNamespace(archive=lambda _: nullcontext(io.BytesIO(packed.getvalue())))
    wanted = frozenset({"Dockerfile", "other"})
    planned = Context(snapshot, "", "Dockerfile", b"FROM scratch\n", {}, wanted, 10, 0, (), ())
    sent = io.BytesIO(b"".join(stream(planned, pointers=lambda _: None)))
    with tarfile.open(fileobj=sent) as found:
        assert {one.name: found.extractfile(one).read() for one in found} == {
            "Dockerfile": b"FROM scratch\n", "other": b"FROM ",
        }  # fmt: skip


def vertex(key: str, name: str, **more: bytes) -> bytes:
    numbers = {"started": 5, "done": 6, "error": 7}
    body = protobuf.encoded(1, key.encode()) + protobuf.encoded(3, name.encode())
    if more.pop("cached", None):
        body += protobuf.encoded_number(4, 1)
    return protobuf.encoded(
        1, body + b"".join(protobuf.encoded(numbers[one], value) for one, value in more.items())
    )


def output(key: str, text: bytes) -> bytes:
    return protobuf.encoded(3, protobuf.encoded(1, key.encode()) + protobuf.encoded(4, text))


def told(*messages: bytes, loaded: list[str] | None = None) -> tuple[BuildKitTrace, list[str]]:
    lines: list[str] = []
    watch = ([] if loaded is None else loaded).append
    trace = BuildKitTrace(lambda text, level: lines.append(text), watch)
    for message in messages:
        trace.take(base64.b64encode(message).decode())
    trace.close()
    return trace, lines


def test_steps_and_output_of_buildkit() -> None:
    trace, lines = told(
        vertex("c", "copy /context /", started=b"1"),
        vertex("a", "[1/2] COPY a /a", started=b"1", cached=b"1"),
        vertex("b", "[build 2/2] RUN   make", started=b"1"),
        vertex("b", "[build 2/2] RUN   make", started=b"1"),
        output("b", b"half a "),
        output("b", b"line\nand \x1b[32mgreen\x1b[0m\n10%\r100%"),
        vertex("b", "[build 2/2] RUN   make", started=b"1", done=b"1"),
    )
    assert lines == [
        "[1/2] COPY a /a (from the cache)",
        "[build 2/2] RUN make",
        "half a line",
        "and green",
        "100%",
    ]
    assert (len(trace.steps), len(trace.cached)) == (2, 1)


def test_images_that_buildkit_loads_are_watched_once() -> None:
    loaded: list[str] = []
    told(
        vertex("a", "resolve image config for docker-image://docker.io/docker/dockerfile:1"),
        vertex("b", "[internal] load metadata for r.example/a/b:1", started=b"1"),
        vertex("b", "[internal] load metadata for r.example/a/b:1", started=b"1", done=b"1"),
        vertex("c", "[1/2] RUN echo '[internal] load metadata for x'", started=b"1"),
        output("c", b"[internal] load metadata for y\n"),
        loaded=loaded,
    )
    assert loaded == ["docker.io/docker/dockerfile:1", "r.example/a/b:1"]


def test_of_a_line_that_is_too_long_nothing_is_told() -> None:
    """Its beginning or end could be a part of a secret value."""
    _, lines = told(output("a", b"x" * 150_000), output("a", b"the end\nnext\n"))
    assert lines == ["(a line that is too long to be shown)", "next"]


def test_a_message_that_cannot_be_read_is_left_out() -> None:
    assert told(b"\xff\xff\xff", output("a", b"fine\n"))[1] == ["fine"]


def test_the_classic_builder() -> None:
    lines: list[str] = []
    trace = ClassicTrace(lambda text, level: lines.append(text))
    for piece in ("Step 1/2 : FROM scratch\n", " ---> Using cache\n", "Step 2/2 : RUN ma", "ke\n", "rest"):
        trace.take(piece)
    trace.close()
    assert lines == ["Step 1/2 : FROM scratch", " ---> Using cache", "Step 2/2 : RUN make", "rest"]
    assert (trace.total, trace.cached_count) == (2, 1)


def test_what_programs_print_is_bounded_with_the_classic_builder_too() -> None:
    lines: list[str] = []
    trace = ClassicTrace(lambda text, level: lines.append(text))
    for piece in ("x" * 150_000, "y" * 10, "\n", f"Step 1/{'9' * 5000} : \n", "z" * 150_000):
        trace.take(piece)
    trace.close()
    assert (lines[0], lines[2], trace.total) == (lines[2], "(a line that is too long to be shown)", 0)


def test_a_line_as_a_terminal_leaves_it() -> None:
    assert shown(b"\x1b]0;title\x07\x1b[1mbold\x1b[0m\r\n") == "bold"


def test_an_answer_that_is_cut_off_is_no_image() -> None:
    with pytest.raises(EngineLost):
        _read([{"stream": "Step 1/1 : FROM scratch\n"}], lambda text, level: None, Stopper(), print)


def test_engines_with_and_without_buildkit() -> None:
    docker = {"Components": [{"Name": "Engine"}, {"Name": "containerd"}], "ApiVersion": "1.41", "Os": "linux"}
    assert _builder_of(docker) == "buildkit"
    assert _builder_of({**docker, "ApiVersion": "1.38"}) == "classic"
    assert _builder_of({**docker, "Os": "windows"}) == "classic"
    assert _builder_of({**docker, "Components": [{"Name": "Podman Engine"}]}) == "classic"


@pytest.mark.parametrize(
    ("version", "builder", "shares"),
    [("20.10.24+dfsg1", "buildkit", False), ("28.2.2", "buildkit", True), ("20.10.24", "classic", True)],
)
def test_which_engines_share_their_cache(version: str, builder: str, shares: bool) -> None:
    """BuildKit of Docker 20.10 crashes the engine when it writes a cache into an image."""
    assert EngineFacts(version, builder, "linux", "amd64").shares_cache is shares


NOW = datetime(2026, 3, 1, tzinfo=UTC)


def image(name: str, days: float, *, size: int = 10, build: str = "1", kind: str = "shop") -> OurImage:
    return OurImage(name, {"kind": kind, "build": build}, size, NOW - timedelta(days=days))


def removed(images: list[OurImage], *, most: int = 1000, busy: tuple[str, ...] = ()) -> list[str]:
    chosen = to_remove(
        images, ["kind"], now=NOW, keep=timedelta(days=7), most_bytes=most, busy=busy, build="build"
    )
    return [one.engine_id for one in chosen]


def test_old_images_go_and_the_newest_of_each_kind_stays() -> None:
    images = [image("a", 30), image("b", 8), image("c", 1), image("other", 90, kind="catalog")]
    assert removed(images) == ["a", "b"]


def test_the_oldest_go_until_the_rest_fits() -> None:
    images = [image("a", 3), image("b", 2), image("c", 1), image("d", 0)]
    assert removed(images, most=20) == ["a", "b"]
    assert removed(images, most=0) == ["a", "b", "c"]


def test_images_of_a_build_under_way_stay() -> None:
    assert removed([image("a", 30, build="7"), image("b", 20), image("c", 1)], busy=("7",)) == ["b"]
