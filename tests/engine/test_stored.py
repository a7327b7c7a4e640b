"""Kept releases and masking: nothing secret stays, everything comes back."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SlipwayError
from engine.manifests.documents import Document
from engine.manifests.masking import BOUND, LAST_APPLIED, key_digests, mask
from engine.manifests.render import Rendered, Variable
from engine.manifests.secretfiles import parse_secrets_file
from engine.manifests.stored import content_hash, from_stored, to_stored
from engine.types import Json, Manifest
from tests.engine.support import DIGESTS, OTHER_DIGESTS, b64, digest, digest_here, read, rendered

CANARY = b"c4n4ry-hunter2\xff"
GIT = """apiVersion: v1
kind: Secret
metadata: {name: "git-${ENVIRONMENT}", annotations: {a: b}}
type: Opaque
stringData: {url: "https://${PROJECT}/${EXTRA}", fixed: "p$${x}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
"""


def populated(value: bytes = CANARY, **metadata: Any) -> list[Document]:
    header = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "app", **metadata},
        "immutable": False,
    }
    data = {"PASSWORD": base64.b64encode(value).decode(), "PORT": b64("5432")}
    return parse_secrets_file(json.dumps({**header, "data": data}), path="secrets.yaml")


def release(value: bytes = CANARY) -> Rendered:
    return rendered(
        read(GIT), Variable("EXTRA", "x"), secrets={"secrets.yaml": populated(value)}, digested=True
    )


def stored(manifests: tuple[Manifest, ...]) -> list[Json]:
    """Kept and read again, as a database does it."""
    kept: list[Json] = json.loads(
        json.dumps(to_stored(manifests, digests=DIGESTS, version_ids={"secrets.yaml": "v-1"}))
    )
    return kept


def restored(kept: list[Json], **more: Any) -> list[Manifest]:
    given_: dict[str, Any] = {
        "secrets": {"secrets.yaml": populated()},
        "git_documents": read(GIT),
        "digests": DIGESTS,
    }
    return from_stored(kept, **(given_ | more))


def test_a_release_comes_back_as_it_was() -> None:
    manifests = release().manifests
    assert restored(stored(manifests)) == list(manifests)


def test_what_is_kept_of_secrets() -> None:
    kept = [entry for entry in stored(release().manifests) if "secret" in entry]
    git, file = kept
    assert file["from"] == {"file": "secrets.yaml", "version_id": "v-1"}
    assert file["secret"]["ref"] == "Secret/shop-staging/app"
    assert file["secret"]["keys"].keys() == {"PASSWORD", "PORT"}
    assert file["secret"]["immutable"] is False
    assert git["from"]["git"] == "web.yaml:1"
    assert {name for name, *_ in git["from"]["variables"]} == {"ENVIRONMENT", "PROJECT", "EXTRA"}
    assert git["secret"]["type"] == "Opaque"
    assert git["secret"]["annotations"]["a"] == "b"


def spellings(value: bytes) -> list[str]:
    return [base64.b64encode(value).decode(), value.decode("latin-1"), value.decode("utf-8", "replace")]


VALUES = st.binary(min_size=8, max_size=60).filter(lambda value: len(set(value)) > 4)


@given(VALUES)
def test_no_value_is_kept_printed_or_masked_readably(value: bytes) -> None:
    manifests = release(value).manifests
    shown = json.dumps(stored(manifests), ensure_ascii=False) + repr(manifests)
    shown += json.dumps([mask(m.body, digest) for m in manifests], ensure_ascii=False)
    assert not [text for text in spellings(value) if text in shown]


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=4),
    st.dictionaries(st.text(min_size=1), st.text()),
)
def test_masking_keeps_every_key_and_no_value(data: dict[str, bytes], plain: dict[str, str]) -> None:
    annotations = {LAST_APPLIED: json.dumps(plain), "keep": "me"}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a", "namespace": "n", "annotations": annotations},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        "stringData": plain,
    }
    shown = mask(body, digest)
    assert shown["data"].keys() == data.keys() | plain.keys()
    assert "stringData" not in shown
    assert shown["metadata"]["annotations"] == {"keep": "me"}
    assert all(text.startswith("#") and len(text) == 17 for text in shown["data"].values())
    assert not [
        t for value in data.values() for t in spellings(value) if t in json.dumps(shown, ensure_ascii=False)
    ]
    assert body["metadata"]["annotations"] == annotations  # type: ignore[index]


def test_masks_are_equal_exactly_when_values_are() -> None:
    def masked(value: str, *, name: str = "a", key: str = "k", field: str = "data") -> str:
        text = b64(value) if field == "data" else value
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "n"},
            field: {key: text},
        }
        return str(mask(body, digest)["data"][key])

    assert masked("x") == masked("x", field="stringData")
    assert masked("x") != masked("y")
    assert masked("x") != masked("x", name="b")  # equal values elsewhere do not show
    assert masked("x") != masked("x", key="other")


def test_values_that_are_no_base64_are_masked_all_the_same() -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": {"a": "canary!", "b": None, "c": 7},
    }
    shown = mask(body, digest)
    assert "canary" not in str(shown)
    assert set(shown["data"]) == {"a", "b", "c"}
    assert mask({"kind": "Secret", "metadata": None, "data": "canary"}, digest)["data"] == {}


def test_other_objects_are_shown_as_they_are_but_for_kubectls_copy() -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "b"}}
    assert mask(body, digest) is body
    copied = body | {"metadata": {"name": "a", "annotations": {LAST_APPLIED: "canary"}}}
    assert mask(copied, digest) == body | {"metadata": {"name": "a", "annotations": {}}}


def failed(kept: list[Json], **more: Any) -> str:
    with pytest.raises(SlipwayError) as caught:
        restored(kept, **more)
    assert "hunter2" not in f"{caught.value!r}{caught.value.hint}"
    return caught.value.message


def test_a_value_that_changed_is_named_not_shown() -> None:
    kept = stored(release().manifests)
    message = failed(kept, secrets={"secrets.yaml": populated(b"hunter2-changed")})
    assert message == (
        "Secret shop-staging/app in secrets.yaml no longer has the values of that release: 1 key differs."
    )
    assert "2 keys differ" in failed(
        [entry for entry in kept if "file" in entry.get("from", {})], digests=OTHER_DIGESTS
    )


def of_before(kept: list[Json], manifests: tuple[Manifest, ...]) -> list[Json]:
    """A release as it was stored before digests were bound to an environment."""
    bodies = {str(manifest.ref): manifest.body for manifest in manifests}
    secrets = [
        {key: value for key, value in e["secret"].items() if key != BOUND} for e in kept if "secret" in e
    ]
    old = [{**one, "keys": key_digests(bodies[one["ref"]], digest)} for one in secrets]
    changed = iter(old)
    return [{**e, "secret": next(changed)} if "secret" in e else e for e in kept]


def test_digests_are_of_their_environment() -> None:
    manifests = release().manifests
    kept = [entry["secret"] for entry in stored(manifests) if "secret" in entry]
    bodies = {str(manifest.ref): manifest.body for manifest in manifests}
    assert [one["keys"] for one in kept] == [key_digests(bodies[one["ref"]], digest_here) for one in kept]


def test_a_release_of_before_digests_were_bound_comes_back() -> None:
    manifests = release().manifests
    old = of_before(stored(manifests), manifests)
    assert restored(old) == list(manifests)
    assert "1 key differs" in failed(old, secrets={"secrets.yaml": populated(b"hunter2-changed")})


def test_another_digest_key_is_named_as_the_likely_cause() -> None:
    """Every value differs then, and none was changed."""
    kept = [entry for entry in stored(release().manifests) if "file" in entry.get("from", {})]
    with pytest.raises(SlipwayError) as caught:
        restored(kept, digests=OTHER_DIGESTS)
    assert "DIGEST_KEY changed" in caught.value.hint
    assert "Nothing was changed on the cluster." in caught.value.hint
    with pytest.raises(SlipwayError) as caught:
        restored(kept, secrets={"secrets.yaml": populated(b"hunter2-changed")})
    assert "DIGEST_KEY" not in caught.value.hint


def test_a_secret_that_is_gone_is_named() -> None:
    kept = stored(release().manifests)
    assert failed(kept, secrets={}).startswith("Secret shop-staging/app of that release cannot be restored")
    assert failed(kept, git_documents=[]).startswith("Secret shop-staging/git-staging of that release")
    moved = populated(namespace="elsewhere")
    assert "app of that release cannot" in failed(kept, secrets={"secrets.yaml": moved})


def test_keys_that_came_or_went_are_named() -> None:
    kept = stored(release().manifests)
    more = parse_secrets_file(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\ndata: {NEW: eA==}", path="secrets.yaml"
    )
    with pytest.raises(SlipwayError, match="3 keys differ") as caught:
        restored(kept, secrets={"secrets.yaml": more})
    assert caught.value.key_names == {caught.value.message: ("NEW", "PASSWORD", "PORT")}


def test_content_hash_is_of_what_is_applied() -> None:
    manifests = release().manifests
    kept = stored(manifests)
    first = content_hash(kept)
    assert content_hash(kept[::-1]) == first
    assert content_hash(to_stored(manifests, digests=DIGESTS, version_ids={"secrets.yaml": "v-2"})) == first
    moved = rendered(read("# moved\n" + GIT), Variable("EXTRA", "x"), secrets={"secrets.yaml": populated()})
    assert content_hash(stored(moved.manifests)) == first
    assert content_hash(stored(release(b"another value").manifests)) != first
    assert content_hash(kept[:-1]) != first


def test_digests_come_sorted_by_key() -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": {"b": "eA==", "a": "eA=="},
    }
    assert list(key_digests(body, digest)) == ["a", "b"]


def test_kubectls_copy_is_not_kept_whoever_made_the_manifests() -> None:
    manifests = [with_copy(manifest) for manifest in release().manifests]
    kept = json.dumps(to_stored(manifests, digests=DIGESTS, version_ids={}))
    assert "canary in the copy" not in kept
    assert LAST_APPLIED not in kept


def with_copy(manifest: Manifest) -> Manifest:
    metadata = manifest.body["metadata"]
    annotations = metadata["annotations"] | {LAST_APPLIED: "canary in the copy"}
    return replace(manifest, body=manifest.body | {"metadata": metadata | {"annotations": annotations}})
