"""A fleet of single-server workers: what a load-balancing policy does at 2 or at 10 000 of them.

Exact, not an approximation: every request is placed on its worker with what is outstanding at that
moment. Vectorised over requests that cannot influence each other, so that 10 000 workers and ten
million requests take seconds instead of minutes.
"""

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab_utils.errors import InvalidInput

Times = NDArray[np.float64]
_CHUNK = 1_000_000  # requests drawn at a time: bounds the memory of a run
_DEPTH = 8  # outstanding requests remembered per worker; doubled when a queue grows longer
_MANY = 64  # workers from which on whole groups of requests can be placed at once


def simulate_fleet(
    workers: int,
    rho: float,
    services_s: ArrayLike,
    *,
    policy: str = "random",
    requests: int = 100_000,
    seed: int = 1,
) -> Times:
    """Send a Poisson stream to a fleet that is empty at first.

    Args:
        workers: N, each serves one request at a time, first come, first served.
        rho: Utilisation of a worker; the arrival rate follows from it.
        services_s: Service times to draw from, with replacement: measured ones, or a sample.
        policy: "random", "round_robin", "power_of_two" (the one with fewer outstanding of two at
            random) or "least_outstanding" (of all; ties at random), as a client's `balance`.
        requests: How many; give some 100 per worker, or the start shows.
        seed: The same seed gives the same fleet.

    Returns:
        (requests,): the time from arrival to answer of each, in seconds.

    Raises:
        InvalidInput: An argument cannot be used; the message names it.

    Source:
        Lindley's recursion (1952) per worker: a request starts when it is there and the one before
        it is done. Policies as in Mitzenmacher (2001).
    """
    pool_s = np.asarray(services_s, dtype=float)
    _require(workers, rho, pool_s, policy, requests)
    chance = np.random.default_rng(seed)
    gap_s = float(pool_s.mean()) / (rho * workers)
    place = POLICIES[policy](workers)
    response_s, clock_s = np.empty(requests), 0.0
    for first in range(0, requests, _CHUNK):
        n = min(_CHUNK, requests - first)
        arrivals_s = clock_s + np.cumsum(chance.exponential(gap_s, n))
        services = pool_s[chance.integers(pool_s.size, size=n)]
        response_s[first : first + n] = place(arrivals_s, services, chance) - arrivals_s
        clock_s = arrivals_s[-1]
    return response_s


def _require(workers: int, rho: float, pool_s: Times, policy: str, requests: int) -> None:
    if workers < 1 or requests < 1:
        raise InvalidInput(f"workers is {workers}, requests is {requests}: want at least 1 of each")
    if not 0 < rho < 1:
        raise InvalidInput(f"rho is {rho:g}: want above 0 and below 1, or the queues grow for ever")
    if pool_s.size == 0 or not np.all(pool_s > 0):
        raise InvalidInput("services_s wants at least one service time, all above 0 seconds")
    if policy not in POLICIES:
        raise InvalidInput(f"policy is {policy!r}: want one of {', '.join(POLICIES)}")


class _Blind:
    """Chooses without a look at the workers, so each worker's queue is a sequence of its own."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._free_s = np.zeros(workers)

    def __call__(self, arrivals_s: Times, services_s: Times, chance: np.random.Generator) -> Times:
        chosen = self._choose(len(arrivals_s), chance)
        order = np.argsort(chosen, kind="stable")
        who, come_s, take_s = chosen[order], arrivals_s[order], services_s[order]
        first = np.flatnonzero(np.r_[True, who[1:] != who[:-1]])
        # D(k) = C(k) + max over j <= k of (A(j) - C(j-1)), C the sum of services on this worker.
        done_s = np.cumsum(take_s)
        lengths = np.diff(np.r_[first, len(who)])
        done_s -= np.repeat(done_s[first] - take_s[first], lengths)
        lead_s = come_s - (done_s - take_s)
        lead_s[first] = np.maximum(lead_s[first], self._free_s[who[first]])
        done_s += _running_maximum(lead_s, first)
        last = np.r_[first[1:], len(who)] - 1
        self._free_s[who[last]] = done_s[last]
        ends_s = np.empty_like(done_s)
        ends_s[order] = done_s
        return ends_s

    def _choose(self, n: int, chance: np.random.Generator) -> NDArray[np.int64]:
        return chance.integers(self._workers, size=n)


class _RoundRobin(_Blind):
    """Takes the workers in turn."""

    _next = 0

    def _choose(self, n: int, chance: np.random.Generator) -> NDArray[np.int64]:
        chosen = (self._next + np.arange(n)) % self._workers
        self._next = (self._next + n) % self._workers
        return chosen


def _running_maximum(values: Times, first: NDArray[np.int64]) -> Times:
    """Accumulate the maximum within each segment that begins at one of `first`."""
    # Segments are lifted above one another, so that one pass over all of them is enough.
    step = float(values.max() - values.min()) + 1.0
    lift = np.zeros(len(values))
    lift[first] = step
    np.cumsum(lift, out=lift)
    lifted = np.maximum.accumulate(values + lift)
    return np.asarray(lifted - lift)


class _TwoChoices:
    """Asks two workers at random how much they have outstanding, and takes the better one."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._state = _Outstanding(workers)

    def __call__(self, arrivals_s: Times, services_s: Times, chance: np.random.Generator) -> Times:
        n, workers = len(arrivals_s), self._workers
        one = chance.integers(workers, size=n)
        other = (one + 1 + chance.integers(max(1, workers - 1), size=n)) % workers
        ends_s = np.empty(n)
        for ready in _independent(one, other, workers):
            now_s, a, b = arrivals_s[ready], one[ready], other[ready]
            # The first of two random ones may as well win a tie.
            chosen = np.where(self._state.count(a, now_s) <= self._state.count(b, now_s), a, b)
            ends_s[ready] = self._state.add(chosen, now_s, services_s[ready])
        return ends_s


