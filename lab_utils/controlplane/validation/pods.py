"""The checks of a pod that look at several fields at once.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (validation.go), whose texts these are.
"""

from collections.abc import Iterator
from typing import Any

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import repeated, text
from lab_utils.units import parse_quantity

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_MAP_PATHS = ("metadata.labels", "metadata.annotations")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def pod_spec(spec: Object, at: str) -> Iterator[Cause]:
    """Check what containers share: their names, ports of the host, volumes."""
    containers = [
        (container, f"{at}.{kind}[{i}]")
        for kind in ("containers", "initContainers")
        for i, container in enumerate(spec.get(kind, ()))
    ]
    yield from repeated((one.get("name"), f"{field}.name") for one, field in containers)
    yield from repeated(
        (_host_port(port), f"{at}.containers[{i}].ports[{j}].hostPort")
        for i, container in enumerate(spec.get("containers", ()))
        for j, port in enumerate(container.get("ports", ()))
    )
    # A volume of two kinds counts as none.
    volumes = [one.get("name") for one in spec.get("volumes", ()) if len(one) <= 2]
    for container, field in containers:
        for i, mount in enumerate(container.get("volumeMounts", ())):
            if mount.get("name") and mount["name"] not in volumes:
                yield causes.not_found(f"{field}.volumeMounts[{i}].name", mount["name"])


def _host_port(port: Object) -> str:
    number, protocol = port.get("hostPort"), port.get("protocol", "TCP")
    return f"{protocol}/{port.get('hostIP', '')}/{number}" if number else ""


