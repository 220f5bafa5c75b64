"""Asking a container whether it is well: httpGet, tcpSocket and exec, for probes and hooks.

Speaks just enough HTTP/1.1 to read a status line: a client library would cost more CPU time than
a small worker's answer. Failures are worded as Go's net/http words them, as `kubectl describe` on
a real cluster shows them.
"""

import asyncio
import contextlib
import ssl
from typing import Any

from lab_utils.controlplane.kubelet.runtime import Container, Launch, Runtime, StartError
from lab_utils.controlplane.status import Object

_HEADERS_TIMEOUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


class CheckFailed(Exception):
    """The container did not answer as it should; the message says how."""


async def check(runtime: Runtime, container: Container, action: Object) -> None:
    """Ask once, within timeoutSeconds of the action, which has httpGet, tcpSocket or exec.

    Raises:
        CheckFailed: No answer in time, or the wrong one.
    """
    timeout_s = float(action.get("timeoutSeconds", 1))
    if "httpGet" in action:
        await _http_get(container.launch, action["httpGet"], timeout_s)
    elif "tcpSocket" in action:
        host, port = _target(container.launch, action["tcpSocket"])
        await _tcp_socket(host, port, timeout_s)
    elif "exec" in action:
        await _execute(runtime, container, action["exec"]["command"], timeout_s)


def _target(launch: Launch, action: Object) -> tuple[str, int]:
    """Find where to connect to; a port is given by number or by name."""
    port = launch.ports.get(action["port"], action["port"])
    if not str(port).isdecimal():
        raise CheckFailed(f"couldn't find port: {port}")
    return action.get("host") or launch.address, int(port)


async def _http_get(launch: Launch, action: Object, timeout_s: float) -> None:
    host, port = _target(launch, action)
    scheme, path = action.get("scheme", "HTTP").lower(), action.get("path") or "/"
    asked = f'Get "{scheme}://{host}:{port}{path}"'
    given = {header["name"]: header["value"] for header in action.get("httpHeaders", [])}
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*"} | given
    lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    request = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
    tls = _any_certificate() if scheme == "https" else None
    try:
        async with asyncio.timeout(timeout_s):
            words = (await _first_line(host, port, request, tls)).split()
    except TimeoutError:
        raise CheckFailed(f"{asked}: {_HEADERS_TIMEOUT}") from None
    except OSError as exc:
        raise CheckFailed(f"{asked}: {_dial_error(host, port, exc)}") from exc
    if len(words) < 2 or not words[1].isdigit():
        raise CheckFailed(f"{asked}: EOF")
    if not 200 <= int(words[1]) < 400:  # redirects are not followed, and count as an answer
        raise CheckFailed(f"HTTP probe failed with statuscode: {int(words[1])}")


async def _first_line(host: str, port: int, request: bytes, tls: Any) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(request)
        return await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _any_certificate() -> ssl.SSLContext:
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
