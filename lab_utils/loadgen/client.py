"""One request: its attempts along the failover list, its retries, its hedges, and what was told."""

import asyncio
import random
from collections.abc import Callable, Sequence

from lab_utils.clock import Clock
from lab_utils.loadgen.balance import Balancer
from lab_utils.loadgen.endpoint import Endpoint
from lab_utils.loadgen.outcomes import BrokenAnswer, Row, classify_error, read_answer
from lab_utils.loadgen.plan import Plan
from lab_utils.loadgen.policy import Retries
from lab_utils.loadgen.restraint import Budget, Patience

Report = Callable[[Row], object]
"""Takes one line for the parent; must return at once."""
_NO_RETRIES = Retries(attempts=1)
_INPUTS = '[{"name":"input","shape":[1],"datatype":"FP32","data":[1.0]}]'


class Client:
    """Sends the requests of a plan and tells what became of each to `report`.

    Attributes:
        sent: How many have left so far.
    """

    def __init__(self, plan: Plan, clock: Clock, report: Report) -> None:
        self._clock, self._report, self._policy = clock, report, plan.policy
        self._chance = random.Random(plan.seed)  # noqa: S311 - load, not secrets
        self._groups = [Balancer(urls, plan.policy, self._chance) for urls in plan.targets]
        self._budget = Budget(plan.policy.retries)
        self._patience = Patience(plan.policy.hedge)
        self._more = "" if plan.policy.service_ms is None else (
            f',"service_ms":{plan.policy.service_ms:g}'
        )  # fmt: skip
        self.sent = 0

    async def send(self, index: int, scheduled_s: float) -> None:
        """Send request number index, which was due at scheduled_s, and report its attempts."""
        self.sent += 1
        request = _Request(index)
        row: Row = {"request_id": index, "scheduled_s": scheduled_s}
        try:
            decisive = await self._settle(request)
            row["decisive"] = decisive["attempt"]
        except asyncio.CancelledError:
            row["error"] = "cancelled"
            raise
        finally:
            self._report(row | {"attempts": request.attempts})

    async def _settle(self, request: "_Request") -> Row:
        """Ask until it went well or nothing is left to try; give the attempt that decides."""
        self._budget.earn()
        retries = self._policy.retries or _NO_RETRIES
        for number in range(retries.attempts):
            if number:
                if not self._budget.spend():
                    break
                await asyncio.sleep(self._pause_s(retries, number))
            decisive = await self._walk(request)
            if decisive.get("ok") or decisive["error"] == "http_4xx":
                break
        return decisive

    def _pause_s(self, retries: Retries, number: int) -> float:
        longest_s = min(retries.backoff_s * retries.factor ** (number - 1), retries.max_backoff_s)
        return self._chance.uniform(0.0, longest_s) if retries.jitter else longest_s

    async def _walk(self, request: "_Request") -> Row:
        """Ask along the failover list until one answers well."""
        for group in self._groups:
            decisive = await self._hedged(group, request)
            if decisive.get("ok"):
                break
        return decisive

    async def _hedged(self, group: Balancer, request: "_Request") -> Row:
        """Ask one of a group, and another one too when that takes long; give what decides."""
        if (after_s := self._patience.after_s) is None:
            first = await self._attempt(group, request)
            self._patience.learn(first)
            return first
        async with asyncio.TaskGroup() as tasks:
            first_task = tasks.create_task(self._attempt(group, request))
            done, waiting = await asyncio.wait({first_task}, timeout=after_s)
            if waiting:
                waiting.add(tasks.create_task(self._attempt(group, request, hedge=True)))
            while waiting and not any(task.result().get("ok") for task in done):
                newly, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                done |= newly
            for task in waiting:
                task.cancel()
        self._patience.learn(next(row for row in reversed(request.attempts) if not row["hedge"]))
        finished = sorted((task.result() for task in done), key=lambda row: row["done_s"])
        return next((row for row in finished if row.get("ok")), finished[-1])

    async def _attempt(self, group: Balancer, request: "_Request", *, hedge: bool = False) -> Row:
        """Ask once and complete the attempt's row."""
        endpoint = group.choose(request.tried)
        body = self._body(request.index, len(request.attempts) + 1)
        row = request.begin(endpoint, self._clock.now_s(), hedge)
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                answer = await endpoint.ask(body)
            row["done_s"] = self._clock.at_s(answer.at_ns)
            row |= read_answer(answer.status, answer.body)
        except asyncio.CancelledError:
            row |= {"done_s": self._clock.now_s(), "error": "cancelled"}
            raise
        except (OSError, BrokenAnswer) as exc:
            row |= {"done_s": self._clock.now_s(), "error": classify_error(exc)}
        return row

    def _body(self, index: int, attempt: int) -> bytes:
        return (
            f'{{"id":"{index}","inputs":{_INPUTS},'
            f'"parameters":{{"index":{index},"attempt":{attempt}{self._more}}}}}'
        ).encode()

    def retarget(self, urls: Sequence[str]) -> None:
        """Ask these endpoints from now on, instead of the first group of the plan's targets."""
        self._groups[0].retarget(urls)

    def close(self) -> None:
        """Close what is kept open."""
        for group in self._groups:
            group.close()


class _Request:
    """What a request remembers of its attempts."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.attempts: list[Row] = []
        self.tried: list[Endpoint] = []

    def begin(self, endpoint: Endpoint, now_s: float, hedge: bool) -> Row:
        """Open the row of an attempt."""
        self.tried.append(endpoint)
        number = len(self.attempts) + 1
        row = {"attempt": number, "sent_s": now_s, "endpoint": endpoint.name, "hedge": hedge}
        self.attempts.append(row)
        return row
