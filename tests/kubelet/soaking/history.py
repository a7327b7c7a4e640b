"""One environment's history: a deploy over what the one before left, chosen by a seed, each verdict held against the truth."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from deployments.models import Deploy
from engine.manifests.settling import Settling
from runs.models import State
from tests.kubelet.soaking.portal import Portal, fresh, has_applied, log_of, token_of, written_at
from tests.kubelet.soaking.shop import (
    KINDS,
    PROBED,
    READS_CONFIG,
    READS_SECRET,
    SAYS,
    SERVING,
    Images,
    Part,
    Shop,
    files,
    first_shop,
)
from tests.kubelet.soaking.truth import Pod, Truth, answer

WATCHED = Settling.seconds + 5  # seconds for which good pods must have been ready without an end
CRASHED = r"container \w+ crashed (once|twice|\d times) at start \(exit code 3\): " + SAYS
EARLY = 2.0  # seconds after a write; later the rollout itself may take old pods away before the way back is written
BEGINS = 2.0  # seconds from a start to the first answer; without a probe, requests come before
FAULTS: Mapping[str, str] = {  # a pattern of the verdict by mode
    "crash-0": CRASHED,
    "crash-2": CRASHED,
    "crash-8": CRASHED,
    "oom": r"for using more memory than its limit of 20Mi \(OOMKilled, exit code 137\)",
    "wrong-tag": "was not found in the registry",
    "missing-key": "needs a key of Secret pull, which has no such key",
    "hang": "Readiness probe failed",
    "init": r"init container setup crashed twice at start \(exit code 3\): no such table",
}
JOB_FAULTS = {"fails": "relation is missing", "retry": "relation is missing"}
KINDS_OF_DEPLOY = {"good": 9, "bad": 16, "stop": 5, "secrets": 4, "shape": 3, "same": 2}


def say(text: str) -> None:
    """A line of the report, at once: pytest shows it with `-s`."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Wrong(AssertionError):
    """A verdict that does not agree with the truth."""


@dataclass(frozen=True)
class Release:
    """What a deploy that succeeded left: the shop and the number of the secret."""

    shop: Shop
    token: int
    deploy: Deploy


@dataclass(frozen=True)
class Told:
    """A line of the report."""

    number: int
    kind: str
    seconds: float
    state: str
    result: str

    def __str__(self) -> str:
        return f"#{self.number:<3} {self.kind:<24} {self.seconds:6.1f} s  {self.state}: {self.result[:170]}"


