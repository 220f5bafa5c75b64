"""What the environment and the volumes of a container refer to, as the API server answered."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lab_utils.controlplane.kubelet.client import ApiClient
from lab_utils.controlplane.status import ApiError, Object

_PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}


class ConfigError(Exception):
    """A container refers to something that is not there; the message is Kubernetes' own."""


@dataclass(frozen=True)
class Sources:
    """Data by (kind, name), and the addresses of node and pod."""

    data: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    node_ip: str = ""
    pod_ip: str = ""

    def require(self, kind: str, ref: Object) -> Mapping[str, str]:
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
) -> dict[tuple[str, str], dict[str, str]]:
    """Ask the API server for ConfigMaps and Secrets, by kind and name; leave out what is not."""
    found = {}
    for kind, name in sorted(set(references)):
        path = f"/api/v1/namespaces/{namespace}/{_PLURALS[kind]}/{name}"
        try:
            data = (await client.get(path)).get("data") or {}
        except ApiError as exc:
            if exc.code != 404:
                raise
            continue
        found[kind, name] = {k: _decode(v) for k, v in data.items()} if kind == "Secret" else data
    return found


def _decode(value: str) -> str:
    return base64.b64decode(value).decode(errors="replace")
