"""What a path means: `/apis/apps/v1/namespaces/lab/deployments/web/scale` taken apart.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from dataclasses import dataclass
from urllib.parse import unquote

_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True)
class RequestInfo:
    """One resource path; what it does not name is "". rest is the raw path behind a proxy."""

    group: str
    version: str
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    is_watch: bool = False


def parse_path(raw_path: str) -> RequestInfo | None:
    """Take a raw path apart; None when it names no resource."""
    segments = raw_path.split("?", 1)[0].split("/")[1:]
    if segments[0] == "api" and len(segments) > 1 and segments[1]:
        group, version, tail = "", segments[1], segments[2:]
    elif segments[0] == "apis" and len(segments) > 2 and segments[2]:
        group, version, tail = segments[1], segments[2], segments[3:]
    else:
        return None
    is_watch = tail[:1] == ["watch"]
    parts, namespace = tail[1:] if is_watch else tail, ""
    if _is_inside_namespace(parts):
        namespace, parts = parts[1], parts[2:]
    plural, name, subresource = (unquote(part) for part in (*parts[:3], "", "", "")[:3])
    if not plural:
        return None
    rest = "/".join(parts[3:])
    return RequestInfo(
        group, version, unquote(namespace), plural, name, subresource, rest, is_watch
    )


def _is_inside_namespace(parts: list[str]) -> bool:
    """Tell `namespaces/lab/pods` from `namespaces/lab` and `namespaces/lab/status`."""
    if parts[:1] != ["namespaces"] or len(parts) < 3 or not parts[2]:
        return False
    return len(parts) > 3 or parts[2] not in _NAMESPACE_SUBRESOURCES
