"""Which environment variables of a container are right, and where they may come from.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (ValidateEnv)
"""

from collections.abc import Callable, Iterator, Mapping

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats

_FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_RESOURCE_FIELDS = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory",
)  # fmt: skip
_KNOWN_PATHS = (*_FIELD_PATHS, "metadata.labels", "metadata.annotations")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def env_causes(container: Object, field: str) -> Iterator[Cause]:
    """Check `env` and `envFrom` of a container."""
    for i, variable in enumerate(container.get("env", [])):
        yield from _variable_causes(variable, f"{field}.env[{i}]")
    for source in container.get("envFrom", []):
        if not {"configMapRef", "secretRef"} & set(source):
            why = "must specify one of: `configMapRef` or `secretRef`"
            yield causes.invalid(f"{field}.envFrom", "", why)


def _variable_causes(variable: Object, field: str) -> Iterator[Cause]:
    name, source = variable.get("name", ""), variable.get("valueFrom")
    if not name:
        yield causes.required(f"{field}.name")
    else:
        yield from causes.each_invalid(f"{field}.name", name, formats.env_name(name))
    if source is None:
        return
    field = f"{field}.valueFrom"
    given = [kind for kind in _ENV_SOURCES if kind in source]
    if not given:
        *most, last = (f"`{kind}`" for kind in _ENV_SOURCES)
        yield causes.invalid(field, "", f"must specify one of: {', '.join(most)} or {last}")
    elif variable.get("value"):
        yield causes.invalid(field, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield causes.invalid(field, "", "may not have more than one field specified at a time")
    for kind in given:
        yield from _ENV_CHECKS.get(kind, _key_ref_causes)(source[kind], f"{field}.{kind}")


def _field_ref_causes(ref: Object, field: str) -> Iterator[Cause]:
    path, field = ref.get("fieldPath", ""), f"{field}.fieldPath"
    plain = path.partition("[")[0]
    if not path:
        yield causes.required(field)
    elif plain not in _KNOWN_PATHS:
        why = f"error converting fieldPath: field label not supported: {path}"
        yield causes.invalid(field, path, why)
    elif path not in _FIELD_PATHS and not path.endswith("']"):
        yield causes.unsupported(field, path, _FIELD_PATHS)


def _resource_ref_causes(ref: Object, field: str) -> Iterator[Cause]:
    resource = ref.get("resource", "")
    if not resource:
        yield causes.required(f"{field}.resource")
    else:
        yield from causes.choice(f"{field}.resource", resource, _RESOURCE_FIELDS)


def _key_ref_causes(ref: Object, field: str) -> Iterator[Cause]:
    name, key = ref.get("name", ""), ref.get("key", "")
    yield from causes.each_invalid(f"{field}.name", name, formats.dns_subdomain(name))
    if not key:
        yield causes.required(f"{field}.key")
    else:
        yield from causes.each_invalid(f"{field}.key", key, formats.config_key(key))


_ENV_CHECKS: Mapping[str, Callable[[Object, str], Iterator[Cause]]] = {
    "fieldRef": _field_ref_causes, "resourceFieldRef": _resource_ref_causes,
}  # fmt: skip
