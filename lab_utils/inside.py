"""Load from inside the cluster: one schedule, sent by several pods at once.

An Indexed Job of load generators, each with every n-th request, that start at one instant. What
they tell comes back row by row, so percentiles are those of all requests, not of percentiles. This
is how the load outgrows one machine. Never compares the clocks of two machines: each generator is
told the start on its own clock, whose distance from ours was measured.
"""

import contextlib
import copy
import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any

from lab_utils.api import Object
from lab_utils.arguments import require_whole
from lab_utils.clock import Clock
from lab_utils.cluster import Cluster
from lab_utils.conditions import is_ready, raise_if_hopeless
from lab_utils.errors import ClusterError, LoadError, NotFound
from lab_utils.loadgen.agent import PORT
from lab_utils.loadgen.plan import Plan
from lab_utils.manifests import Manifest
from lab_utils.waiting import wait_for

MOST_PODS = 100
_READY_WITHIN_S = 120.0
_LEAD_S = 2.0  # a generator's process starts in a fraction of it
_CHUNK = 50_000  # times of a schedule in one request: about one MiB
_LOOKS = 5
_SILENT_S = 10.0
_ANSWER_S = 15.0
_GOODBYE_S = 0.5
_MARGIN_S = 600
Row = dict[str, Any]


@dataclass(frozen=True)
class Pods:
    """Where load is to come from.

    Args:
        cluster: Whose namespace the pods are to be in.
        job: The manifest of the Job, as this cluster needs it.
        count: How many pods.
    """

    cluster: Cluster
    job: Manifest
    count: int

    def __post_init__(self) -> None:
        """Refuse a number of pods that cannot be."""
        require_whole("inside", self.count, 1, MOST_PODS)


