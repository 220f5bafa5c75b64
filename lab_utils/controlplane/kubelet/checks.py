"""Asking a container whether it is well: httpGet, tcpSocket and exec, for probes and hooks.

Speaks just enough HTTP/1.1 to read a status line: a client library would cost more CPU time than
a small worker's answer. Failures are worded as Go's net/http words them, as `kubectl describe` on
a real cluster shows them.
"""

import asyncio
import contextlib
import ssl

from lab_utils.controlplane.kubelet.runtime import Container, Runtime, StartError
from lab_utils.controlplane.status import Object

_HEADERS_TIMEOUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


class CheckFailed(Exception):
    """The container did not answer as it should; the message says how."""


async def check(
    action: Object, container: Container, spec: Object, pod_ip: str, runtime: Runtime
) -> None:
    """Ask once, within timeoutSeconds of the action.

    Args:
        action: A probe or a handler: has httpGet, tcpSocket or exec.
        container: The running container.
        spec: The container's spec, for names of ports.
        pod_ip: Where the container listens.
        runtime: What runs commands in it.

    Raises:
        CheckFailed: No answer in time, or the wrong one.
    """
    timeout_s = float(action.get("timeoutSeconds", 1))
    if "httpGet" in action:
        await _http_get(action["httpGet"], spec, pod_ip, timeout_s)
    elif "tcpSocket" in action:
        host = action["tcpSocket"].get("host") or pod_ip
        port = port_number(action["tcpSocket"]["port"], spec)
        await _tcp_socket(host, port, timeout_s)
    elif "exec" in action:
        await _execute(runtime, container, action["exec"]["command"], timeout_s)


def port_number(port: int | str, spec: Object) -> int:
    """Find a port by its number or by its name in the container's ports."""
    if isinstance(port, int) or port.isdecimal():
        return int(port)
    for declared in spec.get("ports", []):
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise CheckFailed(f"couldn't find port: {port}")


async def _http_get(action: Object, spec: Object, pod_ip: str, timeout_s: float) -> None:
    host = action.get("host") or pod_ip
    port = port_number(action["port"], spec)
    scheme, path = action.get("scheme", "HTTP").lower(), action.get("path") or "/"
    url = f"{scheme}://{host}:{port}{path}"
    try:
        async with asyncio.timeout(timeout_s):
            status = await _status(host, port, path, action, tls=scheme == "https")
    except TimeoutError:
        raise CheckFailed(f'Get "{url}": {_HEADERS_TIMEOUT}') from None
    except OSError as exc:
        raise CheckFailed(f'Get "{url}": {_dial_error(host, port, exc)}') from exc
    if status is None:
        raise CheckFailed(f'Get "{url}": EOF')
    if not 200 <= status < 400:  # redirects are not followed, and count as an answer
        raise CheckFailed(f"HTTP probe failed with statuscode: {status}")


async def _status(host: str, port: int, path: str, action: Object, *, tls: bool) -> int | None:
    """Send a GET and read the status code; None when the connection ends without one."""
    reader, writer = await asyncio.open_connection(host, port, ssl=_any_certificate(tls))
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*"}
    headers |= {header["name"]: header["value"] for header in action.get("httpHeaders", [])}
    lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    try:
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        words = (await reader.readline()).split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _any_certificate(tls: bool) -> ssl.SSLContext | None:
    if not tls:
        return None
    context = ssl.create_default_context()  # probes do not verify, nor do Kubernetes'
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _tcp_socket(host: str, port: int, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise CheckFailed(f"dial tcp {host}:{port}: i/o timeout") from None
    except OSError as exc:
        raise CheckFailed(_dial_error(host, port, exc)) from exc
    writer.close()


async def _execute(
    runtime: Runtime, container: Container, command: list[str], timeout_s: float
) -> None:
    try:
        code, output = await runtime.execute(container, command, timeout_s)
    except StartError as exc:
        raise CheckFailed(str(exc)) from exc
    if code is None:
        raise CheckFailed(f'command timed out: "{" ".join(command)}" timed out after {timeout_s}s')
    if code != 0:
        raise CheckFailed(output)


def _dial_error(host: str, port: int, exc: OSError) -> str:
    if isinstance(exc, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    if isinstance(exc, ConnectionResetError):
        return f"read tcp {host}:{port}: read: connection reset by peer"
    return f"dial tcp {host}:{port}: {exc.strerror or exc}"
