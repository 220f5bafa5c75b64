"""What this server serves, in the documents clients ask for first.

All of it is derived from `kinds`; both forms, one document per group version (plain) and one for
all (aggregated), say the same. Documents are made once.
Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

import hashlib
from collections.abc import Iterator
from functools import cache

from lab_utils.controlplane.kinds import KINDS, Kind
from lab_utils.controlplane.status import Object

VERSION = "v1.36.2"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_READ_WRITE = ("get", "patch", "update")
_PROXY = ("create", "delete", "get", "patch", "update")
SUBRESOURCES: dict[str, tuple[tuple[str, ...], tuple[str, str, str] | None]] = {
    "status": (_READ_WRITE, None),
    "scale": (_READ_WRITE, ("autoscaling", "v1", "Scale")),
    "log": (("get",), None),
    "binding": (("create",), ("", "v1", "Binding")),
    "eviction": (("create",), ("policy", "v1", "Eviction")),
    "finalize": (("update",), None),
    "proxy": (_PROXY, ("", "v1", "{}ProxyOptions")),
}
"""Subresource -> its verbs and the (group, version, kind) of its bodies; None: the parent's."""


def subresources(row: Kind) -> tuple[str, ...]:
    """List the subresources of a kind by name."""
    return tuple(sorted((*row.subresources, *(("status",) if row.has_status else ()))))


def version() -> Object:
    """Say which Kubernetes this server speaks for."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": VERSION,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "cpython",
        "platform": "embedded",
    }


@cache
def group_versions() -> dict[tuple[str, str], tuple[Kind, ...]]:
    """Give the kinds of each (group, version), core first."""
    found: dict[tuple[str, str], list[Kind]] = {}
    for row in KINDS:
        found.setdefault((row.group, row.version), []).append(row)
    return {key: tuple(sorted(rows, key=lambda row: row.plural)) for key, rows in found.items()}


def groups() -> list[str]:
    """List the named groups."""
    return list(dict.fromkeys(group for group, _ in group_versions() if group))


def core_versions(address: str) -> Object:
    """Give the document at /api."""
    server = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [server]}


def group(name: str) -> Object:
    """Give the document at /apis/GROUP."""
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name)


def _group(name: str) -> Object:
    versions = [
        {"groupVersion": f"{name}/{number}", "version": number}
        for found, number in group_versions()
        if found == name
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def group_list() -> Object:
    """Give the document at /apis."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g) for g in groups()]}


def resource_list(key: tuple[str, str]) -> Object:
    """Give the document of one group version."""
    resources = [entry for row in group_versions()[key] for entry in _resources(row)]
    name = "/".join(filter(None, key))
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name} | {
        "resources": resources
    }


def _resources(row: Kind) -> Iterator[Object]:
    common = {"namespaced": row.namespaced}
    main: Object = {"name": row.plural, "singularName": row.singular} | common
    main |= {"kind": row.name}
    main |= {"verbs": list(row.verbs)}
    main |= {"shortNames": list(row.short_names)} if row.short_names else {}
    main |= {"categories": list(row.categories)} if row.categories else {}
    yield main
    for name in subresources(row):
        verbs, _ = SUBRESOURCES[name]
        other, number, kind = _response_kind(row, name)
        entry = {"name": f"{row.plural}/{name}", "singularName": ""} | common
        is_foreign = (other, number) != (row.group, row.version)
        entry |= {"group": other, "version": number} if is_foreign else {}
        yield entry | {"kind": kind, "verbs": list(verbs)}


def _response_kind(row: Kind, subresource: str) -> tuple[str, str, str]:
    foreign = SUBRESOURCES[subresource][1]
    if foreign is None:
        return row.group, row.version, row.name
    return foreign[0], foreign[1], foreign[2].format(row.name)


def aggregated(*, core: bool) -> Object:
    """Give the aggregated document at /api (core) or /apis."""
    items: list[Object] = []
    for name in [""] if core else groups():
        versions = [
            {"version": number, "resources": [_aggregate(row) for row in rows]}
            | {"freshness": "Current"}
            for (found, number), rows in group_versions().items()
            if found == name
        ]
        items.append({"metadata": {"name": name} if name else {}, "versions": versions})
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2"}
    return head | {"metadata": {}, "items": items}


def _aggregate(row: Kind) -> Object:
    entry: Object = {
        "resource": row.plural,
        "responseKind": {"group": "", "version": "", "kind": row.name},
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": list(row.verbs),
    }
    entry |= {"shortNames": list(row.short_names)} if row.short_names else {}
    entry |= {"categories": list(row.categories)} if row.categories else {}
    inner = [_aggregate_subresource(row, name) for name in subresources(row)]
    return entry | ({"subresources": inner} if inner else {})


def _aggregate_subresource(row: Kind, name: str) -> Object:
    other, number, kind = _response_kind(row, name)
    own = (other, number) == (row.group, row.version)
    response = {"group": "", "version": ""} if own else {"group": other, "version": number}
    verbs = list(SUBRESOURCES[name][0])
    return {"subresource": name, "responseKind": response | {"kind": kind}, "verbs": verbs}


def paths() -> Object:
    """Give the document at /: every path that is no object."""
    known = ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz"]
    for name, number in group_versions():
        known += [f"/apis/{name}", f"/apis/{name}/{number}"] if name else [f"/api/{number}"]
    return {"paths": sorted([*known, "/version"])}


def etag(document: bytes) -> str:
    """Give a document's entity tag: kubectl asks with it whether its cache still holds."""
    return f'"{hashlib.sha512(document).hexdigest().upper()}"'
