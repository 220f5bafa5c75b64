"""The broken, ending and dying pods and Jobs of the recordings, built anew; run side by side."""

from dataclasses import dataclass

from lab_utils.waiting import wait_for
from tests.contract.cluster import Namespace, Object, has_phase
from tests.contract.history import Recorder
from tests.contract.manifests import container, job, pod

IGNORE = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
SLEEP = container("python", "-c", "import time; time.sleep(600)")
ABSENT = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "a"}}}
NOTHING = {"preStop": {"exec": {"command": ["/nonexistent"]}}}
FINALIZER = "example.com/hold"


def ends(code: int, after_s: float = 0, name: str = "c") -> Object:
    """Give a container that ends with a code."""
    program = f"import sys, time; print('ok'); time.sleep({after_s}); sys.exit({code})"
    return container("python", "-c", program, name=name)


def held() -> Object:
    """Give a pod with a finalizer."""
    obj = pod("fin", SLEEP)
    obj["metadata"]["finalizers"] = [FINALIZER]
    return obj


@dataclass(frozen=True)
class Scenario:
    """Objects, and how long Kind was watched for what is compared, in seconds.

    brief: its processes end at once, so being running may be too short to be seen.
    """

    obj: Object
    until_s: float = 60.0
    brief: bool = False


SCENARIOS = {
    "badcmd": Scenario(pod("badcmd", container("/nonexistent")), 12),
    "bigcpu": Scenario(pod("bigcpu", container(resources={"requests": {"cpu": "500"}}))),
    "crash": Scenario(pod("crash", ends(1)), 40, brief=True),
    "deadline": Scenario(pod("deadline", SLEEP, activeDeadlineSeconds=8, restartPolicy="Never")),
    "fin": Scenario(held()),
    "initbad": Scenario(pod("initbad", initContainers=[ends(7, name="i")]), 12, brief=True),
    "initok": Scenario(
        pod("initok", ends(0, 2), initContainers=[ends(0, 2, "i")], restartPolicy="Never")
    ),
    "job-bad": Scenario(job("job-bad", ends(5), backoffLimit=2), brief=True),
    "job-dead": Scenario(job("job-dead", SLEEP, activeDeadlineSeconds=8)),
    "job-ok": Scenario(job("job-ok", ends(0), completions=2), brief=True),
    "job-ttl": Scenario(job("job-ttl", ends(0), ttlSecondsAfterFinished=5), brief=True),
    "noconfig": Scenario(pod("noconfig", container(env=[ABSENT])), 30),
    "nopull": Scenario(pod("nopull", container(image="absent:1", imagePullPolicy="Never")), 30),
    "nosig": Scenario(pod("nosig", container("python", "-c", IGNORE))),
    "once-bad": Scenario(pod("once-bad", ends(3), restartPolicy="Never"), brief=True),
    "once-ok": Scenario(pod("once-ok", ends(0), restartPolicy="Never"), brief=True),
    "onfail": Scenario(pod("onfail", ends(4), restartPolicy="OnFailure"), 40, brief=True),
    "prestop": Scenario(pod("prestop", container("sleep", "600", lifecycle=NOTHING))),
    "pullback": Scenario(pod("pullback", container(image="registry.invalid/absent:1")), 30),
    "unsched": Scenario(pod("unsched", nodeSelector={"kubernetes.io/hostname": "no-such-node"})),
}


def start(namespace: Namespace, node: str) -> Recorder:
    """Create everything on one node, delete what is to be deleted, and record."""
    recorder = Recorder(namespace, "Pod", "Job", "Event")
    for scenario in SCENARIOS.values():
        namespace.create(pinned(scenario.obj, node))
    for name in ("nosig", "prestop", "fin"):
        namespace.until("Pod", name, has_phase("Running"))
        namespace.delete("Pod", name)
    namespace.until("Pod", "fin", has_phase("Failed"))
    namespace.patch("Pod", "fin", {"metadata": {"finalizers": []}})
    return recorder


def pinned(obj: Object, node: str) -> Object:
    """Put an object's pods on a node, unless it says where."""
    spec = obj["spec"]["template"]["spec"] if obj["kind"] == "Job" else obj["spec"]
    selector = {"kubernetes.io/hostname": node} | spec.get("nodeSelector", {})
    pinned_spec = spec | {"nodeSelector": selector}
    if obj["kind"] == "Job":
        return obj | {"spec": obj["spec"] | {"template": {"spec": pinned_spec}}}
    return obj | {"spec": pinned_spec}


def until_over(recorder: Recorder) -> None:
    """Wait until the slowest has been seen: a crash loop's third restart."""
    count = "status.containerStatuses[c].restartCount"

    def over() -> bool | None:
        thrice = {row.name for row in recorder.rows if row.fields.get(count) == 3}
        return True if {"crash", "onfail"} <= thrice else None

    late = AssertionError("no third restart was recorded")
    wait_for(over, timeout_s=60, late=lambda: late)
