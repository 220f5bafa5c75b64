"""What this server serves, in the documents clients ask for first.

All of it is derived from `kinds`; both forms, one document per group version (plain) and one for
all (aggregated), say the same. Documents are made once.
Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from collections.abc import Iterator
from functools import cache

from lab_utils.controlplane.kinds import KINDS, Kind
from lab_utils.controlplane.status import Object

VERSION = "v1.36.2"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
HEALTH = ("/healthz", "/livez", "/readyz")
"""What needs no token: it says only that the server lives."""
_OPTIONAL = ("shortNames", "categories")
_READ_WRITE = ("get", "patch", "update")
_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")
SUBRESOURCES: dict[str, tuple[tuple[str, ...], tuple[str, str, str] | None]] = {
    "status": (_READ_WRITE, None),
    "scale": (_READ_WRITE, ("autoscaling", "v1", "Scale")),
    "log": (("get",), None),
    "binding": (("create",), ("", "v1", "Binding")),
    "eviction": (("create",), ("policy", "v1", "Eviction")),
    "finalize": (("update",), None),
    "proxy": (_PROXY, ("", "v1", "{}ProxyOptions")),
    "exec": (_STREAM, ("", "v1", "PodExecOptions")),
    "attach": (_STREAM, ("", "v1", "PodAttachOptions")),
    "portforward": (_STREAM, ("", "v1", "PodPortForwardOptions")),
}
"""Subresource -> its verbs and the (group, version, kind) of its bodies; None: the parent's."""
PASSED_ON = ("log", "proxy", "exec", "attach", "portforward")
"""Subresources that somebody else answers."""


def subresources(row: Kind) -> tuple[str, ...]:
    """List the subresources of a kind by name."""
    return tuple(sorted((*row.subresources, *(("status",) if row.has_status else ()))))


def _version() -> Object:
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


def root(group: str, version: str) -> str:
    """Give the path of a group version: `/api/v1`, `/apis/apps/v1`."""
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


@cache
def documents() -> dict[str, Object]:
    """Give every plain document by its path."""
    everyone = {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}
    core = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [everyone]}
    named = [_group(name) for name in groups()]
    head = {"apiVersion": "v1"}
    found: dict[str, Object] = {"/api": core, "/version": _version()}
    found["/apis"] = {"kind": "APIGroupList"} | head | {"groups": named}
    found |= {f"/apis/{one['name']}": {"kind": "APIGroup"} | head | one for one in named}
    found |= {root(*key): _resource_list(*key) for key in group_versions()}
    found[""] = {"paths": sorted([*found, "/openapi/v2", "/openapi/v3", *HEALTH])}
    return found


def _group(name: str) -> Object:
    versions = [
        {"groupVersion": f"{name}/{number}", "version": number}
        for found, number in group_versions()
        if found == name
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(group: str, version: str) -> Object:
    resources = [
        entry
        for row in group_versions()[group, version]
        for entry in _plain_entries(_aggregate(row), is_namespaced=row.namespaced)
    ]
    name = f"{group}/{version}" if group else version
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name}
    return head | {"resources": resources}


def _plain_entries(entry: Object, *, is_namespaced: bool) -> Iterator[Object]:
    """Say what an aggregated entry says in the plain form: a subresource is a line of its own."""
    name, common = entry["resource"], {"namespaced": is_namespaced}
    main = {"name": name, "singularName": entry["singularResource"]} | common
    main |= {"kind": entry["responseKind"]["kind"]}
    yield main | {key: entry[key] for key in ("verbs", *_OPTIONAL) if key in entry}
    for inner in entry.get("subresources", ()):
        line = {"name": f"{name}/{inner['subresource']}", "singularName": ""} | common
        shown = {key: value for key, value in inner["responseKind"].items() if value}
        yield line | shown | {"verbs": inner["verbs"]}


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
    verbs, body = SUBRESOURCES[name]
    group, version, kind = body or (row.group, row.version, row.name)
    own = (group, version) == (row.group, row.version)
    response = {"group": "", "version": ""} if own else {"group": group, "version": version}
    kind = kind.format(row.name)
    return {
        "subresource": name,
        "responseKind": response | {"kind": kind},
        "verbs": list(verbs),
    }
