"""Which Jobs are right, and what may be changed of them.

Source:
    k8s.io/kubernetes/pkg/apis/batch/validation (validation.go), whose texts these are.
"""

from collections.abc import Iterator

from lab_utils.controlplane.joblabels import CONTROLLER_UID, expected_labels
from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import (
    Rows,
    any_value,
    at_least_zero,
    needed,
    one_of,
    text,
)

_MAX_INDEXED_PARALLELISM = 100_000
_FIXED = (
    "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy",
    "successPolicy",
)  # fmt: skip


def _job(job: Object, _at: str) -> Iterator[Cause]:
    """Check the labels that the server made up, and the names of indexed pods."""
    spec, metadata = job["spec"], job.get("metadata", {})
    if not spec.get("manualSelector"):
        yield from _own_labels(job)
    last = spec.get("completions", 0) - 1
    if spec.get("completionMode") == "Indexed" and last >= 0 and metadata.get("name"):
        hostname = f"{metadata['name']}-{last}"
        for why in formats.dns_label(hostname):
            told = f"will not able to create pod with invalid DNS label: {hostname}"
            yield causes.invalid("metadata.name", metadata["name"], f"{told}: {why}")


def _own_labels(job: Object) -> Iterator[Cause]:
    spec, at = job["spec"], "spec.template.metadata.labels"
    labels, expected = _labels(spec), expected_labels(job)
    for key in sorted(expected):
        if labels.get(key) != expected[key]:
            yield causes.invalid(f"{at}[{key}]", labels.get(key, ""), f"must be '{expected[key]}'")
    wanted = {"matchLabels": {CONTROLLER_UID: expected[CONTROLLER_UID]}}
    if spec.get("selector", wanted) != wanted:
        yield causes.invalid("spec.selector", spec["selector"], "`selector` not auto-generated")


def _labels(spec: Object) -> dict[str, str]:
    labels: dict[str, str] = spec.get("template", {}).get("metadata", {}).get("labels", {})
    return labels


def _selected(spec: Object, at: str) -> Iterator[Cause]:
    """Check that the Job finds its own pods."""
    selector, labels = spec.get("selector"), _labels(spec)
    if selector is None:
        yield causes.required(f"{at}.selector")
    elif not label_selector(selector).matches(labels):
        why = "`selector` does not match template `labels`"
        yield causes.invalid(f"{at}.template.metadata.labels", labels, why)


def _job_spec(spec: Object, at: str) -> Iterator[Cause]:
    yield from _indexes(spec, at)
    yield from _selected(spec, at)
    yield from _template(spec, at)


def _indexes(spec: Object, at: str) -> Iterator[Cause]:
    parallelism = spec.get("parallelism", 0)
    if spec.get("completionMode") == "Indexed":
        if spec.get("completions") is None:
            why = "when completion mode is Indexed"
            yield causes.required(f"{at}.completions", why)
        if parallelism > _MAX_INDEXED_PARALLELISM:
            why = f"must be less than or equal to {_MAX_INDEXED_PARALLELISM} when completion mode "
            yield causes.invalid(f"{at}.parallelism", parallelism, f"{why}is Indexed")
    elif spec.get("backoffLimitPerIndex") is not None:
        why = "requires indexed completion mode"
        yield causes.invalid(f"{at}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], why)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        why = "when maxFailedIndexes is specified"
        yield causes.required(f"{at}.backoffLimitPerIndex", why)
    if "successPolicy" in spec and spec.get("completionMode") != "Indexed":
        why = "requires indexed completion mode"
        yield causes.invalid(f"{at}.successPolicy", spec["successPolicy"], why)


def _failure_rule(rule: Object, at: str) -> Iterator[Cause]:
    """Check that a rule of a podFailurePolicy looks at one thing that can be."""
    codes: Object | None = rule.get("onExitCodes")
    conditions = rule.get("onPodConditions")
    if codes is None and not conditions:
        why = "specifying one of OnExitCodes and OnPodConditions is required"
        yield causes.invalid(at, "", why)
    elif codes is not None and conditions:
        why = "specifying both OnExitCodes and OnPodConditions is not supported"
        yield causes.invalid(at, "", why)
    for i, value in enumerate(codes.get("values", ()) if codes else ()):
        if value == 0 and codes and codes.get("operator") == "In":
            field = f"{at}.onExitCodes.values[{i}]"
            yield causes.invalid(field, 0, "must not be 0 for the In operator")


def _template(spec: Object, at: str) -> Iterator[Cause]:
    """Check the restart policy: a Job's pods must be able to end."""
    policy = spec.get("template", {}).get("spec", {}).get("restartPolicy", "Always")
    field = f"{at}.template.spec.restartPolicy"
    if policy not in ("OnFailure", "Never"):
        yield causes.required(field, 'valid values: "OnFailure", "Never"')
    elif policy != "Never" and spec.get("podFailurePolicy") is not None:
        why = 'only "Never" is supported when podFailurePolicy is specified'
        yield causes.invalid(field, policy, why)


def changed_job(new: Object, old: Object) -> Iterator[Cause]:
    """Refuse other pods, other indexes and another selector than the Job began with."""
    after, before = new["spec"], old["spec"]
    if after.get("completions") != before.get("completions"):
        yield from _changed_completions(after)
    for field in _FIXED:
        if after.get(field) != before.get(field):
            yield causes.immutable(f"spec.{field}", after.get(field))
    for part in ("metadata", "spec"):
        changed = after.get("template", {}).get(part)
        may_change = part == "metadata" or (before.get("suspend") and not _has_started(old))
        if changed != before.get("template", {}).get(part) and not may_change:
            yield causes.immutable(f"spec.template.{part}", changed)


def _has_started(job: Object) -> bool:
    return bool(job.get("status", {}).get("startTime"))


def _changed_completions(spec: Object) -> Iterator[Cause]:
    """Let an indexed Job grow or shrink with its parallelism."""
    field, completions = "spec.completions", spec.get("completions")
    if spec.get("completionMode") != "Indexed" or completions is None:
        yield causes.immutable(field, completions)
    elif completions != spec.get("parallelism"):
        why = "can only be modified in tandem with spec.parallelism"
        yield causes.invalid(field, completions, why)


_policy = one_of("Failed", "TerminatingOrFailed")
BATCH: Rows = {
    "V1Job": {"metadata": any_value, "": _job},
    "V1JobSpec": {
        **dict.fromkeys((
            "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
            "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"), at_least_zero),
        "completionMode": one_of("Indexed", "NonIndexed"),
        "podReplacementPolicy": _policy,
        "managedBy": text(formats.qualified_name),
        "": _job_spec,
    },
    "V1PodFailurePolicyRule": {
        "action": needed(one_of("Count", "FailIndex", "FailJob", "Ignore")), "": _failure_rule,
    },
    "V1PodFailurePolicyOnExitCodesRequirement": {
        "operator": needed(one_of("In", "NotIn")),
        "values": needed(why="at least one value is required"),
    },
}  # fmt: skip
