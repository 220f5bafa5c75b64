"""The checks of everything but pods that look at several fields at once.

Source:
    k8s.io/apimachinery/pkg/api/validation and k8s.io/kubernetes/pkg/apis/<group>/validation
"""

from collections.abc import Iterator

from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import Check, text

_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_POD_SECURITY = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_MAX_DATA_BYTES = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def finalizer(name: str, at: str) -> Iterator[Cause]:
    """Check the name of a finalizer."""
    yield from text(formats.qualified_name)(name, at)
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        why = "name is neither a standard finalizer name nor is it fully qualified"
        yield causes.invalid(at, name, why)


def owners(references: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check ownerReferences; Kubernetes names no index."""
    references = references or []
    for owner in references:
        if not owner.get("apiVersion"):
            yield causes.invalid(f"{at}.apiVersion", "", "version must not be empty")
        for part in ("kind", "name", "uid"):
            if not owner.get(part):
                yield causes.invalid(f"{at}.{part}", "", "must not be empty")
    controllers = [f"{o.get('kind')}/{o.get('name')}" for o in references if o.get("controller")]
    if len(controllers) > 1:
        why = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {" and ".join(controllers[:2])}'
        )
        yield causes.invalid(at, references, why)


def requirement(rule: Object, at: str) -> Iterator[Cause]:
    """Check one condition of a label selector."""
    operator, values = rule.get("operator"), rule.get("values")
    if operator in ("In", "NotIn"):
        if not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            yield causes.required(f"{at}.values", why)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield causes.forbidden(f"{at}.values", why)
    else:
        yield causes.invalid(f"{at}.operator", operator or "", "not a valid selector operator")
    yield from text(formats.qualified_name)(rule.get("key", ""), f"{at}.key")


def node_requirement(rule: Object, at: str) -> Iterator[Cause]:
    """Check one condition of a node selector, which may also compare numbers."""
    if rule.get("operator") not in ("Gt", "Lt"):
        yield from requirement(rule, at)
    elif len(rule.get("values", ())) != 1:
        why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        yield causes.required(f"{at}.values", why)


def workload(kind: str) -> Check:
    """Check that selector and template of a Deployment or ReplicaSet fit each other."""

    def run(spec: Object, at: str) -> Iterator[Cause]:
        selector, template = spec.get("selector"), spec.get("template", {})
        labels = template.get("metadata", {}).get("labels")
        if selector == {}:
            why = f"empty selector is invalid for {kind}"
            yield causes.invalid(f"{at}.selector", {}, why)
        if selector and not _can_be_read(selector):
            yield causes.invalid(f"{at}.selector", selector, "invalid label selector")
        elif selector is None or not label_selector(selector).matches(labels):
            why = "`selector` does not match template `labels`"
            yield causes.invalid(f"{at}.template.metadata.labels", labels, why)
        yield from _template(template.get("spec", {}), f"{at}.template.spec")
        yield from _deadline(spec, at)

    return run


def _can_be_read(selector: Object) -> bool:
    return not any([*requirement(rule, "")] for rule in selector.get("matchExpressions", ()))


def _template(pod: Object, at: str) -> Iterator[Cause]:
    if pod.get("restartPolicy", "Always") != "Always":
        yield causes.unsupported(f"{at}.restartPolicy", pod["restartPolicy"], ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield causes.forbidden(f"{at}.activeDeadlineSeconds", why)


def _deadline(spec: Object, at: str) -> Iterator[Cause]:
    deadline_s = spec.get("progressDeadlineSeconds")
    if deadline_s is not None and deadline_s <= spec.get("minReadySeconds", 0):
        why = "must be greater than minReadySeconds"
        yield causes.invalid(f"{at}.progressDeadlineSeconds", deadline_s, why)


def strategy(one: Object, at: str) -> Iterator[Cause]:
    """Check the type of a strategy, and what goes with it."""
    kind, rolling = one.get("type"), one.get("rollingUpdate")
    if kind == "Recreate" and rolling is not None:
        why = "may not be specified when strategy `type` is 'Recreate'"
        yield causes.forbidden(f"{at}.rollingUpdate", why)
    if kind not in ("Recreate", "RollingUpdate"):
        shown = {"Type": kind, "RollingUpdate": rolling}
        yield causes.unsupported(at, shown, ("Recreate", "RollingUpdate"))


def rolling_update(one: Object, at: str) -> Iterator[Cause]:
    """Refuse a roll-out that can make no step."""
    unavailable = one.get("maxUnavailable", 0)
    if one.get("maxSurge", 0) in (0, "0%") and unavailable in (0, "0%"):
        why = "may not be 0 when `maxSurge` is 0"
        yield causes.invalid(f"{at}.maxUnavailable", unavailable, why)


def disruption_budget(spec: Object, at: str) -> Iterator[Cause]:
    """Refuse a budget with two bounds."""
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        shown = {"MinAvailable": least, "Selector": spec.get("selector"), "MaxUnavailable": most,
                 "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy")}  # fmt: skip
        yield causes.invalid(at, shown, "minAvailable and maxUnavailable cannot be both set")


def service(spec: Object, at: str) -> Iterator[Cause]:
    """Check what a type of Service needs and forbids."""
    kind, ports, address = spec.get("type"), spec.get("ports", []), spec.get("clusterIP")
    if not ports and address != "None" and kind != "ExternalName":
        yield causes.required(f"{at}.ports")
    if kind == "ExternalName" and not spec.get("externalName"):
        yield causes.required(f"{at}.externalName")
    if kind in ("NodePort", "LoadBalancer") and address == "None":
        why = f"may not be set to 'None' for {kind} services"
        yield causes.invalid(f"{at}.clusterIPs[0]", "None", why)
    if address != "None":
        yield from text(formats.ip_address)(address, f"{at}.clusterIPs[0]")
    policy = spec.get("externalTrafficPolicy")
    if policy is not None and kind not in ("NodePort", "LoadBalancer"):
        why = "may only be set for externally-accessible services"
        yield causes.invalid(f"{at}.externalTrafficPolicy", policy, why)
    for i, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            yield causes.required(f"{at}.ports[{i}].name")
        if kind == "ClusterIP" and port.get("nodePort"):
            why = "may not be used when `type` is 'ClusterIP'"
            yield causes.forbidden(f"{at}.ports[{i}].nodePort", why)
    yield from _repeated_ports(ports, f"{at}.ports")


def _repeated_ports(ports: list[Object], at: str) -> Iterator[Cause]:
    seen: set[tuple[str, int]] = set()
    for i, port in enumerate(ports):
        key = (port.get("protocol", "TCP"), port.get("port", 0))
        if key in seen:
            shown = {"Name": "", "Protocol": key[0], "AppProtocol": None, "Port": key[1],
                     "TargetPort": 0, "NodePort": 0}  # fmt: skip
            yield causes.duplicate(f"{at}[{i}]", shown)
        seen.add(key)


def namespace(new: Object, _at: str) -> Iterator[Cause]:
    """Check the labels that choose Pod Security levels."""
    labels = new.get("metadata", {}).get("labels", {})
    for mode in ("enforce", "audit", "warn"):
        level = labels.get(f"{_POD_SECURITY}{mode}", "privileged")
        if level not in _LEVELS:
            field = f"metadata.labels[{_POD_SECURITY}{mode}]"
            yield causes.invalid(field, level, f"must be one of {', '.join(_LEVELS)}")
        version = labels.get(f"{_POD_SECURITY}{mode}-version", "latest")
        if version != "latest" and not version.startswith("v1."):
            field = f"metadata.labels[{_POD_SECURITY}{mode}-version]"
            yield causes.invalid(field, version, 'must be "latest" or "v1.x"')


def config_map(new: Object, _at: str) -> Iterator[Cause]:
    """Check the keys of a ConfigMap and its size."""
    plain, binary = new.get("data", {}), new.get("binaryData", {})
    yield from _keys("data", plain)
    for key in sorted({*plain} & {*binary}):
        yield causes.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from _keys("binaryData", binary)
    size = sum(len(value.encode()) for value in plain.values())
    if size + _decoded_size(binary) > _MAX_DATA_BYTES:
        yield causes.too_long("[]", _MAX_DATA_BYTES)


def _keys(field: str, data: Object) -> Iterator[Cause]:
    for key in data:
        yield from text(formats.config_key)(key, f"{field}[{key}]")


def _decoded_size(data: Object) -> int:
    return sum(len(value) * 3 // 4 for value in data.values())


def secret(new: Object, _at: str) -> Iterator[Cause]:
    """Check the keys of a Secret, its size, and what its type asks for."""
    data = new.get("data", {})
    yield from _keys("data", data)
    if _decoded_size(data) > _MAX_DATA_BYTES:
        yield causes.too_long("data", _MAX_DATA_BYTES)
    for key in _SECRET_KEYS.get(new.get("type", ""), ()):
        if key not in data:
            yield causes.required(f"data[{key}]")


def event(new: Object, _at: str) -> Iterator[Cause]:
    """Check that an event is in the namespace of what it is about."""
    about = new.get("involvedObject", {}).get("namespace", "")
    own = new.get("metadata", {}).get("namespace", "")
    if about != own and (about, own) != ("", "default"):
        why = "does not match event.namespace"
        yield causes.invalid("involvedObject.namespace", about, why)
