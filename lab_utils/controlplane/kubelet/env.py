"""The environment of a container: image, services, ConfigMaps, Secrets, fields and expansion.

Pure: what the API server knows is fetched before and given as Sources. Source:
https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab_utils.controlplane.status import Object
from lab_utils.units import parse_quantity

_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_INDEXED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """A container refers to something that is not there; the message is Kubernetes' own."""


@dataclass(frozen=True)
class Sources:
    """What the API server answered: data by (kind, name), None for what is not there."""

    data: Mapping[tuple[str, str], Mapping[str, str] | None] = field(default_factory=dict)
    services: tuple[Object, ...] = ()
    node_ip: str = ""
    pod_ip: str = ""
    allocatable: Mapping[str, str] = field(default_factory=dict)


def references(container: Object) -> set[tuple[str, str]]:
    """List the ConfigMaps and Secrets that a container's environment needs."""
    found: set[tuple[str, str]] = set()
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        if "configMapKeyRef" in source:
            found.add(("ConfigMap", source["configMapKeyRef"]["name"]))
        elif "secretKeyRef" in source:
            found.add(("Secret", source["secretKeyRef"]["name"]))
    for source in container.get("envFrom", []):
        kind = "ConfigMap" if "configMapRef" in source else "Secret"
        found.add((kind, (source.get("configMapRef") or source["secretRef"])["name"]))
    return found


def decode(obj: Object) -> dict[str, str]:
    """Read the data of a ConfigMap or a Secret as text."""
    if obj["kind"] == "ConfigMap":
        return dict(obj.get("data") or {})
    values = (obj.get("data") or {}).items()
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in values}


def build_env(pod: Object, container: Object, sources: Sources) -> dict[str, str]:
    """Compute the variables a container gets beside those of its image.

    Raises:
        ConfigError: A ConfigMap, a Secret or a key in one is not there and not optional.
    """
    env: dict[str, str] = {}
    if pod["spec"].get("enableServiceLinks", True):
        for service in sources.services:
            env |= service_variables(service)
    for source in container.get("envFrom", []):
        env |= _env_from(source, sources)
    for variable in container.get("env", []):
        value = _value(variable, env, pod, container, sources)
        if value is not None:
            env[variable["name"]] = value
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace $(NAME) by its value; unknown names stay, $$ is a plain dollar sign."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return _REFERENCE.sub(replacement, text)


def service_variables(service: Object) -> dict[str, str]:
    """Give the variables by which a container finds a Service, after Docker links."""
    address, ports = service["spec"].get("clusterIP", ""), service["spec"].get("ports", [])
    if address in ("", "None") or not ports:
        return {}
    prefix = service["metadata"]["name"].upper().replace("-", "_")
    env = {
        f"{prefix}_SERVICE_HOST": address,
        f"{prefix}_SERVICE_PORT": str(ports[0]["port"]),
        f"{prefix}_PORT": _url(address, ports[0]),
    }
    for port in ports:
        if port.get("name"):
            name = port["name"].upper().replace("-", "_")
            env[f"{prefix}_SERVICE_PORT_{name}"] = str(port["port"])
        protocol = port.get("protocol", "TCP")
        link = f"{prefix}_PORT_{port['port']}_{protocol}"
        env |= {
            link: _url(address, port),
            f"{link}_PROTO": protocol.lower(),
            f"{link}_PORT": str(port["port"]),
            f"{link}_ADDR": address,
        }
    return env


def field_value(pod: Object, path: str, sources: Sources) -> str:
    """Read a field of the downward API."""
    metadata, spec = pod["metadata"], pod["spec"]
    if indexed := _INDEXED.fullmatch(path):
        return str(metadata.get(indexed[1], {}).get(indexed[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = metadata.get(path.partition(".")[2], {})
        return "\n".join(f'{key}="{pairs[key]}"' for key in sorted(pairs))
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": sources.pod_ip,
        "status.podIPs": sources.pod_ip,
        "status.hostIP": sources.node_ip,
        "status.hostIPs": sources.node_ip,
    }
    if path not in known:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(known[path])


def resource_value(pod: Object, container: Object, ref: Object, sources: Sources) -> str:
    """Read limits.cpu and its like, in units of the divisor, rounded up."""
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    name = ref.get("containerName")
    target = next((c for c in containers if c["name"] == name), container)
    kind, _, resource = ref["resource"].partition(".")
    given = target.get("resources", {}).get(kind, {})
    default = sources.allocatable.get(resource, "0") if kind == "limits" else "0"
    divisor = parse_quantity(ref.get("divisor") or "1") or 1
    return str(math.ceil(parse_quantity(given.get(resource, default)) / divisor))


def _value(
    variable: Object, env: Mapping[str, str], pod: Object, container: Object, sources: Sources
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value", ""), env)
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], sources)
    if "resourceFieldRef" in source:
        return resource_value(pod, container, source["resourceFieldRef"], sources)
    if "configMapKeyRef" in source:
        return _key("ConfigMap", source["configMapKeyRef"], pod, sources)
    return _key("Secret", source["secretKeyRef"], pod, sources)


def _key(kind: str, ref: Object, pod: Object, sources: Sources) -> str | None:
    data = sources.data.get((kind, ref["name"]))
    if data is None and not ref.get("optional"):
        raise ConfigError(f'{kind.lower()} "{ref["name"]}" not found')
    value = (data or {}).get(ref["key"])
    if value is None and not ref.get("optional"):
        where = f"{pod['metadata']['namespace']}/{ref['name']}"
        raise ConfigError(f"couldn't find key {ref['key']} in {kind} {where}")
    return value


def _env_from(source: Object, sources: Sources) -> dict[str, str]:
    kind = "ConfigMap" if "configMapRef" in source else "Secret"
    ref: dict[str, Any] = source.get("configMapRef") or source["secretRef"]
    data = sources.data.get((kind, ref["name"]))
    if data is None and not ref.get("optional"):
        raise ConfigError(f'{kind.lower()} "{ref["name"]}" not found')
    return {source.get("prefix", "") + key: value for key, value in (data or {}).items()}


def _url(address: str, port: Object) -> str:
    return f"{port.get('protocol', 'TCP').lower()}://{address}:{port['port']}"
