"""The indexes of an Indexed Job: which are done, which come next, which pods are one too many.

Hides how indexes are written down (`0,2-4`) and how a pod learns its own.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
"""

import copy
from collections.abc import Iterable

from lab_utils.controlplane.controllers.objects import annotations_of, labels_of, name_of
from lab_utils.controlplane.status import Object

_INDEX = "batch.kubernetes.io/job-completion-index"
_VARIABLE = "JOB_COMPLETION_INDEX"


def is_indexed(job: Object) -> bool:
    """Tell whether each pod of a Job has a number of its own."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Object) -> int | None:
    """Give a pod's index; None if it has none."""
    text = annotations_of(pod).get(_INDEX, "")
    return int(text) if text.isdecimal() else None


def indexes_of(job: Object, pods: Iterable[Object]) -> set[int]:
    """Give the indexes that pods have, among those the Job asks for."""
    found = (index_of(pod) for pod in pods)
    return {index for index in found if index is not None and index < job["spec"]["completions"]}


def read_indexes(text: str) -> set[int]:
    """Read `0,2-4` as {0, 2, 3, 4}."""
    ranges = [part.split("-") for part in text.split(",") if part]
    return {index for ends in ranges for index in range(int(ends[0]), int(ends[-1]) + 1)}


def write_indexes(indexes: Iterable[int]) -> str:
    """Write {0, 2, 3, 4} as `0,2-4`."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    return ",".join(parts)


def pending_indexes(job: Object, taken: set[int], count: int) -> list[int]:
    """Give the lowest indexes that are neither done nor at work, count of them at most."""
    return [index for index in range(job["spec"]["completions"]) if index not in taken][:count]


def surplus(job: Object, active: Iterable[Object]) -> list[Object]:
    """Give the pods whose index another pod has too, or nobody asked for."""
    seen: set[int] = set()
    extra = []
    for pod in active:
        index = index_of(pod)
        if index is None or index in seen or index >= job["spec"]["completions"]:
            extra.append(pod)
        else:
            seen.add(index)
    return extra


def numbered(job: Object, template: Object, index: int) -> Object:
    """Give the pod template that tells a pod its index: in its name, labels and environment."""
    made = copy.deepcopy(template)
    mark = {_INDEX: str(index)}
    made["metadata"] |= {"labels": labels_of(made) | mark}
    made["metadata"] |= {"annotations": annotations_of(made) | mark}
    made["spec"]["hostname"] = f"{name_of(job)}-{index}"
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{_INDEX}']"}}
    for container in [*made["spec"].get("initContainers", ()), *made["spec"]["containers"]]:
        given = container.setdefault("env", [])
        if not any(variable["name"] == _VARIABLE for variable in given):
            given.append({"name": _VARIABLE, "valueFrom": source})
    return made
