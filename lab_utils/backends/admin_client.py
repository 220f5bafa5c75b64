"""The embedded cluster's own routes, from outside: power switches, ports, and one node's kubelet.

Plain HTTPS on loopback with the standard library; what Kubernetes itself serves is reached through
the official client, elsewhere.
"""

import http.client
import json
import ssl
from typing import Any

from lab_utils.controlplane.config import ADMIN, Layout
from lab_utils.controlplane.endpoint import Endpoint
from lab_utils.errors import ClusterError, ClusterNotRunning, NotFound

_TIMEOUT_S = 10.0


class AdminClient:
    """Speaks to the control plane of one cluster as its administrator."""

    def __init__(self, layout: Layout, endpoint: Endpoint) -> None:
        self._layout, self._port = layout, endpoint.port

    def call(self, action: str, method: str, path: str) -> Any:
        """Send one request.

        Args:
            action: What it is for, as an error begins: "Stopping node lab-worker".
            method: GET or POST.
            path: Path and query, quoted.

        Returns:
            The answer's JSON; None for an empty one.

        Raises:
            NotFound, ClusterError: The cluster refused; says what it said.
            ClusterNotRunning: Nothing answered.
        """
        context = ssl.create_default_context(cafile=str(self._layout.ca))
        headers = {"Authorization": f"Bearer {self._layout.token_of(ADMIN)}"}
        if method == "POST":
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, context=context, timeout=_TIMEOUT_S
        )
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return _read(action, response.status, response.read())
        except TimeoutError as exc:
            raise ClusterError(
                f"{action}: the control plane did not answer within {_TIMEOUT_S:.0f} s. "
                "If it stays so, end the cluster with lab.down() and start it with lab.up()."
            ) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise ClusterNotRunning(
                f"{action}: the control plane is gone ({exc}). Start the cluster with lab.up()."
            ) from exc
        finally:
            connection.close()


def _read(action: str, status: int, body: bytes) -> Any:
    text = body.decode(errors="replace").strip()
    try:
        answer = json.loads(text) if text else None
    except ValueError:
        answer = text
    if status < 400:
        return answer
    message = answer.get("message", text) if isinstance(answer, dict) else text
    error = NotFound if status == 404 else ClusterError
    raise error(f"{action}: the cluster answered {status}: {message}")
