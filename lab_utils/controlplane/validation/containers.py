"""Which containers are right: names, ports, environment, probes, resources.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (validation.go), whose texts these are.
"""

from collections.abc import Iterator

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import (
    Rows,
    at_least_zero,
    distinct,
    needed,
    number,
    one_of,
    port,
    port_number,
    protocol,
    text,
)
from lab_utils.units import parse_quantity

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_MAP_PATHS = ("metadata.labels", "metadata.annotations")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_RESOURCES = ("cpu", "ephemeral-storage", "memory")


def _mounts(items: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check where volumes are mounted; Kubernetes names no index for a bad subPath."""
    paths = set()
    for i, mount in enumerate(items or ()):
        path = mount.get("mountPath")
        if path and path in paths:
            yield causes.invalid(f"{at}[{i}].mountPath", path, "must be unique")
        paths.add(path)
        yield from text(formats.relative_path)(mount.get("subPath"), f"{at}.subPath")


def _env_variable(variable: Object, at: str) -> Iterator[Cause]:
    if variable.get("value") and variable.get("valueFrom"):
        why = "may not be specified when `value` is not empty"
        yield causes.invalid(f"{at}.valueFrom", "", why)


def _env_source(source: Object, at: str) -> Iterator[Cause]:
    if not source:
        *most, last = (f"`{kind}`" for kind in _ENV_SOURCES)
        yield causes.invalid(at, "", f"must specify one of: {', '.join(most)} or {last}")
    elif len(source) > 1:
        yield causes.invalid(at, "", "may not have more than one field specified at a time")


def _env_from(sources: list[Object] | None, at: str) -> Iterator[Cause]:
    for source in sources or ():
        given = {"configMapRef", "secretRef"} & set(source)
        if not given:
            yield causes.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield causes.invalid(at, "", "may not have more than one field specified at a time")


def _field_ref(ref: Object | None, at: str) -> Iterator[Cause]:
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


def _handler(holder: Object | None, at: str) -> Iterator[Cause]:
    given = [name for name in _HANDLERS if name in (holder or {})]
    if holder is not None and not given:
        yield causes.required(at, "must specify a handler type")
    for name in given[1:]:
        yield causes.forbidden(f"{at}.{name}", "may not specify more than 1 handler type")


def _probe(one: Object, at: str) -> Iterator[Cause]:
    yield from _handler(one, at)
    is_readiness = at.endswith("readinessProbe")
    grace_s, successes = one.get("terminationGracePeriodSeconds"), one.get("successThreshold", 1)
    if is_readiness and grace_s is not None:
        why = "must not be set for readinessProbes"
        yield causes.invalid(f"{at}.terminationGracePeriodSeconds", grace_s, why)
    if not is_readiness and successes > 1:
        yield causes.invalid(f"{at}.successThreshold", successes, "must be 1")


def _sleeps(container: Object, at: str, grace_s: int) -> Iterator[Cause]:
    for hook, handler in container.get("lifecycle", {}).items():
        seconds = (handler.get("sleep") or {}).get("seconds")
        if seconds is not None and not 0 <= seconds <= grace_s:
            why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})"
            yield causes.invalid(f"{at}.lifecycle.{hook}.sleep.seconds", seconds, why)


def sleeping_hooks(spec: Object, at: str) -> Iterator[Cause]:
    """Check that no hook of a pod sleeps longer than its grace period."""
    grace_s = spec.get("terminationGracePeriodSeconds", 30)
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(kind, ())):
            yield from _sleeps(container, f"{at}.{kind}[{i}]", grace_s)


def _http_headers(headers: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check the names of headers; Kubernetes names no index."""
    for header in headers or ():
        yield from text(formats.http_header)(header.get("name", ""), at)


def _resources(holder: Object | None, at: str) -> Iterator[Cause]:
    holder = holder or {}
    limits, requests = holder.get("limits", {}), holder.get("requests", {})
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name in sorted(amounts):
            yield from _amount(name, amounts[name], f"{at}.{side}[{name}]")
    named = {*limits, *requests}
    if any(name.startswith("hugepages-") for name in named) and not named & {"cpu", "memory"}:
        yield causes.forbidden(at, "HugePages require cpu or memory")
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


_key_of = {
    "name": text(formats.dns_subdomain, absent=""), "key": needed(text(formats.config_key)),
}  # fmt: skip
_env_object = {"name": needed(text(formats.dns_subdomain))}
_resource_field = one_of(
    *(f"{side}.{name}" for side in ("limits", "requests") for name in _RESOURCES)
)

CONTAINERS: Rows = {
    "V1Container": {
        "name": needed(text(formats.dns_label)), "image": needed(text(formats.trimmed)),
        "terminationMessagePolicy": one_of("File", "FallbackToLogsOnError"),
        "ports": distinct("name"), "envFrom": _env_from, "volumeMounts": _mounts,
        "imagePullPolicy": one_of("Always", "IfNotPresent", "Never"),
        "resources": _resources,
    },
    "V1ContainerPort": {
        "name": text(formats.port_name), "containerPort": needed(port_number),
        "hostPort": number(1, "must be between 1 and 65535, inclusive", 65535),
        "protocol": protocol,
    },
    "V1EnvVar": {"name": needed(text(formats.env_name)), "": _env_variable},
    "V1EnvVarSource": {"": _env_source, "fieldRef": _field_ref},
    "V1ConfigMapKeySelector": _key_of,
    "V1SecretKeySelector": _key_of,
    "V1ResourceFieldSelector": {"resource": needed(_resource_field)},
    "V1Lifecycle": {"postStart": _handler, "preStop": _handler},
    "V1Probe": {"": _probe, **dict.fromkeys((
        "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
        "failureThreshold"), at_least_zero),
        "terminationGracePeriodSeconds": number(1, "must be greater than 0")},
    "V1ConfigMapEnvSource": _env_object, "V1SecretEnvSource": _env_object,
    "V1EnvFromSource": {"prefix": text(formats.env_name)},
    "V1ExecAction": {"command": needed()},
    "V1HTTPGetAction": {
        "port": port, "scheme": one_of("HTTP", "HTTPS"), "httpHeaders": _http_headers,
    },
    "V1TCPSocketAction": {"port": port},
    "V1GRPCAction": {"port": port_number},
    "V1VolumeMount": {"name": needed(), "mountPath": needed()},
}  # fmt: skip
