"""One request, its attempts and their outcomes. A failure is a class, never an exception.

timeout      no whole answer within timeout_s of sending
refused      nobody listens there
unreachable  no route to the host
reset        the connection broke before a whole answer
dns          the name has no address
http_429, http_503, http_5xx, http_4xx   the server said so
protocol     an answer that is not what the protocol allows
client       this machine ran out of sockets or ports: says nothing about the server
cancelled    the run ended before the answer: says nothing about the server
"""

import asyncio
import errno
import json
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from lab_utils.clock import Clock
from lab_utils.loadgen.plan import INFER_PATH, Plan

Row = dict[str, Any]
Report = Callable[[Row], object]
"""Takes one line for the parent; must return at once."""
_BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EMFILE: "client",
    errno.ENFILE: "client",
    errno.EADDRNOTAVAIL: "client",
    errno.ENOBUFS: "client",
}


def open_session(plan: Plan) -> aiohttp.ClientSession:
    """Open the HTTP client of a plan: no cap on connections, no cookies, no proxies.

    aiohttp's own limit of 100 connections would be a hidden queue in front of the server, and
    would hide just the waiting that a run is meant to measure.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=not plan.keep_alive),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),  # none of its own: asyncio.timeout bounds a request
    )


class Client:
    """Sends the requests of a plan and tells what became of each to `report`."""

    def __init__(
        self, plan: Plan, session: aiohttp.ClientSession, clock: Clock, report: Report
    ) -> None:
        self._plan, self._session, self._clock, self._report = plan, session, clock, report
        self._urls = [url.rstrip("/") + INFER_PATH for url in plan.urls]
        self.sent = 0

    async def send(self, index: int, scheduled_s: float) -> None:
        """Send request number index, which was due at scheduled_s, and report its attempts."""
        self.sent += 1
        attempts: list[Row] = []
        try:
            for url in self._urls:
                attempts.append({"attempt": len(attempts) + 1, "sent_s": self._clock.now_s()})
                await self._attempt(url, index, attempts[-1])
                if attempts[-1].get("ok"):
                    break
        finally:
            self._report({"request_id": index, "scheduled_s": scheduled_s, "attempts": attempts})

    async def _attempt(self, url: str, index: int, row: Row) -> None:
        """Ask once and complete the attempt's row."""
        try:
            async with (
                asyncio.timeout(self._plan.timeout_s),
                self._session.post(
                    url, json=self._body(index, row["attempt"]), allow_redirects=False
                ) as response,
            ):
                body = await response.read()
            row["done_s"] = self._clock.now_s()
            row |= {"status": response.status} | read_answer(response.status, body)
        except asyncio.CancelledError:
            row |= {"done_s": self._clock.now_s(), "error": "cancelled"}
            raise
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            row |= {"done_s": self._clock.now_s(), "error": classify_error(exc)}

    def _body(self, index: int, attempt: int) -> Row:
        parameters: Row = {"index": index, "attempt": attempt}
        if self._plan.service_ms is not None:
            parameters["service_ms"] = self._plan.service_ms
        tensor = {"name": "input", "shape": [1], "datatype": "FP32", "data": [1.0]}
        return {"id": str(index), "inputs": [tensor], "parameters": parameters}


def classify_error(exc: Exception) -> str:
    """Name the class of outcome of an exception."""
    if isinstance(exc, TimeoutError):
        return "timeout"
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "reset" if isinstance(exc.__cause__, ConnectionError) else "protocol"
    if isinstance(exc, OSError):  # aiohttp's connection errors are OSErrors with their errno
        return _BY_ERRNO.get(exc.errno or 0, "reset")
    return "protocol" if isinstance(exc, aiohttp.ClientResponseError | ValueError) else "reset"


def read_answer(status: int, body: bytes) -> Row:
    """Tell from a whole answer whether it is a success, and who gave it."""
    if status != 200:
        return {"error": _status_class(status)}
    try:
        parameters = json.loads(body).get("parameters", {})
        said = {key: str(parameters.get(key, "")) for key in ("pod", "node", "role")}
        return said | {"ok": True} | _numbers(parameters)
    except (ValueError, AttributeError, TypeError):
        return {"error": "protocol"}


def _numbers(parameters: Mapping[str, Any]) -> Row:
    said = {key: parameters.get(key) for key in ("queue_s", "service_s")}
    numbers: Row = {key: float(value) for key, value in said.items() if value is not None}
    return numbers | {"batch_size": int(parameters.get("batch_size", 0))}


def _status_class(status: int) -> str:
    if status in (429, 503):
        return f"http_{status}"
    return {4: "http_4xx", 5: "http_5xx"}.get(status // 100, "protocol")
