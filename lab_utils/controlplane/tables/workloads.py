"""Columns of what runs: pods, and all that makes, scales and guards them."""

from itertools import zip_longest

from lab_utils.controlplane.podphase import pod_ready, pod_restarts, pod_status
from lab_utils.controlplane.quantities import canonical_quantity
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.tables.cells import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Cell,
    Column,
    Columns,
    age,
    always,
    field,
    selector,
    text,
)
from lab_utils.controlplane.timestamps import parse_rfc3339
from lab_utils.units import parse_quantity

_SHOWN_METRICS = 2
_JOB_STATUSES = (
    ("Complete", "Complete"), ("Failed", "Failed"), ("", "Terminating"), ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)  # fmt: skip


def _of_template(part: str) -> Cell:
    """Give a cell that lists one field of the containers of a template."""

    def cell(obj: Object, _now: float) -> str:
        containers = obj["spec"].get("template", {}).get("spec", {}).get("containers", ())
        return ",".join(container[part] for container in containers)

    return cell


def _deployment_ready(deployment: Object, _now: float) -> str:
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return f"{ready}/{deployment['spec']['replicas']}"


def _job_status(job: Object, _now: float) -> str:
    conditions = job.get("status", {}).get("conditions") or ()
    seen = {one["type"] for one in conditions if one["status"] == "True"}
    seen |= {""} if "deletionTimestamp" in job["metadata"] else set()
    return next((text for condition, text in _JOB_STATUSES if condition in seen), "Running")


def _job_completions(job: Object, _now: float) -> str:
    done, spec = job.get("status", {}).get("succeeded", 0), job["spec"]
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(job: Object, now: float) -> str:
    status = job.get("status", {})
    if not status.get("startTime"):
        return ""
    end = status.get("completionTime")
    return age(status["startTime"], parse_rfc3339(end).timestamp() if end else now)


def _pod_usage(resource: str) -> Cell:
    """Give a cell that adds up what the containers of a pod use."""

    def cell(pod: Object, _now: float) -> str:
        used = sum(parse_quantity(one["usage"][resource]) for one in pod["containers"])
        return canonical_quantity(f"{used // 1024}Ki" if resource == "memory" else str(used))

    return cell


def _scale_target(autoscaler: Object, _now: float) -> str:
    target = autoscaler["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _scaling_targets(autoscaler: Object, _now: float) -> str:
    """List what an autoscaler sees against what it wants: `cpu: 10%/60%`."""
    metrics = autoscaler["spec"].get("metrics") or ()
    seen = autoscaler.get("status", {}).get("currentMetrics") or ()
    shown = [_scaling_target(*pair) for pair in zip_longest(metrics, seen[: len(metrics)])]
    more = len(shown) - _SHOWN_METRICS
    text = ", ".join(shown[:_SHOWN_METRICS])
    return f"{text} + {more} more..." if more > 0 else text or NONE


def _scaling_target(wanted: Object, seen: Object | None) -> str:
    source = wanted["type"][0].lower() + wanted["type"][1:]
    rule, current = wanted[source], (seen or {}).get(source, {}).get("current", {})
    name = f"{rule['name']}: " if "name" in rule else ""
    for key, unit in (("averageUtilization", "%"), ("averageValue", ""), ("value", "")):
        if key in rule["target"]:
            left = f"{current[key]}{unit}" if key in current else UNKNOWN
            return f"{name}{left}/{rule['target'][key]}{unit}"
    return f"{name}{UNKNOWN}/<auto>"


_WORKLOAD = (
    Column("Containers", _of_template("name"), 1),
    Column("Images", _of_template("image"), 1),
    Column("Selector", selector, 1),
)


WORKLOADS: dict[str, Columns] = {
    "Pod": (
        NAME, Column("Ready", pod_ready), Column("Status", pod_status),
        Column("Restarts", pod_restarts), AGE,
        Column("IP", field("status.podIP"), 1), Column("Node", field("spec.nodeName"), 1),
        Column("Nominated Node", always(NONE), 1), Column("Readiness Gates", always(NONE), 1),
    ),
    "Deployment": (
        NAME, Column("Ready", _deployment_ready),
        Column("Up-to-date", field("status.updatedReplicas", 0)),
        Column("Available", field("status.availableReplicas", 0)), AGE, *_WORKLOAD,
    ),
    "ReplicaSet": (
        NAME, Column("Desired", field("spec.replicas", 0), type="integer"),
        Column("Current", field("status.replicas", 0), type="integer"),
        Column("Ready", field("status.readyReplicas", 0), type="integer"), AGE, *_WORKLOAD,
    ),
    "Job": (
        NAME, Column("Status", _job_status), Column("Completions", _job_completions),
        Column("Duration", _job_duration), AGE, *_WORKLOAD,
    ),
    "HorizontalPodAutoscaler": (
        NAME, Column("Reference", _scale_target), Column("Targets", _scaling_targets),
        Column("MinPods", text("spec.minReplicas", UNSET)),
        Column("MaxPods", field("spec.maxReplicas", 0)),
        Column("Replicas", field("status.currentReplicas", 0)), AGE,
    ),
    "PodDisruptionBudget": (
        NAME, Column("Min Available", text("spec.minAvailable", "N/A")),
        Column("Max Unavailable", text("spec.maxUnavailable", "N/A")),
        Column("Allowed Disruptions", field("status.disruptionsAllowed", 0), type="integer"), AGE,
    ),
    "PodMetrics": (
        NAME, Column("cpu", _pod_usage("cpu")), Column("memory", _pod_usage("memory")),
        Column("Window", field("window")),
    ),
}  # fmt: skip
"""Kind -> its columns."""