@dataclass
class History:
    """The environment as it is now. `good`: the release that succeeded last; `shop`: what Git holds."""

    portal: Portal
    truth: Truth
    made: Images
    chance: random.Random
    shop: Shop = field(default_factory=first_shop)
    token: int = 1
    good: Release | None = None
    told: list[Told] = field(default_factory=list)
    began: float = 0.0
    versions: int = 1
    is_clean: bool = True  # whether the deploy before succeeded

    def run(self, deploys: int) -> None:
        """That many deploys; rollbacks count as well. Raises Wrong."""
        self.portal.store_token(self.token)
        self._good("first", self.shop)
        while len(self.told) < deploys:
            kinds, weights = zip(*KINDS_OF_DEPLOY.items(), strict=True)
            (kind,) = self.chance.choices(kinds, weights)
            getattr(self, f"_{kind}_one")()

    # The kinds of deploy

    def _good_one(self) -> None:
        self._good("good", self._changed(self._base()))

    def _same_one(self) -> None:
        self._good("same", self._base())

    def _shape_one(self) -> None:
        """A workload is added or taken away, or there are more or fewer pods, or a new configuration."""
        shop, what = self._base(), self.chance.choice(("worker", "replicas", "config", "smoke"))
        if what == "worker":
            shop = shop.without("worker") if "worker" in shop.parts else self._with_worker(shop)
        elif what == "replicas":
            name = self.chance.choice(("web", "api", "db"))
            shop = shop.with_part(name, replicas=5 - shop.parts[name].replicas)
        elif what == "config":
            shop = replace(shop, config=shop.config + 1)
        else:
            shop = replace(
                shop, jobs={"migrate": ""} if "smoke" in shop.jobs else {"migrate": "", "smoke": ""}
            )
        self._good(f"shape {what}", shop)

    def _secrets_one(self) -> None:
        if self.good is None or not self.is_clean:
            return self._good_one()
        self.token += 1
        self.portal.store_token(self.token)
        self._judge_good("secrets", self.good.shop, self.portal.ask_secrets())

    def _bad_one(self) -> None:
        shop = self._base()
        if self.chance.random() < 0.15:
            job, mode = self.chance.choice(("migrate", "smoke")), self.chance.choice(sorted(JOB_FAULTS))
            shop = replace(self._changed(shop), jobs={**shop.jobs, job: mode})
            self._bad(f"bad {job} {mode}", shop, job, mode)
        else:
            name, mode = self.chance.choice(sorted(shop.parts)), self.chance.choice(sorted(FAULTS))
            shop = self._changed(shop) if self.chance.random() < 0.4 else shop
            shop = shop.with_part(
                name, version=self._next(), mode=mode, replicas=self._base().parts[name].replicas
            )
            self._bad(f"bad {KINDS[name]} {name} {mode}", shop, name, mode)

    def _stop_one(self) -> None:
        """Stopped in the middle of a rolling update, and rolled back."""
        assert self.good
        shop = self._changed(self._base().with_part("web", version=self._next()))
        if self.chance.random() < 0.4:
            shop = shop.with_part("api", version=self._next(), mode="crash-8")
        after, seen = self.chance.uniform(0.3, 7.0), [0.0]

        def now(deploy: Deploy) -> bool:
            seen[0] = seen[0] or (time.monotonic() if has_applied(deploy) else 0.0)
            return bool(seen[0]) and time.monotonic() - seen[0] >= after

        self._begin()
        deploy, back = self.portal.work_and_stop(self.portal.ask(self._commit(shop)), now)
        self._tell(f"stop after {after:.1f} s", deploy)
        if deploy.state != State.CANCELLED or back is None:
            raise self._wrong(deploy, "it was not stopped")
        self.is_clean, kept = False, self._kept()
        self._judge_good("back after stop", self.good.shop, back, token=self.good.token)
        if after < EARLY:
            self._check_kept(kept, fresh(back))

    # What each of them is held against

    def _good(self, kind: str, shop: Shop) -> None:
        self._judge_good(kind, shop, self.portal.ask(self._commit(shop)))

    def _judge_good(self, kind: str, shop: Shop, asked: Deploy, *, token: int = 0) -> None:
        before = self._standing() if self.is_clean and self.good else {}
        self._begin()
        deploy = self.portal.work(asked)
        self._tell(kind, deploy)
        if deploy.state != State.SUCCEEDED:
            raise self._wrong(deploy, "a false failure: nothing was planted")
        was, token = self.good, token or self.token
        self._check_pods(deploy, shop, token)
        for name, uids in before.items():
            if was and self._is_same(was, shop, token, name) and uids != self._uids(name):
                raise self._wrong(deploy, f"pods of {name} were replaced although nothing of it changed")
        self._check_lost(deploy)
        self.good, self.shop, self.is_clean = Release(shop, token, deploy), shop, True

    def _bad(self, kind: str, shop: Shop, name: str, mode: str) -> None:
        assert self.good
        self._begin()
        deploy = self.portal.work(self.portal.ask(self._commit(shop)))
        self._tell(kind, deploy)
        self.truth.look_again()
        late = mode == "hang" and KINDS[name] != "Deployment"
        if deploy.state not in ((State.FAILED, State.TIMED_OUT) if late else (State.FAILED,)):
            raise self._wrong(deploy, f"a false success: {name} has the fault {mode}")
        if not re.search({**FAULTS, **JOB_FAULTS}[mode], deploy.result) or name not in deploy.result:
            raise self._wrong(deploy, f"the cause is not named: {name} {mode}")
        self._check_old(deploy, shop, name)
        self._check_lost(deploy)
        self.is_clean, kept = False, self._kept()
        if name == "db":
            self._blocked(self.good.shop)
        if self.chance.random() < 0.5:
            back = self.portal.ask_back(self.good.deploy)
            self._judge_good("back after bad", self.good.shop, back, token=self.good.token)
            self._check_kept(kept, fresh(back))

    def _blocked(self, shop: Shop) -> None:
        """A deploy while a pod of the bad release stands in the way of the StatefulSet: it fails, and says what to do."""
        late = [pod for pod in self.truth.of("db") if not pod.ready]
        if not late:
            return
        self._begin()
        deploy = self.portal.work(self.portal.ask(self._commit(shop)))
        self._tell("good, but blocked", deploy)
        words = f"pod {late[0].name} of an earlier release is in the way"
        if deploy.state != State.FAILED or words not in deploy.result or "delete pod" not in deploy.hint:
            raise self._wrong(deploy, "the pod in the way is not named")
        self._check_lost(deploy)
        self.truth.delete(late[0].name)  # what the verdict tells people to do

    def _check_pods(self, deploy: Deploy, shop: Shop, token: int) -> None:
        """All pods of the new revision are ready, stay so for as long as is watched, and answer."""
        self.truth.look_again()
        self._check_now(deploy, shop)
        until = time.monotonic() + WATCHED + 5
        while time.monotonic() < until:
            self.truth.look_again()
            self._check_now(deploy, shop)
            ages = [self.truth.ready_since.get(pod.uid) for name in shop.parts for pod in self.truth.of(name)]
            if all(age is not None and time.monotonic() - age >= WATCHED for age in ages):
                break
        else:
            raise self._wrong(deploy, "its pods were not ready for long enough")
        for name in shop.parts:
            for pod in self.truth.of(name):
                self._check_answer(deploy, shop.parts[name], pod, token)

    def _check_now(self, deploy: Deploy, shop: Shop) -> None:
        for name, part in shop.parts.items():
            pods = self.truth.of(name)
            bad = [
                p
                for p in pods
                if not p.ready or p.ends or (p.version, p.mode) != (str(part.version), part.mode)
            ]
            if len(pods) != part.replicas or bad:
                found = "; ".join(pod.shown for pod in pods) or "no pod"
                raise self._wrong(
                    deploy, f"a false success: {name} wants {part.replicas} of v{part.version}, has {found}"
                )

    def _check_answer(self, deploy: Deploy, part: Part, pod: Pod, token: int) -> None:
        expected = f"{part.version} {token_of(token) if pod.app in READS_SECRET else ''}".strip()
        said = answer(pod.address)
        if said != expected:
            raise self._wrong(deploy, f"{pod.name} answers {said!r}, not {expected!r}")

    def _check_old(self, deploy: Deploy, shop: Shop, name: str) -> None:
        """What ran before still serves, and what was not at fault does as well."""
        assert self.good
        for app in (*SERVING, "db"):
            well = [pod for pod in self.truth.of(app) if pod.ready and not pod.mode and not pod.ends]
            least = min(self.good.shop.parts[app].replicas, shop.parts[app].replicas) - (app == "db")
            if len(well) < least:
                found = "; ".join(pod.shown for pod in self.truth.of(app))
                raise self._wrong(deploy, f"of {app} only {len(well)} of {least} pods serve: {found}")

    def _check_lost(self, deploy: Deploy) -> None:
        """No request was lost but to pods with a fault, and to those without a probe that had just begun to run. What was sent
        to a pod that nobody saw staying after that says how late a busy machine is."""
        lost = [one for one in self.truth.lost if one.at >= self.began]
        lost = [one for one in lost if self.truth.stayed.get(one.uid, 0.0) > one.at]
        lost = [one for one in lost if one.app in PROBED or one.age >= BEGINS]
        bad = [one for one in lost if not (pod := self.truth.known.get(one.address)) or not pod.mode]
        if bad:
            raise self._wrong(deploy, f"requests were lost: {bad}")

    def _check_kept(self, kept: Mapping[str, str], back: Deploy) -> None:
        """The way back replaced no pod that was still there when it was written: until then the rollout before takes them."""
        written = written_at(back)
        kept = {uid: pod for uid, pod in kept.items() if self.truth.stayed.get(uid, 0.0) > written}
        for app, uids in self._standing().items():
            gone = [pod for uid, pod in kept.items() if uid not in uids and pod.startswith(f"{app}-")]
            if gone and app in SERVING:
                raise self._wrong(back, f"the way back replaced {gone} although they were of its release")

    # Small things

    def _base(self) -> Shop:
        """What the next commit starts from: the last good one."""
        return self.good.shop if self.good else self.shop

    def _next(self) -> int:
        self.versions += 1
        return self.versions

    def _changed(self, shop: Shop) -> Shop:
        """New releases of some workloads."""
        names = sorted(shop.parts)
        for name in self.chance.sample(names, self.chance.randint(1, len(names))):
            shop = shop.with_part(name, version=self._next())
        return shop

    def _with_worker(self, shop: Shop) -> Shop:
        return replace(shop, parts={**shop.parts, "worker": Part(self._next(), 1)})

    def _commit(self, shop: Shop) -> str:
        return self.portal.commit(files(shop, self.made))

    def _standing(self) -> dict[str, set[str]]:
        return {name: self._uids(name) for name in self._base().parts}

    def _uids(self, name: str) -> set[str]:
        return {pod.uid for pod in self.truth.of(name)}

    def _kept(self) -> dict[str, str]:
        """Ready pods of the last good release, name by uid."""
        assert self.good
        parts = self.good.shop.parts
        pods = [pod for name in parts for pod in self.truth.of(name)]
        return {
            p.uid: p.name for p in pods if p.ready and (p.version, p.mode) == (str(parts[p.app].version), "")
        }

    def _is_same(self, was: Release, shop: Shop, token: int, name: str) -> bool:
        """Whether nothing of a workload has changed."""
        if name not in shop.parts or was.shop.parts[name] != shop.parts[name]:
            return False
        same_config = name not in READS_CONFIG or was.shop.config == shop.config
        return same_config and (name not in READS_SECRET or was.token == token)

    def _begin(self) -> None:
        self.began = time.monotonic()

    def _tell(self, kind: str, deploy: Deploy) -> None:
        told = Told(len(self.told) + 1, kind, time.monotonic() - self.began, deploy.state, deploy.result)
        self.told.append(told)
        self.truth.note(f"== {told}")
        say(str(told))

    def _wrong(self, deploy: Deploy, why: str) -> Wrong:
        """The error, with everything that was seen since the deploy began."""
        report = "\n".join(str(one) for one in self.told)
        log, seen = "\n".join(log_of(deploy)), "\n".join(self.truth.since(self.began))
        return Wrong(f"{why}\n\n{report}\n\nThe deploy's log:\n{log}\n\nThe truth:\n{seen}")
