"""Which release runs, told from images: pure."""

from __future__ import annotations

from deployments.models import Deploy, Release
from deployments.pages.drift import live_revision, short_image, what_runs

WEB, WORKER = "r.example:5000/shop/web", "r.example:5000/shop/worker"


def release(sha: str, *, digest: str = "", names: tuple[str, ...] = (WEB,)) -> Release:
    images = {name[-4:]: {"repository": name, "tag": sha[:7], "digest": digest} for name in names}
    return Release(pk=int(sha[:6], 16), revision=sha, images=images)


def workload(*images: str, managed: bool = True) -> dict:
    return {"name": "w", "images": list(images), "managed": managed}


A, B, C = release("a" * 40), release("b" * 40), release("c" * 40)


def test_the_release_whose_tag_runs_is_found():
    found = live_revision([workload(f"{WEB}:bbbbbbb")], [A, B])
    assert found.release is B
    assert found.differs == (f"{WEB}:bbbbbbb",)


def test_the_first_that_fits_wins():
    again = release("d" * 40)
    again.images = A.images
    assert live_revision([workload(f"{WEB}:aaaaaaa")], [A, again]).release is A


def test_a_digest_says_more_than_a_tag():
    one, two = release("a" * 40, digest="sha256:1"), release("a" * 40, digest="sha256:2")
    assert live_revision([workload(f"{WEB}:aaaaaaa@sha256:2")], [one, two]).release is two
    assert live_revision([workload(f"{WEB}:aaaaaaa@sha256:3")], [one, two]).release is None


def test_images_of_others_say_nothing():
    found = live_revision(
        [workload(f"{WEB}:aaaaaaa", "envoy:1"), workload(f"{WEB}:zzzzzzz", managed=False)], [A]
    )
    assert found.release is A


def test_nothing_to_compare():
    assert not live_revision([workload("envoy:1")], [A]).compared
    assert not live_revision([], [A]).compared


def test_half_of_one_release_and_half_of_another_is_neither():
    both = [release("a" * 40, names=(WEB, WORKER)), release("b" * 40, names=(WEB, WORKER))]
    found = live_revision([workload(f"{WEB}:aaaaaaa"), workload(f"{WORKER}:bbbbbbb")], both)
    assert found.release is None
    assert found.compared
    assert found.differs == (f"{WORKER}:bbbbbbb",)


def deploy(number: int, shipped: Release | None, state: str = "succeeded") -> Deploy:
    return Deploy(number=number, release=shipped, state=state)


def test_what_was_deployed_runs():
    found = live_revision([workload(f"{WEB}:aaaaaaa")], [A])
    assert what_runs(deploy(1, A), None, None, found) == (A, "", False)


def test_another_release_is_drift():
    shown, sentence, outside = what_runs(
        deploy(1, A), None, None, live_revision([workload(f"{WEB}:bbbbbbb")], [A, B])
    )
    assert (shown, outside) == (B, True)
    assert sentence == "Changed outside the portal: the cluster runs bbbbbbb, deployed is aaaaaaa."


def test_an_unknown_image_is_drift_and_is_named():
    shown, sentence, outside = what_runs(
        deploy(1, A), None, None, live_revision([workload(f"{WEB}:hotfix")], [A])
    )
    assert (shown, outside) == (A, True)
    assert "the cluster runs web:hotfix" in sentence


def test_what_a_failed_deploy_left_is_no_drift():
    found = live_revision([workload(f"{WEB}:bbbbbbb")], [A, B])
    shown, sentence, outside = what_runs(deploy(1, A), deploy(2, B, "failed"), None, found)
    assert (shown, outside) == (B, False)
    assert sentence == "Left by deploy #2 (failed); deployed is aaaaaaa."


def test_while_a_deploy_runs_nothing_is_judged():
    found = live_revision([workload(f"{WEB}:bbbbbbb")], [A, B])
    assert what_runs(deploy(1, A), None, deploy(2, B, "running"), found) == (A, "", False)


def test_short_images():
    assert short_image(f"{WEB}:63ec5c0@sha256:abcdef0123") == "web:63ec5c0"
    assert short_image("r.example/web@sha256:abcdef0123") == "web@abcdef0"
