"""The witness of a run survives what does not answer, and says what it has not seen."""

import itertools
import queue
import time

import pytest

from lab_utils.clock import Clock
from lab_utils.errors import ClusterError, ClusterNotRunning
from lab_utils.sampler import Sampler
from lab_utils.watches import Watch

METRICS = """# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {cpu}
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 4.2e+07
"""


def wait_until(holds, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def named(name, version="1", **rest):
    return {"metadata": {"name": name, "uid": name, "resourceVersion": version} | rest}


class Feed:
    """A kind of objects whose watch tells what the test puts into it."""

    def __init__(self, *objects):
        self.objects, self.asked, self.fed = list(objects), [], queue.SimpleQueue()

    def list_at(self, kind):
        self.asked.append("list")
        return self.objects, "7"

    def watch(self, kind, version, timeout_s):
        self.asked.append(version)
        while True:
            try:
                fed = self.fed.get(timeout=0.02)
            except queue.Empty:
                return
            if isinstance(fed, Exception):
                raise fed
            yield {"type": fed[0], "object": fed[1]}


@pytest.fixture
def feed():
    return Feed(named("a"), named("b"))


@pytest.fixture
def seen(feed):
    told = []
    watch = Watch(feed, "pods", told.append)
    watch.start()
    assert watch.listed.wait(5)
    yield watch, told
    watch.stop()
    watch.join(5)
    assert not watch.is_alive()


def test_a_watch_tells_what_is_there_and_then_each_change(feed, seen):
    _, told = seen
    feed.fed.put(("MODIFIED", named("a", "8")))
    feed.fed.put(("DELETED", named("b", "9")))
    wait_until(lambda: len(told) == 4)
    assert [change.listed for change in told] == [True, True, False, False]
    assert told[3].deleted


def test_a_watch_goes_on_from_the_last_version_and_bookmarks_count(feed, seen):
    feed.fed.put(("BOOKMARK", named("", "42")))
    wait_until(lambda: "42" in feed.asked)
    assert feed.asked.count("list") == 1


def test_a_server_that_was_away_is_a_gap_and_no_change_is_lost(feed, seen):
    watch, told = seen
    feed.fed.put(ClusterNotRunning("the cluster does not answer"))
    wait_until(lambda: watch.gaps)
    wait_until(lambda: watch.gaps[0].end_ns is not None)
    (gap,) = watch.gaps
    assert (gap.source, gap.reason) == ("watch pods", "the cluster does not answer")
    assert gap.start_ns < gap.end_ns
    feed.fed.put(("MODIFIED", named("a", "9")))
    wait_until(lambda: len(told) == 3)
    assert feed.asked.count("list") == 1


def test_a_version_that_is_too_old_means_a_new_list_whose_differences_are_told(feed, seen):
    _, told = seen
    feed.objects = [named("a", "50"), named("c", "51")]
    feed.fed.put(ClusterError("too old resource version", 410))
    wait_until(lambda: len(told) == 5)
    after = [(change.object["metadata"]["name"], change.deleted) for change in told[2:]]
    assert sorted(after) == [("a", False), ("b", True), ("c", False)]
    assert not any(change.listed for change in told[2:])


class Fleet:
    """A namespace of two pods: one answers, one does not."""

    namespace = "lab"

    def __init__(self):
        self.cpu_s, self.reads = itertools.count(1), 0
        event = named("e", involvedObject={}) | {"reason": "Killing", "type": "Normal"}
        event["metadata"]["creationTimestamp"] = "2027-01-15T08:00:04Z"
        self.news = [event]

    def list_at(self, kind):
        pods = [self._pod("well", "primary"), self._pod("stuck", "backup")]
        return (pods if kind == "pods" else []), "1"

    def watch(self, kind, version, timeout_s):
        if kind == "events" and self.news:
            yield {"type": "ADDED", "object": self.news.pop()}
        if kind == "nodes":
            raise ClusterError("forbidden", 403)
        time.sleep(0.02)

    def _pod(self, name, role):
        limits = {"cpu": "100m", "memory": "64Mi"}
        return named(name, labels={"role": role}) | {
            "spec": {"nodeName": "n", "containers": [{"resources": {"limits": limits}}]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"restartCount": 2}],
            },
        }

    def proxy_pod(self, pod, port, path):
        assert (port, path) == (8000, "/metrics")
        if pod == "stuck":
            raise ClusterError("504 from the pod")
        self.reads += 1
        return METRICS.format(cpu=next(self.cpu_s))

    def proxy_node(self, node, path):
        raise ClusterError("no kubelet")


def test_the_sampler_survives_what_does_not_answer():
    fleet, clock = Fleet(), Clock.starting_in(0.0)
    with Sampler(fleet, period_s=0.02) as sampler:
        wait_until(lambda: fleet.reads >= 4)
    tables = sampler.tables(clock)
    by_pod = tables["usage"].groupby("pod")["memory_bytes"]
    assert by_pod.count()["well"] >= 3
    assert by_pod.count()["stuck"] == 0
    assert by_pod.size()["stuck"] >= 3
    assert set(tables["usage"]["restarts"]) == {2}
    assert tables["usage"]["ready"].all()
    assert sampler.limits["primary"] == {"cpu_cores": 0.1, "memory_bytes": 2**26}
    assert tables["events"]["reason"].tolist() == ["Killing"]
    assert tables["states"]["name"].tolist() == ["well", "stuck"]
    assert tables["kubelet"].empty
    gaps = tables["gaps"].groupby("source")["reason"].first()
    assert gaps.to_dict() == {"usage stuck": "504 from the pod", "watch nodes": "forbidden"}
