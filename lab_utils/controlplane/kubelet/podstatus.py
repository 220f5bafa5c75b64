"""The PodStatus of a pod: a pure function of what its containers do.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and recordings of a
Kubernetes 1.36 kubelet, which the tests compare with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lab_utils.controlplane.kubelet.resources import pod_resources, qos_class
from lab_utils.controlplane.status import Object

_OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
LOST = "The container could not be located when the pod was terminated"


@dataclass
class ContainerRecord:
    """What the kubelet knows about one container of a pod, in the words of the API."""

    spec: Object
    is_init: bool = False
    state: Object = field(default_factory=dict)
    last_state: Object = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    uid: int | None = None

    @property
    def name(self) -> str:
        """Give the container's name."""
        return str(self.spec["name"])

    @property
    def running(self) -> bool:
        """Tell whether its process runs."""
        return "running" in self.state

    @property
    def ended(self) -> Object | None:
        """Give how it ended last, while it does not run."""
        ended: Object | None = self.state.get("terminated")
        if ended is None and not self.running:
            ended = self.last_state.get("terminated")
        return ended

    @property
    def succeeded(self) -> bool:
        """Tell whether it ended, with exit code 0."""
        return "terminated" in self.state and self.state["terminated"]["exitCode"] == 0

    @property
    def field_path(self) -> str:
        """Name it as an Event's involvedObject does."""
        return f"spec.{'initContainers' if self.is_init else 'containers'}{{{self.name}}}"


@dataclass(frozen=True)
class PodFacts:
    """What the status says beyond the containers."""

    now: str
    node_ip: str
    pod_ip: str = ""
    has_network: bool = False
    terminal: bool = False
    """All containers have ended for good."""
    failure: tuple[str, str] | None = None
    """Why the kubelet ended the pod: reason and message."""


def pod_status(pod: Object, records: Sequence[ContainerRecord], facts: PodFacts) -> Object:
    """Compute the whole status of a pod.

    Args:
        pod: The pod as the API server has it; conditions of others and transition times are kept.
        records: Its init containers, then its containers, in the order of the spec.
        facts: Addresses, time, and whether the pod has come to its end.

    Returns:
        A new PodStatus.
    """
    old: Object = pod.get("status", {})
    main = [record for record in records if not record.is_init]
    init = [record for record in records if record.is_init]
    phase = _phase(pod["spec"].get("restartPolicy", "Always"), init, main, facts)
    generation = pod["metadata"].get("generation")
    status: Object = {} if generation is None else {"observedGeneration": generation}
    status |= {"phase": phase, "conditions": _conditions(old, init, main, phase, facts, generation)}
    if facts.failure:
        status["reason"], status["message"] = facts.failure
    status |= {"hostIP": facts.node_ip, "hostIPs": [{"ip": facts.node_ip}]}
    if facts.pod_ip:
        status |= {"podIP": facts.pod_ip, "podIPs": [{"ip": facts.pod_ip}]}
    status["startTime"] = old.get("startTime", facts.now)
    if init:
        status["initContainerStatuses"] = [_container_status(r, facts) for r in init]
    status["containerStatuses"] = [_container_status(record, facts) for record in main]
    status["qosClass"] = old.get("qosClass") or qos_class(pod["spec"])
    return status | pod_resources(pod["spec"])


def _phase(
    policy: str,
    init: Sequence[ContainerRecord],
    main: Sequence[ContainerRecord],
    facts: PodFacts,
) -> str:
    if facts.terminal:
        worked = all(record.succeeded for record in main) and not facts.failure
        return "Succeeded" if worked else "Failed"
    never_ran = any(record.ended is None and not record.running for record in main)
    if not _is_initialized(init) or never_ran:
        return "Pending"
    return "Running"


def _is_initialized(init: Sequence[ContainerRecord]) -> bool:
    return all(record.succeeded for record in init)


def _conditions(
    old: Object,
    init: Sequence[ContainerRecord],
    main: Sequence[ContainerRecord],
    phase: str,
    facts: PodFacts,
    generation: int | None,
) -> list[Object]:
    before = {condition["type"]: condition for condition in old.get("conditions", [])}
    ready = _ready(main, phase)
    wanted = {
        "PodReadyToStartContainers": (facts.has_network and not facts.terminal, "", ""),
        "Initialized": _initialized(init, phase),
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": (True, "", ""),
    }
    ours = [
        _condition(name, *wanted[name], before.get(name, {}), facts.now, generation)
        for name in _OURS
    ]
    return [condition for name, condition in before.items() if name not in _OURS] + ours


def _ready(main: Sequence[ContainerRecord], phase: str) -> tuple[bool, str, str]:
    never_ran = any(not record.state.keys() & {"running", "terminated"} for record in main)
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed" and not never_ran:
        return False, "PodFailed", ""
    unready = [record.name for record in main if not record.ready]
    if not unready:
        return True, "", ""
    return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"


def _initialized(init: Sequence[ContainerRecord], phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    incomplete = [record.name for record in init if not record.succeeded]
    if not incomplete:
        return True, "", ""
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return False, "ContainersNotInitialized", message


def _condition(
    name: str,
    holds: bool,
    reason: str,
    message: str,
    before: Object,
    now: str,
    generation: int | None,
) -> Object:
    status = "True" if holds else "False"
    changed = before.get("status") != status
    condition: dict[str, Any] = {"type": name}
    if generation is not None:
        condition["observedGeneration"] = generation
    since = now if changed else before["lastTransitionTime"]
    condition |= {"status": status, "lastProbeTime": None, "lastTransitionTime": since}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _container_status(record: ContainerRecord, facts: PodFacts) -> Object:
    state = record.state
    if facts.terminal and "waiting" in state:
        state = _lost(record)
    status: Object = {
        "name": record.name,
        "state": state,
        "lastState": record.last_state,
        "ready": record.succeeded if record.is_init else record.ready,
        "restartCount": record.restart_count,
        "image": record.image or record.spec["image"],
        "imageID": record.image_id,
    }
    if record.container_id:
        status["containerID"] = record.container_id
    status["started"] = record.started
    return status | (_what_it_was_given(record) if record.container_id else {})


def _lost(record: ContainerRecord) -> Object:
    """Say how a container ended that never ran: nobody knows."""
    last: Object | None = record.last_state.get("terminated")
    if last is not None:
        return {"terminated": last}
    lost = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": LOST}
    return {"terminated": lost | {"startedAt": None, "finishedAt": None}}


def _what_it_was_given(record: ContainerRecord) -> Object:
    resources = record.spec.get("resources", {})
    given: Object = {}
    if "requests" in resources:
        given["allocatedResources"] = resources["requests"]
    given["resources"] = {k: resources[k] for k in ("limits", "requests") if k in resources}
    if record.uid is not None:
        given["user"] = {"linux": {"uid": record.uid, "gid": 0, "supplementalGroups": [0]}}
    return given
