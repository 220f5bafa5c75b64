"""The labels by which a Job knows its pods, which the server makes up.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-selector
"""

from lab_utils.controlplane.status import Object

_PREFIX = "batch.kubernetes.io/"
CONTROLLER_UID = f"{_PREFIX}controller-uid"


def expected_labels(job: Object) -> dict[str, str]:
    """Give what every pod of a Job carries: its uid and name, with and without a prefix."""
    uid, name = job["metadata"].get("uid", ""), job["metadata"].get("name", "")
    plain = {"controller-uid": uid, "job-name": name}
    return {f"{_PREFIX}{key}": value for key, value in plain.items()} | plain


def select_own_pods(job: Object) -> None:
    """Label the template of a new Job and select by it, unless the Job says it does so itself.

    What is there already stays; validation compares it.
    """
    spec = job.get("spec", {})
    if spec.get("manualSelector"):
        return
    template = spec["template"] = dict(spec.get("template") or {})
    metadata = template["metadata"] = dict(template.get("metadata") or {})
    labels = expected_labels(job) | (metadata.get("labels") or {})
    metadata["labels"] = dict(sorted(labels.items()))
    selector = spec["selector"] = dict(spec.get("selector") or {})
    own = {CONTROLLER_UID: job["metadata"]["uid"]}
    selector["matchLabels"] = dict(sorted((own | (selector.get("matchLabels") or {})).items()))
