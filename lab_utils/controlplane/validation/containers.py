"""Which containers are right: names, ports, environment, probes, resources.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (validation.go), whose order and texts these are.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.environment import env_causes
from lab_utils.controlplane.validation.resources import resource_causes

PROTOCOLS = ("SCTP", "TCP", "UDP")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_MAX_UID = 2**31 - 1


@dataclass(frozen=True)
class PodFacts:
    """What a container's checks must know of its pod."""

    volumes: Collection[str]
    host_users: bool = True


def container_causes(container: Object, field: str, facts: PodFacts) -> Iterator[Cause]:
    """Check one container; that names differ is checked by the pod."""
    yield from _name_and_image(container, field)
    yield from lifecycle_causes(container.get("lifecycle", {}), f"{field}.lifecycle")
    for kind in ("liveness", "readiness", "startup"):
        probe = container.get(f"{kind}Probe")
        if probe is not None:
            yield from _probe_causes(probe, kind, f"{field}.{kind}Probe")
    policies = ("File", "FallbackToLogsOnError")
    policy = container.get("terminationMessagePolicy")
    yield from causes.choice(f"{field}.terminationMessagePolicy", policy, policies)
    yield from _ports(container.get("ports", []), f"{field}.ports")
    yield from env_causes(container, field)
    yield from _mounts(container.get("volumeMounts", []), f"{field}.volumeMounts", facts)
    pulls = ("Always", "IfNotPresent", "Never")
    yield from causes.choice(f"{field}.imagePullPolicy", container.get("imagePullPolicy"), pulls)
    yield from resource_causes(container.get("resources", {}), f"{field}.resources")
    security = container.get("securityContext", {})
    yield from _security_causes(security, f"{field}.securityContext", facts)


def _name_and_image(container: Object, field: str) -> Iterator[Cause]:
    name, image = container.get("name", ""), container.get("image", "")
    if not name:
        yield causes.required(f"{field}.name")
    else:
        yield from causes.each_invalid(f"{field}.name", name, formats.dns_label(name))
    if not image:
        yield causes.required(f"{field}.image")
    elif image != image.strip():
        yield causes.invalid(
            f"{field}.image", image, "must not have leading or trailing whitespace"
        )


def _ports(ports: list[Object], field: str) -> Iterator[Cause]:
    names: set[str] = set()
    for i, port in enumerate(ports):
        at, name = f"{field}[{i}]", port.get("name")
        if name:
            problems = formats.port_name(name)
            yield from causes.each_invalid(f"{at}.name", name, problems)
            if not problems and name in names:
                yield causes.duplicate(f"{at}.name", name)
            names.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            yield causes.required(f"{at}.containerPort")
        else:
            yield from causes.each_invalid(
                f"{at}.containerPort", number, formats.port_number(number)
            )
        if port.get("hostPort"):
            problems = formats.port_number(port["hostPort"])
            yield from causes.each_invalid(f"{at}.hostPort", port["hostPort"], problems)
        yield from causes.choice(f"{at}.protocol", port.get("protocol", "TCP"), PROTOCOLS)


def host_port_causes(containers: list[Object], field: str) -> Iterator[Cause]:
    """Refuse one port of the host taken twice by a pod."""
    taken: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports", [])):
            if port.get("hostPort"):
                key = f"{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port['hostPort']}"
                if key in taken:
                    yield causes.duplicate(f"{field}[{i}].ports[{j}].hostPort", key)
                taken.add(key)


def _mounts(mounts: list[Object], field: str, facts: PodFacts) -> Iterator[Cause]:
    paths: set[str] = set()
    for i, mount in enumerate(mounts):
        at, path = f"{field}[{i}]", mount.get("mountPath", "")
        if not mount.get("name"):
            yield causes.required(f"{at}.name")
        elif mount["name"] not in facts.volumes:
            yield causes.not_found(f"{at}.name", mount["name"])
        if not path:
            yield causes.required(f"{at}.mountPath")
        elif path in paths:
            yield causes.invalid(f"{at}.mountPath", path, "must be unique")
        paths.add(path)
        if mount.get("subPath"):
            yield from local_path_causes(mount["subPath"], f"{field}.subPath")


