"""The environment of a container: image, Services, ConfigMaps, Secrets, fields and expansion.

What the API server knows is fetched first, as Sources; the rest is pure. Source:
https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab_utils.controlplane.kubelet.client import ApiClient
from lab_utils.controlplane.kubelet.node import capacity
from lab_utils.controlplane.kubelet.sandbox import service_links
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.units import parse_quantity

_PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}
_API = "kubernetes"
_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_INDEXED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_KINDS = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}


Content = str | bytes
"""A value of a ConfigMap or a Secret; bytes if it is no text."""


class ConfigError(Exception):
    """A container refers to something that is not there; the message is Kubernetes' own."""


@dataclass(frozen=True)
class Sources:
    """Data by (kind, name), the Services to tell of, and the addresses of node and pod."""

    data: Mapping[tuple[str, str], Mapping[str, Content]] = field(default_factory=dict)
    services: Sequence[Object] = ()
    node_ip: str = ""
    pod_ip: str = ""

    def require(self, kind: str, ref: Object) -> Mapping[str, Content]:
        """Give the data of the ConfigMap or Secret that a reference names.

        Raises:
            ConfigError: It is not there and not optional.
        """
        name = ref.get("secretName") or ref["name"]
        if (kind, name) not in self.data and not ref.get("optional"):
            raise ConfigError(f'{kind.lower()} "{name}" not found')
        return self.data.get((kind, name), {})


async def fetch_data(
    client: ApiClient, namespace: str, references: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Content]]:
    """Ask the API server for ConfigMaps and Secrets, by kind and name; leave out what is not."""
    found: dict[tuple[str, str], dict[str, Content]] = {}
    for kind, name in sorted(set(references)):
        path = f"/api/v1/namespaces/{namespace}/{_PLURALS[kind]}/{name}"
        if (obj := await _get_if_there(client, path)) is not None:
            plain, encoded = obj.get("data") or {}, obj.get("binaryData") or {}
            if kind == "Secret":
                plain, encoded = {}, plain
            found[kind, name] = plain | {key: _decode(value) for key, value in encoded.items()}
    return found


async def _get_if_there(client: ApiClient, path: str) -> Object | None:
    try:
        return await client.get(path)
    except ApiError as exc:
        if exc.code != 404:
            raise
        return None


async def fetch_services(client: ApiClient, pod: Object) -> list[Object]:
    """Ask the API server for the Services a pod is told of: its namespace's, and the API's own."""
    found = []
    if pod["spec"].get("enableServiceLinks", True):
        namespace = pod["metadata"]["namespace"]
        found = (await client.get(f"/api/v1/namespaces/{namespace}/services"))["items"]
    if not any(service["metadata"]["name"] == _API for service in found):
        api = await _get_if_there(client, f"/api/v1/namespaces/default/services/{_API}")
        found += [api] if api else []
    return found


def _decode(value: str) -> Content:
    content = base64.b64decode(value)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _text(content: Content) -> str:
    return content if isinstance(content, str) else content.decode(errors="replace")


def env_references(container: Object) -> Iterator[tuple[str, str]]:
    """Name the ConfigMaps and Secrets that a container's environment needs."""
    sources = [variable.get("valueFrom", {}) for variable in container.get("env", [])]
    for source in [*sources, *container.get("envFrom", [])]:
        for name, kind in _KINDS.items():
            if name in source:
                yield kind, source[name]["name"]


def build_env(pod: Object, container: Object, sources: Sources) -> dict[str, str]:
    """Compute the variables a container gets beside those of its image.

    Raises:
        ConfigError: A ConfigMap, a Secret or a key in one is not there and not optional.
    """
    env = service_links(sources.services)
    for source in container.get("envFrom", []):
        ((name, ref),) = ((name, source[name]) for name in _KINDS if name in source)
        data = sources.require(_KINDS[name], ref)
        prefix = source.get("prefix", "")
        env |= {prefix + key: _text(value) for key, value in data.items()}
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


def field_value(pod: Object, path: str, sources: Sources) -> str:
    """Read a field of the downward API."""
    metadata, spec = pod["metadata"], pod["spec"]
    if indexed := _INDEXED.fullmatch(path):
        return str(metadata.get(indexed[1], {}).get(indexed[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = metadata.get(path.partition(".")[2], {})
        return "\n".join(f"{key}={json.dumps(pairs[key])}" for key in sorted(pairs))
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


def resource_value(pod: Object, container: Object, ref: Object) -> str:
    """Read limits.cpu and its like in units of the divisor, rounded up; no limit is the node's."""
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    name = ref.get("containerName")
    target = next((c for c in containers if c["name"] == name), container)
    kind, _, resource = ref["resource"].partition(".")
    unset = capacity().get(resource, "0") if kind == "limits" else "0"
    given = target.get("resources", {}).get(kind, {}).get(resource, unset)
    divisor = parse_quantity(ref.get("divisor") or "1") or 1
    return str(math.ceil(parse_quantity(given) / divisor))


def _value(
    variable: Object, env: Mapping[str, str], pod: Object, container: Object, sources: Sources
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value", ""), env)
    ((name, ref),) = source.items()
    if name == "fieldRef":
        return field_value(pod, ref["fieldPath"], sources)
    if name == "resourceFieldRef":
        return resource_value(pod, container, ref)
    found = sources.require(_KINDS[name], ref).get(ref["key"])
    if found is None and not ref.get("optional"):
        where = f"{pod['metadata']['namespace']}/{ref['name']}"
        raise ConfigError(f"couldn't find key {ref['key']} in {_KINDS[name]} {where}")
    return None if found is None else _text(found)
