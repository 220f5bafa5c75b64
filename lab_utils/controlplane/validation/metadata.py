"""Which metadata, labels and selectors are right: what every kind has in common.

Source:
    k8s.io/apimachinery/pkg/api/validation (objectmeta.go) and pkg/apis/meta/v1/validation
"""

from collections.abc import Iterator, Mapping

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats

_LABEL_NAMES = ("Service", "Namespace")
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_MAX_ANNOTATIONS_BYTES = 256 * 1024
_POD_SECURITY = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")


def metadata_causes(kind: str, metadata: Object) -> Iterator[Cause]:
    """Check the metadata of an object."""
    name = metadata.get("name", "")
    if not name:
        yield causes.required("metadata.name", "name or generateName is required")
    else:
        check = formats.dns_label_name if kind in _LABEL_NAMES else formats.dns_subdomain
        yield from causes.each_invalid("metadata.name", name, check(name))
    yield from label_causes(metadata.get("labels"), "metadata.labels")
    yield from annotation_causes(metadata.get("annotations"), "metadata.annotations")
    yield from _owner_causes(metadata.get("ownerReferences", []))
    for i, finalizer in enumerate(metadata.get("finalizers", [])):
        field = f"metadata.finalizers[{i}]"
        problems = formats.qualified_name(finalizer)
        yield from causes.each_invalid(field, finalizer, problems)
        if not problems and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield causes.invalid(field, finalizer, why)


def label_causes(labels: Mapping[str, str] | None, field: str) -> Iterator[Cause]:
    """Check the keys and values of labels."""
    for key, value in (labels or {}).items():
        yield from causes.each_invalid(field, key, formats.qualified_name(key))
        yield from causes.each_invalid(field, value, formats.label_value(value))


def annotation_causes(annotations: Mapping[str, str] | None, field: str) -> Iterator[Cause]:
    """Check the keys of annotations and their size all together."""
    size = 0
    for key, value in (annotations or {}).items():
        yield from causes.each_invalid(field, key, formats.qualified_name(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > _MAX_ANNOTATIONS_BYTES:
        yield causes.too_long(field, _MAX_ANNOTATIONS_BYTES)


def _owner_causes(owners: list[Object]) -> Iterator[Cause]:
    field = "metadata.ownerReferences"
    for owner in owners:
        if not owner.get("apiVersion"):
            yield causes.invalid(f"{field}.apiVersion", "", "version must not be empty")
        for part in ("kind", "name", "uid"):
            if not owner.get(part):
                yield causes.invalid(f"{field}.{part}", "", "must not be empty")
    controllers = [
        f"{one.get('kind')}/{one.get('name')}" for one in owners if one.get("controller")
    ]
    if len(controllers) > 1:
        why = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {" and ".join(controllers[:2])}'
        )
        yield causes.invalid(field, owners, why)


def pod_security_causes(labels: Mapping[str, str]) -> Iterator[Cause]:
    """Check the labels of a namespace that choose its Pod Security levels."""
    for mode in ("enforce", "audit", "warn"):
        level = labels.get(f"{_POD_SECURITY}{mode}")
        if level is not None and level not in _LEVELS:
            field = f"metadata.labels[{_POD_SECURITY}{mode}]"
            yield causes.invalid(field, level, f"must be one of {', '.join(_LEVELS)}")
        version = labels.get(f"{_POD_SECURITY}{mode}-version", "latest")
        if version != "latest" and not version.startswith("v1."):
            field = f"metadata.labels[{_POD_SECURITY}{mode}-version]"
            yield causes.invalid(field, version, 'must be "latest" or "v1.x"')


def selector_causes(selector: Object, field: str) -> Iterator[Cause]:
    """Check a label selector."""
    yield from label_causes(selector.get("matchLabels"), f"{field}.matchLabels")
    for i, rule in enumerate(selector.get("matchExpressions", [])):
        yield from expression_causes(rule, f"{field}.matchExpressions[{i}]")


def expression_causes(rule: Object, field: str, *, compares: bool = False) -> Iterator[Cause]:
    """Check one condition of a selector; compares allows Gt and Lt, as nodes' selectors do."""
    operator, values = rule.get("operator"), rule.get("values")
    if operator in ("In", "NotIn"):
        if not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            yield causes.required(f"{field}.values", why)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield causes.forbidden(f"{field}.values", why)
    elif compares and operator in ("Gt", "Lt"):
        if len(values or ()) != 1:
            why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            yield causes.required(f"{field}.values", why)
    else:
        yield causes.invalid(f"{field}.operator", operator or "", "not a valid selector operator")
    problems = formats.qualified_name(rule.get("key", ""))
    yield from causes.each_invalid(f"{field}.key", rule.get("key", ""), problems)
