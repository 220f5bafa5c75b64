"""What a Job makes of single pods: failures that end it or do not count, indexes that are enough.

Pure rules over statuses; the first rule that matches a pod decides.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy and
https://kubernetes.io/docs/concepts/workloads/controllers/job/#success-policy
"""

from collections.abc import Iterator

from lab_utils.controlplane.controllers.jobindexes import read_indexes
from lab_utils.controlplane.controllers.objects import is_condition
from lab_utils.controlplane.status import Object

COUNT, FAIL_INDEX, FAIL_JOB, IGNORE = "Count", "FailIndex", "FailJob", "Ignore"


def judge(job: Object, pod: Object) -> tuple[str, str]:
    """Give what a failed pod leads to, and why; it counts unless a rule says otherwise."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    if (pod.get("status") or {}).get("phase") != "Failed":
        return COUNT, ""
    for i, rule in enumerate(rules):
        why = next(_matches(rule, pod), None)
        if why is not None:
            return rule["action"], f"{why} matching {rule['action']} rule at index {i}"
    return COUNT, ""


def _matches(rule: Object, pod: Object) -> Iterator[str]:
    """Give the reasons for which a rule matches."""
    where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    codes = rule.get("onExitCodes") or {}
    for name, code in _exit_codes(pod) if codes else ():
        meant = codes.get("containerName") in (None, "", name)
        if meant and (code in codes["values"]) == (codes["operator"] == "In"):
            yield f"Container {name} for pod {where} failed with exit code {code}"
    for wanted in rule.get("onPodConditions") or ():
        if is_condition(pod, wanted["type"], wanted.get("status", "True")):
            yield f"Pod {where} has condition {wanted['type']}"


def _exit_codes(pod: Object) -> Iterator[tuple[str, int]]:
    """Give the containers that failed with their exit codes."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in pod["status"].get(kind) or ():
            code = ((one.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
            if code:
                yield one["name"], code


def success(job: Object, completed: set[int]) -> str | None:
    """Say which rule of the success policy is met; None if none is."""
    rules = (job["spec"].get("successPolicy") or {}).get("rules") or ()
    for i, rule in enumerate(rules):
        meant = completed
        if "succeededIndexes" in rule:
            meant = completed & read_indexes(rule["succeededIndexes"])
        wanted = rule.get("succeededCount")
        if wanted is None:
            wanted = len(read_indexes(rule["succeededIndexes"]))
        if len(meant) >= wanted:
            return f"Matched rules at index {i}"
    return None
