"""The soak itself: chapters of rounds, and after each a look at everything that must hold."""

import random
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

from lab_utils.controlplane import launch
from lab_utils.controlplane.config import ClusterConfig, Layout
from lab_utils.session import Lab
from lab_utils.settings import cluster_root, project_root
from tests.contract.cluster import Cluster, Namespace
from tests.contract.conftest import new_namespace
from tests.soak import laws
from tests.soak.figures import Figures
from tests.soak.load import Load
from tests.soak.machine import LimitWatch, containers, footprints, hostnames
from tests.soak.operations import Chapter
from tests.soak.state import State
from tests.soak.witness import KINDS, Witness

LOGS = "build/soak-logs"
"""Where the logs of a chapter are kept in which a law was broken."""
_ROUNDS = 3
_SETTLED_S = 120.0
_STAYS_S = 1.0
_TOLD_S = 20.0  # for what the server has done and the witnesses have not read yet
_PERIOD_S = 0.2


class Soak:
    """Random operations on a running cluster, and the laws that they are held to.

    Args:
        lab: With the worker's image loaded.
        seed: The same seed chooses the same operations; when they happen is the machine's doing.
        say: Told in one line what each chapter has shown.
    """

    def __init__(self, lab: Lab, seed: int, say: Callable[[str], None]) -> None:
        self._lab, self._say = lab, say
        self._layout = Layout(cluster_root(lab.settings, "embedded"))
        self._run_id = ClusterConfig.load(self._layout.config).run_id
        self._cluster = Cluster(lab.kubeconfig())
        self._nodes = self._cluster.nodes()
        self._steady: dict[str, Witness] = {}
        self.figures = Figures(seed)

    def run(self, seconds: float) -> Figures:
        """Play chapters until the time is over; the one that has begun is played to its end."""
        began_s = time.monotonic()
        with ExitStack() as stack:
            self._limits = stack.enter_context(LimitWatch(self._run_id))
            for kind in KINDS:
                witness = Witness(self._cluster, kind, None)
                self._steady[kind] = stack.enter_context(witness)
            while time.monotonic() - began_s < seconds:
                self._play(self.figures.chapters)
                self.figures.chapters += 1
                self.figures.seconds = time.monotonic() - began_s
                self._measure()
        self.figures.streams += sum(one.streams for one in self._steady.values())
        self.figures.violations += self.figures.grown(self._nodes[0])
        return self.figures

    def _play(self, number: int) -> None:
        seed = f"{self.figures.seed}/{number}"
        rng = random.Random(seed)
        found: list[str] = []
        with ExitStack() as stack:
            namespace = stack.enter_context(new_namespace(self._cluster))
            restless = [
                stack.enter_context(
                    Witness(self._cluster, kind, namespace.name, random.Random(f"{seed}/{kind}"))
                )
                for kind in KINDS
            ]
            url, took_s = self._play_rounds(namespace, rng, found)
            self._delete(namespace, found)
            found += self._differences(namespace.name, restless)
        found += self._leftovers(namespace, url)
        found += self._limits.faults
        self._limits.faults = []
        self.figures.violations += [f"chapter {number}: {line}" for line in found]
        self._say(f"chapter {number}: settled in {took_s:.1f} s, {len(found)} violations")
        for line in found:
            self._say(f"  {line}")
        if found:
            self._lab.export_logs(project_root() / LOGS / str(number))

    def _play_rounds(
        self, namespace: Namespace, rng: random.Random, found: list[str]
    ) -> tuple[str, float]:
        """Do all that is done to a namespace; give where it answered, and the longest wait."""
        chapter = self._chapter(namespace, rng)
        chapter.begin()
        slowest_s = self._settle(namespace, found)
        url = self._lab.backend.service_url(namespace.read("Service", "web"))
        load = Load(namespace, url)
        for _ in range(_ROUNDS):
            load.start_rough(rng.randrange(1_000))
            for _ in range(rng.randrange(3, 8)):
                self.figures.operations[chapter.operate()] += 1
                time.sleep(rng.random())  # so that operations meet every stage of the last one
            chapter.repair()
            load.end_rough()
            slowest_s = max(slowest_s, self._settle(namespace, found))
            found += self._memory_of_witnesses(namespace, chapter)
            if namespace.read("Deployment", "web")["spec"]["replicas"]:
                load.fire_calm(rng.randrange(1_000))
        found += chapter.faults + load.faults
        if found or self._limits.faults:
            found.append(f"after {', '.join(chapter.done)}")
        self.figures.requests_ok += load.ok
        self.figures.requests_failed += load.failed
        return url, slowest_s

    def _chapter(self, namespace: Namespace, rng: random.Random) -> Chapter:
        endpoint = launch.find(self._layout.root)
        assert endpoint is not None, "the control plane is gone"
        backend = self._lab.backend
        return Chapter(namespace, backend, self._run_id, endpoint.pid, rng, self._nodes)

    def _settle(self, namespace: Namespace, found: list[str]) -> float:
        """Wait until all is as it was told to be, and stays so; give how long that took, in s."""
        began_s = since_s = time.monotonic()
        while time.monotonic() - since_s < _STAYS_S:
            state = State.of(namespace)
            if lines := [*state.unsettled(), *state.without_process(hostnames(self._run_id))]:
                since_s = time.monotonic()
            if since_s - began_s > _SETTLED_S:
                found += [f"after {_SETTLED_S:g} s: {line}" for line in lines]
                self._say(namespace.story(""))
                break
            time.sleep(_PERIOD_S)
        self.figures.settled_s.append(since_s - began_s)
        return since_s - began_s

    def _memory_of_witnesses(self, namespace: Namespace, chapter: Chapter) -> list[str]:
        """Compare what the witnesses know with what there is, and with what was written."""

        def amiss() -> list[str]:
            found = []
            for kind, witness in self._steady.items():
                seen = [event for event in list(witness.seen) if event.namespace == namespace.name]
                listed = namespace.objects(kind)
                there = {o["metadata"]["uid"]: o["metadata"]["resourceVersion"] for o in listed}
                if laws.fold((), seen) != there:
                    found.append(f"the witness of {kind} knows other objects than there are")
            told = {
                (event.uid, str(event.revision))
                for witness in self._steady.values()
                for event in list(witness.seen)
            }
            if lost := {uid for uid, version in chapter.written if (uid, version) not in told}:
                found.append(f"{len(lost)} writes were never told")
            return found

        return _wait_for_nothing(amiss)

    def _differences(self, namespace: str, restless: list[Witness]) -> list[str]:
        """Compare all that the two witnesses of each kind have told of a namespace."""

        def amiss() -> list[str]:
            lines = (self._difference(namespace, witness) for witness in restless)
            return [line for line in lines if line]

        found = _wait_for_nothing(amiss)
        told = {kind: _of(one, namespace) for kind, one in self._steady.items()}
        for witness in restless:
            self.figures.events[witness.kind] += len(told[witness.kind])
            self.figures.streams += witness.streams
            self.figures.forgotten += witness.forgotten
            found += laws.order_faults((), told[witness.kind])
            found += [] if witness.forgotten else laws.order_faults(witness.before, witness.seen)
        endpoints = laws.follow_endpoints(told["Pod"], told["EndpointSlice"], time.monotonic())
        self.figures.endpoint_lags_s += endpoints.lags_s
        for steady in self._steady.values():
            steady.seen = []
        return found + endpoints.faults

    def _difference(self, namespace: str, restless: Witness) -> str | None:
        steady = self._steady[restless.kind]
        if restless.forgotten:
            return (
                f"the steady witness of {steady.kind} was forgotten" if steady.forgotten else None
            )
        told = [event for event in _of(steady, namespace) if event.revision > restless.began_at]
        line = laws.disagreement(told, list(restless.seen))
        return line and f"witnesses of {restless.kind} disagree: {line}"

    def _delete(self, namespace: Namespace, found: list[str]) -> None:
        path = f"/api/v1/namespaces/{namespace.name}"
        self._cluster.request("DELETE", path)
        found += _wait_for_nothing(
            lambda: (
                ["the namespace is still there"]
                if self._cluster.request("GET", path).code != 404
                else []
            ),
            _SETTLED_S,
        )

    def _leftovers(self, namespace: Namespace, url: str) -> list[str]:
        """Look for what a deleted namespace may have left: objects, processes, folders, ports."""
        api, inside = self._lab.cluster.api, f"/namespaces/{namespace.name}/"

        def amiss() -> list[str]:
            folders = [f for name in self._nodes for f in _entries(self._layout, name)]
            return [
                *(f"{path} is left" for path in api.find("") if inside in path),
                *(f"process {pid} of a pod is left" for pid in containers(self._run_id)),
                *(f"folder {folder} is left" for folder in folders),
                *([f"{url} still listens"] if _listens(url) else []),
            ]

        return _wait_for_nothing(amiss)

    def _measure(self) -> None:
        self.figures.most_of_limits = dict(self._limits.most)
        found = footprints(self._run_id)
        self.figures.footprints.append((self.figures.seconds, found))
        parts = (f"{name} {one.rss_mib:.1f} MiB {one.handles} fd" for name, one in found.items())
        self._say(f"  {self.figures.seconds / 60:.1f} min: {', '.join(parts)}")


def _of(witness: Witness, namespace: str) -> list[laws.Seen]:
    return [event for event in list(witness.seen) if event.namespace == namespace]


def _entries(layout: Layout, node: str) -> list[str]:
    return [path.name for path in (layout.node(node) / "pods").iterdir()]


def _listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _wait_for_nothing(amiss: Callable[[], list[str]], within_s: float = _TOLD_S) -> list[str]:
    """Look until nothing is amiss; give what still is when the time is over."""
    deadline_s = time.monotonic() + within_s
    while (found := amiss()) and time.monotonic() < deadline_s:
        time.sleep(_PERIOD_S)
    return found