class InsideGenerator:
    """As `loadgen.process.Generator`, but a Job's pods; leaving its context removes the Job."""

    def __init__(self, plan: Plan, pods: Pods) -> None:
        self._plan, self._pods = plan, pods
        self._token = secrets.token_hex(16)
        self._members: list[_Member] = []
        self._threads = ThreadPoolExecutor(min(32, pods.count), "inside")
        self.rows: list[Row] = []

    def __enter__(self) -> "InsideGenerator":
        """Create the Job and wait until each of its pods is there."""
        try:
            self._remove()  # what an interrupted run has left
            self._pods.cluster.apply([replace(self._pods.job, object=self._job())])
            late = LoadError(
                f"The load generators in namespace {self._pods.cluster.namespace} are not ready "
                f"after {_READY_WITHIN_S:g} s. Look with lab.get('pods'), lab.get('events')."
            )
            found = wait_for(self._look, timeout_s=_READY_WITHIN_S, late=lambda: late)
        except BaseException:
            self._remove()
            raise
        self._members = [_Member(self._pods.cluster, name, self._token) for name in found]
        return self

    def _job(self) -> Object:
        job, count = copy.deepcopy(self._pods.job.object), self._pods.count
        lasts_s = max(self._plan.scheduled_s, default=0.0)
        job["spec"] |= {
            "completions": count,
            "parallelism": count,
            "activeDeadlineSeconds": int(lasts_s) + _MARGIN_S,
        }
        (container,) = job["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]:
            if variable["name"] == "LAB_TOKEN":
                variable["value"] = self._token
        return job

    def _look(self) -> list[str] | None:
        """Give the names of the pods by their index, once all are Ready."""
        index = "batch.kubernetes.io/job-completion-index"
        pods = self._pods.cluster.pods(f"job-name={self._pods.job.name}")
        raise_if_hopeless(pods)
        ready = {
            int(pod["metadata"]["annotations"][index]): str(pod["metadata"]["name"])
            for pod in pods
            if is_ready(pod)
        }
        return [ready[i] for i in sorted(ready)] if len(ready) == self._pods.count else None

    def start(self) -> Clock:
        """Hand out the shares and set the instant at which all begin.

        Raises:
            LoadError: A generator did not start.
        """
        members, count = self._members, self._pods.count
        try:
            self._each(lambda i: members[i].prepare(self._plan.share(i, count)))
            clock = Clock.starting_in(_LEAD_S)
            self._each(lambda i: members[i].start(clock))
        except ClusterError as exc:
            raise LoadError(f"A load generator in the cluster did not start: {exc}") from exc
        return clock

    def wait(self, timeout_s: float) -> bool:
        """Take what there is to be told, then wait; True once the run is over."""
        self._each(lambda i: self._members[i].look())
        if all(member.is_over for member in self._members):
            self._collect()
            return True
        self._collect()
        time.sleep(timeout_s)
        return False

    def _collect(self) -> None:
        for member in self._members:
            self.rows += member.take()

    def stop(self) -> None:
        """End the run: what is in flight is cancelled, what was told is kept."""
        self._each(lambda i: self._members[i].stop())
        self._collect()

    @property
    def sent(self) -> int:
        """How many requests have left."""
        return self._sum("sent")

    @property
    def ok(self) -> int:
        """How many have succeeded."""
        return self._sum("ok")

    @property
    def failed(self) -> int:
        """How many have failed."""
        return self._sum("failed")

    def _sum(self, name: str) -> int:
        return sum(int(member.said.get(name, 0)) for member in self._members)

    @property
    def broke(self) -> bool:
        """Whether a generator ended without a last word."""
        return any(member.is_over and not member.end for member in self._members)

    @property
    def end(self) -> dict[str, Any]:
        """What they said last, together; the busiest speaks for the client's CPU."""
        ends = [member.end for member in self._members]
        if not all(ends):
            return {"interrupted": True}
        busiest = max(ends, key=lambda end: float(end["cpu_s"]) / float(end["wall_s"]))
        interrupted = any(end["interrupted"] for end in ends)
        return busiest | {"interrupted": interrupted, "generators": len(ends)}

    def last_error(self) -> str:
        """Say in one line why a generator broke."""
        return next((m.trouble for m in self._members if m.trouble), "it is not known why")

    def _each(self, act: Callable[[int], object]) -> None:
        list(self._threads.map(act, range(len(self._members))))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the Job, whatever happened."""
        self._remove()
        self._threads.shutdown(wait=False)

    def _remove(self) -> None:
        job = self._pods.job
        self._pods.cluster.delete(job.kind, job.name, grace_s=0)
        gone = LoadError(f"Job {job.name} is still there. Delete it: lab.delete('job', 'load')")

        def look() -> bool | None:
            return None if self._pods.cluster.pods(f"job-name={job.name}") else True

        wait_for(look, timeout_s=_READY_WITHIN_S, late=lambda: gone)


class _Member:
    """One generator, through the API server's proxy."""

    def __init__(self, cluster: Cluster, pod: str, token: str) -> None:
        self._cluster, self._pod, self._token = cluster, pod, token
        self._seen, self._fresh = 0, list[Row]()
        self._late_s = 0.0
        self._heard_s = time.monotonic()
        self.said: dict[str, Any] = {}
        self.is_over, self.trouble = False, ""

    @property
    def end(self) -> dict[str, Any]:
        """Its last words."""
        return dict(self.said.get("end") or {})

    def prepare(self, plan: Plan) -> None:
        """Hand over a share, in pieces that any API server takes."""
        times = plan.scheduled_s
        self._ask("POST", "plan", asdict(replace(plan, scheduled_s=(), journal=None)))
        for first in range(0, len(times), _CHUNK):
            self._ask("POST", "schedule", list(times[first : first + _CHUNK]))

    def start(self, clock: Clock) -> None:
        """Tell the start, on its own clock."""
        wanted_s = clock.start_unix_s + self._ahead_s()
        told = self._ask("POST", "start", {"start_unix_s": wanted_s})
        self._late_s = float(told["start_unix_s"]) - wanted_s

    def _ahead_s(self) -> float:
        """Measure how far its wall clock is ahead of ours: by the quickest of a few looks."""
        looks = []
        for _ in range(_LOOKS):
            asked_s = time.time()
            told_s = float(self._ask("GET", "clock")["unix_s"])
            answered_s = time.time()
            looks.append((answered_s - asked_s, told_s - (asked_s + answered_s) / 2))
        return min(looks)[1]

    def look(self) -> None:
        """Take what it has to tell; a pod that is gone, or silent for long, has ended."""
        if self.is_over:
            return
        try:
            self.said = self._ask("GET", f"rows/{self._seen}")
        except ClusterError as exc:
            if isinstance(exc, NotFound) or time.monotonic() - self._heard_s > _SILENT_S:
                self.is_over, self.trouble = True, str(exc)
            return
        self._heard_s = time.monotonic()
        self._seen += len(self.said["rows"])
        self._fresh += map(self._on_our_clock, self.said.pop("rows"))
        self.is_over, self.trouble = self.said["finished"], self.said["trouble"]

    def _on_our_clock(self, row: Row) -> Row:
        if self._late_s:
            for attempt in row["attempts"]:
                for name in ("sent_s", "done_s"):
                    attempt[name] += self._late_s
        return row

    def take(self) -> list[Row]:
        """Give the rows that were told since."""
        taken, self._fresh = self._fresh, []
        return taken

    def stop(self) -> None:
        """Cancel what is in flight, and hear the rest."""
        with contextlib.suppress(ClusterError):
            self._ask("POST", "stop", {}, timeout_s=_GOODBYE_S)
            self.look()

    def _ask(self, method: str, path: str, body: Any = None, timeout_s: float = _ANSWER_S) -> Any:
        text = self._cluster.proxy_pod(
            self._pod,
            PORT,
            f"/{self._token}/{path}",
            method=method,
            body=body,
            timeout_s=timeout_s,
        )
        return json.loads(text)