def local_path_causes(path: str, field: str) -> Iterator[Cause]:
    """Refuse a path that leaves the volume it is in."""
    if path.startswith("/"):
        yield causes.invalid(field, path, "must be a relative path")
    if ".." in path.split("/"):
        yield causes.invalid(field, path, "must not contain '..'")


def lifecycle_causes(lifecycle: Object, field: str) -> Iterator[Cause]:
    """Check the hooks of a container."""
    for hook in ("postStart", "preStop"):
        if hook in lifecycle:
            yield from _handler_causes(lifecycle[hook], f"{field}.{hook}")


def _probe_causes(probe: Object, kind: str, field: str) -> Iterator[Cause]:
    yield from _handler_causes(probe, field)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
                 "failureThreshold"):  # fmt: skip
        yield from causes.at_least_zero(f"{field}.{name}", probe.get(name))
    grace_s = probe.get("terminationGracePeriodSeconds")
    if kind == "readiness" and grace_s is not None:
        why = "must not be set for readinessProbes"
        yield causes.invalid(f"{field}.terminationGracePeriodSeconds", grace_s, why)
    if kind != "readiness" and probe.get("successThreshold", 1) > 1:
        yield causes.invalid(f"{field}.successThreshold", probe["successThreshold"], "must be 1")


def _handler_causes(holder: Object, field: str) -> Iterator[Cause]:
    given = [name for name in _HANDLERS if name in holder]
    if not given:
        yield causes.required(field, "must specify a handler type")
    for name in given[1:]:
        yield causes.forbidden(f"{field}.{name}", "may not specify more than 1 handler type")
    for name in given[:1]:
        yield from _action_causes(name, holder[name], f"{field}.{name}")


def _action_causes(name: str, action: Object, field: str) -> Iterator[Cause]:
    if name == "exec" and not action.get("command"):
        yield causes.required(f"{field}.command")
    if name in ("httpGet", "tcpSocket", "grpc"):
        yield from number_or_name_causes(action.get("port", 0), f"{field}.port")
    if name == "httpGet":
        yield from causes.choice(f"{field}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
        for header in action.get("httpHeaders", []):
            problems = formats.http_header(header.get("name", ""))
            yield from causes.each_invalid(f"{field}.httpHeaders", header.get("name", ""), problems)


def number_or_name_causes(port: Any, field: str) -> Iterator[Cause]:
    """Check a port given by number or by name."""
    check = formats.port_name if isinstance(port, str) else formats.port_number
    yield from causes.each_invalid(field, port, check(port))


def identity_causes(security: Object, field: str) -> Iterator[Cause]:
    """Check the user, group and seccomp profile of a pod or container."""
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        value = security.get(name)
        if value is not None and not 0 <= value <= _MAX_UID:
            why = f"must be between 0 and {_MAX_UID}, inclusive"
            yield causes.invalid(f"{field}.{name}", value, why)
    profile = security.get("seccompProfile", {})
    if profile.get("type") == "Localhost" and not profile.get("localhostProfile"):
        why = "must be set when seccomp type is Localhost"
        yield causes.required(f"{field}.seccompProfile.localhostProfile", why)


def _security_causes(security: Object, field: str, facts: PodFacts) -> Iterator[Cause]:
    yield from identity_causes(security, field)
    if security.get("procMount") == "Unmasked" and facts.host_users:
        why = "`hostUsers` must be false to use `Unmasked`"
        yield causes.invalid(f"{field}.procMount", "Unmasked", why)
    if security.get("privileged") and security.get("allowPrivilegeEscalation") is False:
        why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield causes.invalid(field, _go_security(security), why)


def _go_security(security: Object) -> Object:
    """Write a security context as Go writes its internal type."""
    names = (
        "Capabilities", "Privileged", "SELinuxOptions", "WindowsOptions", "RunAsUser",
        "RunAsGroup", "RunAsNonRoot", "ReadOnlyRootFilesystem", "AllowPrivilegeEscalation",
        "ProcMount", "SeccompProfile", "AppArmorProfile",
    )  # fmt: skip
    plain = {name: name.replace("SEL", "SeL") for name in names}
    return {name: security.get(wire[0].lower() + wire[1:]) for name, wire in plain.items()}
