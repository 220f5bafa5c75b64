"""The Kubernetes API as the lab uses it: one connection, objects as dicts, errors as sentences.

Hides the official client, which is imported only when first needed (it costs two seconds) and is
the only way anything above `backends/` talks to a cluster. Works with its versions 35 to 37.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lab_utils.credentials import client_of
from lab_utils.errors import ClusterError, ClusterNotRunning, InvalidInput, NotFound

Object = dict[str, Any]
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_TIMEOUT_S = 15.0
_WATCH_GRACE_S = 2.0


class Api:
    """One kubeconfig's API server.

    Args:
        kubeconfig: The file; never merged with the user's own.
        context: A context of it; its current one by default.
    """

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        self._kubeconfig, self._context = kubeconfig, context

    @cached_property
    def _client(self) -> Any:
        from kubernetes.dynamic import DynamicClient
        from urllib3 import Retry

        if not self._kubeconfig.is_file():
            raise ClusterNotRunning(
                f"There is no cluster: {self._kubeconfig.name} is not there. Start one: lab.up()"
            )
        retries = Retry(connect=3, read=0)  # waiting once for an answer is enough
        connected = client_of(self._kubeconfig, self._context, retries=retries)
        # Not the client's own place for it: a predictable name in a shared temporary folder.
        cache = self._kubeconfig.with_name("discovery.json")
        return _explained(
            "Reading what the cluster serves", DynamicClient, connected, cache_file=str(cache)
        )

    def request(
        self,
        action: str,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content_type: str | None = None,
        accept: str = "application/json",
        timeout_s: float = _TIMEOUT_S,
    ) -> str:
        """Send one request and give the text of the answer.

        Args:
            action: What is being done, for the error: "Scaling Deployment lab/worker".
            method: HTTP method.
            path: Path below the server's root.
            query: Query parameters.
            body: A JSON object, or None.
            content_type: Of the body; JSON by default.
            accept: Wanted media type.
            timeout_s: For connecting and for each wait for bytes.

        Raises:
            NotFound: The server answered 404.
            ClusterNotRunning: Nothing answers.
            ClusterError: Every other refusal, with the server's own message.
        """
        response = _explained(
            action,
            self._client.request,
            method,
            path,
            body=body,
            query_params=list(query),
            content_type=content_type,
            header_params={"Accept": accept},
            serialize=False,
            _request_timeout=timeout_s,
        )
        text: str = response.data.decode()
        return text

    def path_of(self, kind: str, namespace: str | None, name: str = "") -> str:
        """Give the path of a kind as kubectl knows it ("pods", "po", "Pod"), or of one object.

        Raises:
            InvalidInput: The cluster serves no such kind.
        """
        resource = self._resource(kind)
        parts = [resource.prefix, resource.group, resource.api_version]
        if resource.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [resource.name, quote(name, safe="")]
        return "/" + "/".join(part for part in parts if part)

    def kind_of(self, kind: str) -> str:
        """Give the proper name of a kind: "po" is "Pod"."""
        proper: str = self._resource(kind).kind
        return proper

    def path_for(self, obj: Object, default_namespace: str) -> str:
        """Give the path of an object from its own apiVersion, kind, namespace and name."""
        meta = obj["metadata"]
        return self.path_of(obj["kind"], meta.get("namespace", default_namespace), meta["name"])

    def _resource(self, kind: str) -> Any:
        wanted = kind.lower()
        for resource in self._client.resources.search():
            names = {
                resource.kind,
                resource.name,
                resource.singular_name,
                *(resource.short_names or ()),
            }
            if wanted in {str(name).lower() for name in names} and "/" not in resource.name:
                return resource
        raise InvalidInput(
            f"The cluster serves no kind {kind!r}. Known are for instance pods, services, "
            "deployments, nodes and events; kubectl api-resources lists them all."
        )

    def find(self, selector: str) -> Iterator[str]:
        """Give the path of every object, of any kind and in any namespace, with these labels."""
        for resource in self._client.resources.search(preferred=True):
            if "/" in resource.name or not {"list", "delete"} <= set(resource.verbs or ()):
                continue
            parts = [resource.prefix, resource.group, resource.api_version]
            root = "/" + "/".join(part for part in parts if part)
            query = [("labelSelector", selector)]
            try:
                text = self.request("Searching", "GET", f"{root}/{resource.name}", query=query)
            except ClusterNotRunning:
                raise
            except ClusterError:  # what may not be listed was not made by who asks
                continue
            for item in json.loads(text)["items"]:
                space = item["metadata"].get("namespace")
                inner = f"/namespaces/{space}" if space else ""
                yield f"{root}{inner}/{resource.name}/{item['metadata']['name']}"

    def read(self, kind: str, namespace: str | None, name: str) -> Object:
        """Read one object."""
        action = f"Reading {kind} {_named(namespace, name)}"
        obj: Object = json.loads(self.request(action, "GET", self.path_of(kind, namespace, name)))
        return obj

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Object]:
        """List objects of a kind, in one namespace or in all, by label selector."""
        query = [("labelSelector", selector)] if selector else []
        text = self.request(f"Listing {kind}", "GET", self.path_of(kind, namespace), query=query)
        items: list[Object] = json.loads(text)["items"]
        return items

    def list_at(self, kind: str, namespace: str | None = None) -> tuple[Sequence[Object], str]:
        """List objects of a kind, and give the version from which watch() goes on."""
        text = self.request(f"Listing {kind}", "GET", self.path_of(kind, namespace))
        found: Object = json.loads(text)
        return found["items"], found["metadata"]["resourceVersion"]

    def watch(
        self, kind: str, namespace: str | None, version: str, *, timeout_s: int
    ) -> Iterator[Object]:
        """Watch objects of a kind from a version on, until the server ends it.

        Args:
            kind: As kubectl knows it.
            namespace: One namespace, or all.
            version: As list_at() gave it, or that of the last object seen.
            timeout_s: After which the server ends the watch.

        Yields:
            Changes as on the wire: {"type": "ADDED", "object": {...}}, bookmarks too.

        Raises:
            ClusterError: The server refused, or says so in the stream; 410: the version is too old.
            ClusterNotRunning: Nothing answers, or no longer.
        """
        action = f"Watching {kind}"
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": timeout_s}
        response = _explained(
            action,
            self._client.request,
            "GET",
            self.path_of(kind, namespace),
            query_params=[*query.items(), ("allowWatchBookmarks", "true")],
            header_params={"Accept": "application/json"},
            serialize=False,
            # The server ends the watch in time; one that does not is not there.
            _request_timeout=(timeout_s, timeout_s + _WATCH_GRACE_S),
        )
        try:
            lines = _lines_of(response)
            while (line := _explained(action, next, lines, None)) is not None:
                change: Object = json.loads(line)
                if change["type"] == "ERROR":
                    said = change["object"]
                    raise ClusterError(f"{action}: {said.get('message')}", said.get("code"))
                yield change
        finally:
            response.close()

    def table(self, kind: str, namespace: str | None, name: str = "", selector: str = "") -> Object:
        """Give what the server would have kubectl print: a meta.k8s.io/v1 Table."""
        query = [("labelSelector", selector)] if selector else []
        path = self.path_of(kind, namespace, name)
        table: Object = json.loads(
            self.request(f"Getting {kind}", "GET", path, query=query, accept=_TABLE)
        )
        return table


def _lines_of(response: Any) -> Iterator[bytes]:
    """Give the lines of an answer as they come."""
    rest = b""
    for piece in response.stream(amt=None, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _named(namespace: str | None, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _explained(action: str, call: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the official client and say its errors in one sentence each."""
    import urllib3
    from kubernetes.client.exceptions import ApiException

    try:
        return call(*args, **kwargs)
    except ApiException as exc:
        status, message = exc.status, _message_of(exc)
        error = NotFound if status == 404 else ClusterError
        raise error(f"{action}: the cluster answered {status}: {message}", status) from exc
    except (urllib3.exceptions.HTTPError, OSError) as exc:
        raise ClusterNotRunning(
            f"{action}: the cluster does not answer ({_root_of(exc)}). "
            "Look with lab.status(), start it again with lab.up()."
        ) from exc


def _message_of(exc: Any) -> str:
    """Take the message out of a Status, whatever the client made of the body."""
    body = exc.body.decode() if isinstance(exc.body, bytes) else str(exc.body or exc.reason)
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip()


def _root_of(exc: BaseException) -> str:
    while (deeper := exc.__cause__ or exc.__context__) is not None:
        exc = deeper
    return type(exc).__name__ + (f": {exc}" if str(exc) else "")


def label_selector(labels: Mapping[str, str]) -> str:
    """Write equality requirements as a label selector: a=b,c=d."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