def mounts(items: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check where volumes are mounted; Kubernetes names no index for a bad subPath."""
    paths = set()
    for i, mount in enumerate(items or ()):
        path = mount.get("mountPath")
        if path and path in paths:
            yield causes.invalid(f"{at}[{i}].mountPath", path, "must be unique")
        paths.add(path)
        yield from text(formats.relative_path)(mount.get("subPath"), f"{at}.subPath")


def volume(one: Object, at: str) -> Iterator[Cause]:
    """Refuse a volume of several kinds."""
    # The kinds the lab has come first, so that what is refused is what was added to them.
    kinds = sorted((kind for kind in one if kind != "name"), key=lambda kind: kind != "emptyDir")
    for kind in kinds[1:]:
        yield causes.forbidden(f"{at}.{kind}", "may not specify more than 1 volume type")


def size_limit(amount: str | None, at: str) -> Iterator[Cause]:
    """Refuse a negative size."""
    if amount and amount.startswith("-"):
        yield causes.forbidden(at, "SizeLimit field must be a valid resource quantity")


def ephemeral(containers: Any, at: str) -> Iterator[Cause]:
    """Refuse what only a subresource adds."""
    if containers:
        yield causes.forbidden(at, "cannot be set on create")


def env_variable(variable: Object, at: str) -> Iterator[Cause]:
    """Refuse two values."""
    if variable.get("value") and variable.get("valueFrom"):
        why = "may not be specified when `value` is not empty"
        yield causes.invalid(f"{at}.valueFrom", "", why)


def env_source(source: Object, at: str) -> Iterator[Cause]:
    """Check that there is one source."""
    if not source:
        *most, last = (f"`{kind}`" for kind in _ENV_SOURCES)
        yield causes.invalid(at, "", f"must specify one of: {', '.join(most)} or {last}")
    elif len(source) > 1:
        yield causes.invalid(at, "", "may not have more than one field specified at a time")


def env_from(sources: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check that each item has a source."""
    for source in sources or ():
        if not {"configMapRef", "secretRef"} & set(source):
            yield causes.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`")


def field_ref(ref: Object | None, at: str) -> Iterator[Cause]:
    """Check which field of its pod a variable takes; a volume may take more."""
    if ref is None:
        return
    path, at = ref.get("fieldPath", ""), f"{at}.fieldPath"
    if not path:
        yield causes.required(at)
    elif path.partition("[")[0] not in (*_FIELD_PATHS, *_MAP_PATHS):
        why = f"error converting fieldPath: field label not supported: {path}"
        yield causes.invalid(at, path, why)
    elif path not in _FIELD_PATHS and not path.endswith("']"):
        yield causes.unsupported(at, path, _FIELD_PATHS)


def handler(holder: Object | None, at: str) -> Iterator[Cause]:
    """Check that a probe or hook does one thing."""
    given = [name for name in _HANDLERS if name in (holder or {})]
    if holder is not None and not given:
        yield causes.required(at, "must specify a handler type")
    for name in given[1:]:
        yield causes.forbidden(f"{at}.{name}", "may not specify more than 1 handler type")


def probe(one: Object, at: str) -> Iterator[Cause]:
    """Check a probe: what it does, and what only some probes may say."""
    yield from handler(one, at)
    is_readiness = at.endswith("readinessProbe")
    grace_s, successes = one.get("terminationGracePeriodSeconds"), one.get("successThreshold", 1)
    if is_readiness and grace_s is not None:
        why = "must not be set for readinessProbes"
        yield causes.invalid(f"{at}.terminationGracePeriodSeconds", grace_s, why)
    if not is_readiness and successes > 1:
        yield causes.invalid(f"{at}.successThreshold", successes, "must be 1")


def http_headers(headers: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check the names of headers; Kubernetes names no index."""
    for header in headers or ():
        yield from text(formats.http_header)(header.get("name", ""), at)


def security_context(security: Object, at: str) -> Iterator[Cause]:
    """Refuse what contradicts itself."""
    if security.get("privileged") and security.get("allowPrivilegeEscalation") is False:
        why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield causes.invalid(at, security, why)


def seccomp_profile(profile: Object, at: str) -> Iterator[Cause]:
    """Check that a profile of the node is named."""
    if profile.get("type") == "Localhost" and not profile.get("localhostProfile"):
        why = "must be set when seccomp type is Localhost"
        yield causes.required(f"{at}.localhostProfile", why)


def toleration(one: Object, at: str) -> Iterator[Cause]:
    """Check what a pod puts up with."""
    operator, effect = one.get("operator", "Equal"), one.get("effect", "")
    if not one.get("key") and operator != "Exists":
        why = (
            "operator must be Exists when `key` is empty, "
            'which means "match all values and all keys"'
        )
        yield causes.invalid(f"{at}.operator", operator, why)
    if one.get("tolerationSeconds") is not None and effect != "NoExecute":
        why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield causes.invalid(f"{at}.effect", effect, why)
    if operator == "Exists" and one.get("value"):
        why = "value must be empty when `operator` is 'Exists'"
        yield causes.invalid(f"{at}.operator", one["value"], why)


def topology_key(key: Any, at: str) -> Iterator[Cause]:
    """Check the label that says which nodes belong together."""
    if not key:
        yield causes.required(at, "can not be empty")
    yield from text(formats.qualified_name, absent="")(key, at)


def resources(holder: Object | None, at: str) -> Iterator[Cause]:
    """Check requests and limits: each for itself, and one against the other."""
    holder = holder or {}
    limits, requests = holder.get("limits", {}), holder.get("requests", {})
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name in sorted(amounts):
            yield from _amount(name, amounts[name], f"{at}.{side}[{name}]")
    for name in sorted(requests):
        if name in limits:
            yield from _against_limit(name, requests[name], limits[name], f"{at}.requests")
        elif _is_extended(name):
            why = "Limit must be set for non overcommitable resources"
            yield causes.required(f"{at}.limits", why)


def _is_extended(name: str) -> bool:
    return "/" in name and not name.startswith("kubernetes.io/")


def _amount(name: str, amount: str, at: str) -> Iterator[Cause]:
    if "/" not in name and name not in _RESOURCES and not name.startswith("hugepages-"):
        yield causes.invalid(at, name, "must be a standard resource type or fully qualified")
        yield causes.invalid(at, name, "must be a standard resource for containers")
    value = parse_quantity(amount)
    if value < 0:
        yield causes.invalid(at, amount, "must be greater than or equal to 0")
    if _is_extended(name) and value % 1:
        yield causes.invalid(at, amount, "must be an integer")


def _against_limit(name: str, request: str, limit: str, at: str) -> Iterator[Cause]:
    wanted, allowed = parse_quantity(request), parse_quantity(limit)
    if _is_extended(name) and wanted != allowed:
        yield causes.invalid(at, request, f"must be equal to {name} limit of {limit}")
    elif wanted > allowed:
        why = f"must be less than or equal to {name} limit of {limit}"
        yield causes.invalid(at, request, why)
