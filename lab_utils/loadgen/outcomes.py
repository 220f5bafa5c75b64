"""What can become of an attempt. A failure is a class, never an exception, and never a latency.

timeout      no whole answer within timeout_s of sending
refused      nobody listens there
unreachable  no route to the host
reset        the connection broke, or was closed without an answer
dns          the name has no address
http_429, http_503, http_5xx, http_4xx   the server said so
protocol     an answer that is not what the protocol allows
client       this machine ran out of sockets or ports: says nothing about the server
cancelled    given up before the answer, at the end of the run or because a hedge was quicker: says
             nothing about the server
"""

import errno
import json
import socket
import ssl
from typing import Any

Row = dict[str, Any]
_BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EMFILE: "client",
    errno.ENFILE: "client",
    errno.EADDRNOTAVAIL: "client",
    errno.ENOBUFS: "client",
}


class BrokenAnswer(ValueError):
    """An answer that is not what the protocol allows."""


def classify_error(exc: Exception) -> str:
    """Name the class of an exception of a connection."""
    match exc:
        case TimeoutError():
            # The kernel's own ETIMEDOUT is one too: no answer to the connection in minutes.
            return "timeout"
        case socket.gaierror():
            return "dns"
        case BrokenAnswer() | ssl.SSLError():
            return "protocol"
        case OSError():
            return _BY_ERRNO.get(exc.errno or 0, "reset")
    raise exc


def read_answer(status: int, body: bytes) -> Row:
    """Tell from a whole answer whether it is a success, and who gave it."""
    if status != 200:
        return {"status": status, "error": _class_of(status)}
    try:
        said = json.loads(body).get("parameters", {})
        row = {
            "status": status,
            "ok": True,
            "pod": str(said.get("pod", "")),
            "node": str(said.get("node", "")),
            "role": str(said.get("role", "")),
            "batch_size": int(said.get("batch_size", 0)),
        }
        for name in ("queue_s", "service_s"):
            if (value := said.get(name)) is not None:
                row[name] = float(value)
    except (ValueError, AttributeError, TypeError):
        return {"status": status, "error": "protocol"}
    return row


def _class_of(status: int) -> str:
    if status in (429, 503):
        return f"http_{status}"
    return {4: "http_4xx", 5: "http_5xx"}.get(status // 100, "protocol")
