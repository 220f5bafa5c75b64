"""The PodStatus of a pod: a pure function of what its containers do.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and recordings of a
Kubernetes 1.36 kubelet, which the tests compare with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from lab_utils.controlplane.kubelet.records import ContainerRecord
from lab_utils.controlplane.quantities import canonical_quantity
from lab_utils.controlplane.status import Object
from lab_utils.units import parse_quantity

Records = Sequence[ContainerRecord]
_Finding = tuple[bool, str, str]
"""Whether a condition holds; reason and message."""
LOST = "The container could not be located when the pod was terminated"


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


def pod_status(pod: Object, records: Records, facts: PodFacts) -> Object:
    """Compute the whole status of a pod.

    Conditions of others, and the times of those that did not change, are kept from the status that
    the API server has.
    """
    old: Object = pod.get("status", {})
    main = [record for record in records if not record.is_init]
    lasting = [record for record in records if not record.runs_to_end]
    init = [record for record in records if record.is_init]
    phase = _phase(init, main, facts)
    generation = pod["metadata"].get("generation")
    status: Object = {} if generation is None else {"observedGeneration": generation}
    found = _findings(init, lasting, phase, facts)
    status |= {"phase": phase, "conditions": _conditions(old, found, facts.now, generation)}
    if facts.failure:
        status["reason"], status["message"] = facts.failure
    status |= {"hostIP": facts.node_ip, "hostIPs": [{"ip": facts.node_ip}]}
    if facts.pod_ip:
        status |= {"podIP": facts.pod_ip, "podIPs": [{"ip": facts.pod_ip}]}
    status["startTime"] = old.get("startTime", facts.now)
    if init:
        status["initContainerStatuses"] = [_container_status(record, facts) for record in init]
    status["containerStatuses"] = [_container_status(record, facts) for record in main]
    kept = {name: old[name] for name in ("qosClass",) if name in old}
    return status | kept | _pod_resources(pod["spec"]["containers"])


def _phase(init: Records, main: Records, facts: PodFacts) -> str:
    if facts.terminal:
        worked = all(record.succeeded for record in main) and not facts.failure
        return "Succeeded" if worked else "Failed"
    have_run = all(record.running or record.ended for record in main)
    return "Running" if have_run and all(record.has_run for record in init) else "Pending"


def _findings(init: Records, lasting: Records, phase: str, facts: PodFacts) -> dict[str, _Finding]:
    """Judge each of the kubelet's conditions, in the order in which it writes them."""
    ready = _ready(lasting, phase)
    return {
        "PodReadyToStartContainers": (facts.has_network and not facts.terminal, "", ""),
        "Initialized": _initialized(init, phase),
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": (True, "", ""),
    }


def _ready(lasting: Records, phase: str) -> _Finding:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed" and all(r.state.keys() & {"running", "terminated"} for r in lasting):
        return False, "PodFailed", ""
    unready = [record.name for record in lasting if not record.ready]
    if not unready:
        return True, "", ""
    return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"


def _initialized(init: Records, phase: str) -> _Finding:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    incomplete = " ".join(record.name for record in init if not record.initialized)
    if not incomplete:
        return True, "", ""
    message = f"containers with incomplete status: [{incomplete}]"
    return False, "ContainersNotInitialized", message


def _conditions(
    old: Object, found: dict[str, _Finding], now: str, generation: int | None
) -> list[Object]:
    """Write conditions; one that did not change keeps its time, others' stay as they are."""
    before = {condition["type"]: condition for condition in old.get("conditions", [])}
    conditions = [condition for name, condition in before.items() if name not in found]
    for name, (holds, reason, message) in found.items():
        status, last = "True" if holds else "False", before.get(name, {})
        changed = last.get("status") != status
        condition = {
            "type": name,
            "observedGeneration": generation,
            "status": status,
            "lastTransitionTime": now if changed else last["lastTransitionTime"],
            "reason": reason,
            "message": message,
        }
        said = {key: value for key, value in condition.items() if value}
        conditions.append(said | {"lastProbeTime": None})
    return conditions


def _container_status(record: ContainerRecord, facts: PodFacts) -> Object:
    never_ended = facts.terminal and "waiting" in record.state
    status: Object = {
        "name": record.name,
        "state": _lost(record) if never_ended else record.state,
        "lastState": record.last_state,
        "ready": record.succeeded if record.runs_to_end else record.ready,
        "restartCount": record.restart_count,
        "image": record.image or record.spec["image"],
        "imageID": record.image_id,
        "started": record.started,
    }
    if not record.container_id:
        return status
    return status | {"containerID": record.container_id} | _what_it_was_given(record)


def _lost(record: ContainerRecord) -> Object:
    """Say how a container ended that never ran: nobody knows."""
    if "terminated" in record.last_state:
        return record.last_state
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


def _pod_resources(containers: Iterable[Object]) -> Object:
    """Add up what the containers of a pod ask for."""
    given = [container.get("resources", {}) for container in containers]
    sums = {kind: _total(r.get(kind, {}) for r in given) for kind in ("limits", "requests")}
    sums = {kind: total for kind, total in sums.items() if total}
    found: Object = {"allocatedResources": sums["requests"]} if "requests" in sums else {}
    return found | ({"resources": sums} if sums else {})


def _total(lists: Iterable[dict[str, str]]) -> dict[str, str]:
    total: dict[str, str] = {}
    for quantities in lists:
        for name, quantity in quantities.items():
            total[name] = _add(total[name], quantity) if name in total else quantity
    return total


def _add(one: str, other: str) -> str:
    """Add two quantities; the sum is binary (Ki, Mi) if one of them is."""
    total: Decimal = parse_quantity(one) + parse_quantity(other)
    is_binary = one.endswith("i") or other.endswith("i")
    return canonical_quantity(f"{total / 1024}Ki" if is_binary else total)