def _independent(
    one: NDArray[np.int64], other: NDArray[np.int64], workers: int
) -> Iterator[NDArray[np.int64]]:
    """Give all requests in groups that touch each worker once, after all that came before them."""
    window = max(1, workers // 8)  # so many that most of them share no worker
    earliest = np.empty(workers, np.int64)
    for begin in range(0, len(one), window):
        left = np.arange(begin, min(begin + window, len(one)))
        while left.size:
            late = left[::-1]  # where an index repeats numpy keeps the last: the earliest request
            touched = np.column_stack([one[late], other[late]]).ravel()
            earliest[touched] = np.repeat(late, 2)
            ready = (earliest[one[left]] == left) & (earliest[other[left]] == left)
            yield left[ready]
            left = left[~ready]


class _LeastOutstanding:
    """Takes the worker with the fewest outstanding of all; an idle one if there is any."""

    def __init__(self, workers: int) -> None:
        self._all = np.arange(workers)
        self._state = _Outstanding(workers)

    def __call__(self, arrivals_s: Times, services_s: Times, chance: np.random.Generator) -> Times:
        ends_s, i, n = np.empty(len(arrivals_s)), 0, len(arrivals_s)
        while i < n:
            idle = np.flatnonzero(self._state.free_s <= arrivals_s[i])
            if idle.size:
                # Who is idle now stays so until chosen: the next requests take one each. Idle
                # workers are alike, so it does not matter that others become idle meanwhile.
                chosen = chance.permutation(idle)[: n - i]
            else:
                counts = self._state.count(self._all, arrivals_s[i : i + 1])
                chosen = chance.choice(np.flatnonzero(counts == counts.min()), 1)
            span = slice(i, i + chosen.size)
            ends_s[span] = self._state.add(chosen, arrivals_s[span], services_s[span])
            i += chosen.size
        return ends_s


class _OneByOne:
    """Places one request after the other: what is quick for a few workers, which all interact."""

    def __init__(self, workers: int, looks: int) -> None:
        self._ends_s: list[deque[float]] = [deque() for _ in range(workers)]
        self._looks = min(looks, workers)

    def __call__(self, arrivals_s: Times, services_s: Times, chance: np.random.Generator) -> Times:
        workers, looks = len(self._ends_s), self._looks
        turns = chance.integers(workers, size=len(arrivals_s))
        strides = 1 + chance.integers(max(1, workers - 1), size=len(arrivals_s))
        ends_s = []
        rows = zip(*(a.tolist() for a in (arrivals_s, services_s, turns, strides)), strict=True)
        for now_s, service_s, turn, stride in rows:
            step = stride if looks == 2 else 1
            chosen = self._shortest([(turn + k * step) % workers for k in range(looks)], now_s)
            ends_s.append((chosen[-1] if chosen else now_s) + service_s)
            chosen.append(ends_s[-1])
        return np.array(ends_s)

    def _shortest(self, asked: list[int], now_s: float) -> deque[float]:
        queues = [self._ends_s[worker] for worker in asked]
        for queue in queues:
            while queue and queue[0] <= now_s:
                queue.popleft()
        return min(queues, key=len)


class _Outstanding:
    """What each worker has to do: when it is free, and when each request on it ends."""

    def __init__(self, workers: int) -> None:
        self.free_s = np.zeros(workers)
        self._ends_s = np.zeros((workers, _DEPTH))
        self._next = np.zeros(workers, np.int64)  # place of a ring that is written next

    def count(self, who: NDArray[np.int64], now_s: Times) -> NDArray[np.int64]:
        """Count the requests outstanding on some workers, each at its own moment."""
        counts: NDArray[np.int64] = np.count_nonzero(self._ends_s[who] > now_s[:, None], axis=1)
        return counts

    def add(self, who: NDArray[np.int64], now_s: Times, services_s: Times) -> Times:
        """Put one request on each of some workers; say when it will be done."""
        if np.any(self._ends_s[who, self._next[who]] > now_s):
            self._deepen()
        ends_s: Times = np.maximum(now_s, self.free_s[who]) + services_s
        self.free_s[who] = ends_s
        self._ends_s[who, self._next[who]] = ends_s
        self._next[who] = (self._next[who] + 1) % self._ends_s.shape[1]
        return ends_s

    def _deepen(self) -> None:
        depth = self._ends_s.shape[1]
        self._ends_s = np.hstack([self._ends_s, np.zeros_like(self._ends_s)])
        self._next[:] = depth


def _power_of_two(workers: int) -> "_Place":
    return _OneByOne(workers, 2) if workers < _MANY else _TwoChoices(workers)


def _least_outstanding(workers: int) -> "_Place":
    return _OneByOne(workers, workers) if workers < _MANY else _LeastOutstanding(workers)


_Place = Callable[[Times, Times, np.random.Generator], Times]
POLICIES: dict[str, Callable[[int], _Place]] = {
    "random": _Blind,
    "round_robin": _RoundRobin,
    "power_of_two": _power_of_two,
    "least_outstanding": _least_outstanding,
}
"""How a worker is chosen for each request."""
