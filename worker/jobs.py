"""What a client asks of the clock, and what becomes of it.

Hides futures: routes await `Job.done()` or iterate `Job.tokens()`. Never decides when a job starts
or how long it takes: that is `engine.py` and `model.py`.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """What one request asks for.

    Attributes:
        index: Take the time drawn for this number; None takes the next one.
        service_s: Take this long instead of a drawn time.
        prompt_tokens: Length of the prompt; 0 where the request is not for text.
        output_tokens: Tokens to write; 0 where the request is not for text.
    """

    index: int | None = None
    service_s: float | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one job takes if it runs alone.

    Attributes:
        service_s: From start to end.
        first_s: From start to the first token.
        token_s: From one token to the next.
    """

    service_s: float
    first_s: float = 0.0
    token_s: float = 0.0

    def stretched(self, factor: float) -> "Pace":
        """Give the pace of the same job when everything takes factor times as long."""
        if factor == 1.0:
            return self
        return Pace(self.service_s * factor, self.first_s * factor, self.token_s * factor)


@dataclass(frozen=True, slots=True)
class Times:
    """What one job took, on the ideal timeline."""

    queue_s: float
    service_s: float
    batch_size: int


class Overloaded(Exception):
    """Every slot is busy and every place in the queue is taken.

    Attributes:
        retry_after_s: Whole seconds after which a place should be free, at least 1.
    """

    def __init__(self, wait_s: float) -> None:
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(f"The queue is full; retry in {self.retry_after_s} s.")


class DeadlineExceeded(Exception):
    """A request waited as long as a request may wait, and was dropped without service."""

    def __init__(self, deadline_s: float) -> None:
        super().__init__(f"No slot became free within the deadline of {deadline_s:g} s.")


class Abandoned(Exception):
    """Nobody wants the answer any more."""


@dataclass(eq=False, slots=True)
class Job:
    """One inference; instants are seconds of the event loop's clock.

    Attributes:
        work: What was asked for.
        pace: How long it takes alone.
        arrived_s: When it was submitted.
        begun: Set when it starts or fails; only where tokens are asked for.
        ended: Set when it ends, to None or to why it failed.
        started_s: When a slot became its own.
        ended_s: When it gave the slot back.
        stretch: Time it takes in its batch and under load, over the time it takes alone.
        batch_size: Jobs that shared its slot, itself included.
    """

    work: Work
    pace: Pace
    arrived_s: float
    begun: asyncio.Future[None] | None
    ended: asyncio.Future[Exception | None]
    started_s: float = 0.0
    ended_s: float = 0.0
    stretch: float = 1.0
    batch_size: int = 1

    @property
    def times(self) -> Times:
        """What it took; service_s is longer than asked for on a limited processor."""
        queue_s, service_s = self.started_s - self.arrived_s, self.ended_s - self.started_s
        return Times(queue_s, service_s, self.batch_size)

    def token_at_s(self, number: int) -> float:
        """Tell when token `number` of a job that has started is written."""
        return self.started_s + self.stretch * (self.pace.first_s + number * self.pace.token_s)

    async def done(self) -> Times:
        """Wait for the end.

        Raises:
            DeadlineExceeded: It waited too long and was dropped.
            Abandoned: It was given up.
        """
        failure = await self.ended
        if failure is not None:
            raise failure
        return self.times

    async def tokens(self) -> AsyncIterator[int]:
        """Give the numbers of the tokens, each at its instant, the last one when the job has ended.

        A late wake-up delays one token and no other.

        Raises:
            DeadlineExceeded: It waited too long and was dropped.
            Abandoned: It was given up.
        """
        loop = asyncio.get_running_loop()
        if self.begun is not None:
            await self.begun
        for number in range(self.work.output_tokens):
            last = number == self.work.output_tokens - 1
            if last or self.ended.done():
                await self.done()
            else:
                await asyncio.sleep(self.token_at_s(number) - loop.time())
            yield number

    def start(self, now_s: float, stretch: float, batch_size: int) -> None:
        """Note that it has a slot from now on."""
        self.started_s, self.stretch, self.batch_size = now_s, stretch, batch_size
        if self.begun is not None and not self.begun.done():
            self.begun.set_result(None)

    def end(self, now_s: float, failure: Exception | None = None) -> None:
        """Note that it gives its slot back, or that it never gets one."""
        self.ended_s = now_s
        if self.begun is not None and not self.begun.done():
            self.begun.set_result(None)
        if not self.ended.done():  # else the handler that waited was cancelled
            self.ended.set_result(failure)
