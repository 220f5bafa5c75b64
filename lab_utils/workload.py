"""Load on a Service: requests sent on a schedule, their answers as tables.

Hides the load generator's process, the faults' thread and the sampler. Never waits for an answer
before it sends the next request of an open loop, and never counts a failure as a latency.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from numbers import Real
from platform import python_version
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from lab_utils.analysis import find_outages
from lab_utils.arrivals import make_schedule
from lab_utils.bars import Bar, track
from lab_utils.clock import Clock
from lab_utils.errors import InvalidInput, LoadError
from lab_utils.injection import Fault, Injector
from lab_utils.loadgen.plan import Plan
from lab_utils.loadgen.process import Generator
from lab_utils.runs import Run
from lab_utils.tables import make_table
from lab_utils.usage import Sampler

MAX_RATE_RPS = 5_000.0
"""More than one Python process can send on time."""
MAX_REQUESTS = 1_000_000
_LOOK_PERIOD_S = 0.1


def fire(
    url: str,
    *,
    rate_rps: float,
    duration_s: float,
    arrivals: str = "poisson",
    seed: int = 1,
    keep_alive: bool = False,
    timeout_s: float = 5.0,
    service_ms: float | None = None,
    failover: Sequence[str] = (),
    faults: Sequence[Fault] = (),
    usage: Sampler | None = None,
    backend: str = "",
    progress: bool = True,
) -> Run:
    """Send requests in an open loop: each at its time, whatever became of those before it.

    An interrupt (Ctrl-C, or the stop button) ends the run within a second and gives back what
    there is, with `run.interrupted` set.

    Args:
        url: Base URL of the Service, such as "http://127.0.0.1:30080".
        rate_rps: Mean requests per second.
        duration_s: How long requests are sent, in seconds.
        arrivals: "poisson" (independent users) or "constant" (a metronome).
        seed: The same seed gives the same schedule, bit for bit.
        keep_alive: Whether connections are used again. Without, each request opens its own, and
            kube-proxy chooses a pod for each.
        timeout_s: A request (each of its attempts) without an answer after this has failed.
        service_ms: Service time asked of the worker; None leaves it to the worker.
        failover: Base URLs that the client asks next, in this order, when an attempt fails. A
            request fails if all of them do, and its latency is the time of all its attempts.
        faults: What goes wrong on the way, each at its at_s.
        usage: Samples the pods while the run lasts.
        backend: Which backend serves, for the record.
        progress: Whether to show a progress bar.

    Returns:
        The run. Latencies count from the scheduled time, so that a stalled client or server
        cannot hide the waiting it causes.

    Raises:
        InvalidInput: An argument cannot be used; the message names it.
        LoadError: The load generator did not start, or a fault could not be injected or undone.
    """
    rate_rps = _require("rate_rps", rate_rps, MAX_RATE_RPS, "requests per second", "rate_rps=20")
    duration_s = _require("duration_s", duration_s, 24 * 3600.0, "seconds", "duration_s=30")
    if rate_rps * duration_s > MAX_REQUESTS:
        raise InvalidInput(
            f"rate_rps * duration_s is {rate_rps * duration_s:.3g} requests: want at most "
            f"{MAX_REQUESTS:,}. Lower duration_s"
        )
    _require_whole("seed", seed, 0, 2**63 - 1)
    _require_on_time(faults, duration_s)
    scheduled_s = make_schedule(arrivals, rate_rps, duration_s, seed)
    for number, backup_url in enumerate(failover):
        _require_url(f"failover[{number}]", backup_url)
    times_s = tuple(scheduled_s.tolist())
    plan = _plan((url, *failover), keep_alive, timeout_s, service_ms, scheduled_s=times_s)
    settings = {"rate_rps": rate_rps, "duration_s": duration_s, "arrivals": arrivals}
    task = _Task(plan, settings | _settings(plan, "open"), seed, backend)
    return _perform(task, faults=faults, usage=usage, progress=progress)


def fire_closed(
    url: str,
    *,
    count: int,
    users: int = 1,
    keep_alive: bool = True,
    timeout_s: float = 5.0,
    service_ms: float | None = None,
    usage: Sampler | None = None,
    backend: str = "",
    progress: bool = True,
) -> Run:
    """Send requests in a closed loop: each user waits for an answer before asking again.

    With one user this is one request at a time. A closed loop slows down with the server, so it
    says what a request is made of but not what independent users would see.

    Args:
        url: Base URL of the Service.
        count: Number of requests, all users together.
        users: How many ask at the same time.
        keep_alive: Whether a user keeps its connection, and with it its pod.
        timeout_s: As in fire().
        service_ms: As in fire().
        usage: As in fire().
        backend: As in fire().
        progress: As in fire().

    Returns:
        The run; scheduled_s is when the user was free to ask.

    Raises:
        InvalidInput: An argument cannot be used; the message names it.
        LoadError: The load generator did not start.
    """
    _require_whole("count", count, 1, MAX_REQUESTS)
    _require_whole("users", users, 1, 1_000)
    plan = _plan((url,), keep_alive, timeout_s, service_ms, users=users, count=count)
    settings = {"users": users, "count": count} | _settings(plan, "closed")
    return _perform(_Task(plan, settings, 0, backend), usage=usage, progress=progress)


@dataclass(frozen=True)
class _Task:
    """A plan and what the run will say about it."""

    plan: Plan
    settings: dict[str, Any]
    seed: int
    backend: str


def _perform(
    task: _Task, *, faults: Sequence[Fault] = (), usage: Sampler | None, progress: bool
) -> Run:
    with ExitStack() as stack:
        bar = stack.enter_context(track("Firing", task.plan.total, show=progress))
        if usage is not None:
            stack.enter_context(usage)
        generator = stack.enter_context(Generator(task.plan))
        clock = generator.start()
        injector = stack.enter_context(Injector(faults, clock))
        try:
            _watch(generator, injector, bar)
        except KeyboardInterrupt:
            generator.stop()
    if injector.error is not None:
        raise LoadError(f"The run was given up: a fault failed: {injector.error}") from (
            injector.error
        )
    return _gather(task, generator, injector, usage, clock)


def _watch(generator: Generator, injector: Injector, bar: Bar) -> None:
    finished = False
    while not finished and injector.error is None:
        finished = generator.wait(_LOOK_PERIOD_S)
        bar.reach(len(generator.rows))
        bar.say(f"{generator.sent:,} sent, {generator.ok:,} ok, {generator.failed:,} failed")
    if generator.broke and not generator.rows:
        raise LoadError(f"The load generator broke: {generator.last_error()}")


def _gather(
    task: _Task, generator: Generator, injector: Injector, usage: Sampler | None, clock: Clock
) -> Run:
    requests, attempts = _tabulate(generator.rows)
    schedule = pd.DataFrame({"scheduled_s": task.plan.scheduled_s}).rename_axis("request_id")
    limits = {} if usage is None else {"limits": usage.limits}
    return Run(
        requests=requests,
        attempts=attempts,
        usage=make_table("usage") if usage is None else usage.usage(clock),
        events=make_table("events") if usage is None else usage.events(clock),
        faults=make_table("faults", injector.rows),
        outages=find_outages(requests) if len(requests) else make_table("outages"),
        schedule=make_table("schedule", schedule.reset_index()),
        settings=task.settings | limits | {"client_cpu_s": generator.end.get("cpu_s")},
        seed=task.seed,
        started_at=clock.started_at,
        backend=task.backend,
        versions={"python": python_version()}
        | {name: version(name) for name in ("k8s-inference-lab", "aiohttp", "numpy", "pandas")},
        interrupted=generator.end.get("interrupted", True),
    )


def _tabulate(rows: Sequence[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the tables of requests and attempts: a request ends as its last attempt does."""
    requests, attempts = [], []
    for row in sorted(rows, key=lambda row: int(row["request_id"])):
        tried = row["attempts"]
        attempts += [{"request_id": row["request_id"]} | attempt for attempt in tried]
        first_sent = {"sent_s": tried[0]["sent_s"], "attempts": len(tried)}
        requests.append(row | tried[-1] | first_sent)
    table = make_table("requests", requests)
    table["lag_s"] = table["sent_s"] - table["scheduled_s"]
    table["latency_s"] = (table["done_s"] - table["scheduled_s"]).where(table["ok"])
    return table, make_table("attempts", attempts)


def _settings(plan: Plan, loop: str) -> dict[str, Any]:
    told = ("keep_alive", "timeout_s", "service_ms")
    asked = {"url": plan.urls[0], "failover": list(plan.urls[1:])}
    return {"loop": loop} | asked | {name: getattr(plan, name) for name in told}


def _plan(
    urls: tuple[str, ...],
    keep_alive: bool,
    timeout_s: float,
    service_ms: float | None,
    **when: Any,
) -> Plan:
    _require_url("url", urls[0])
    timeout_s = _require("timeout_s", timeout_s, 3600.0, "seconds", "timeout_s=5")
    if service_ms is not None and service_ms != 0:
        service_ms = _require("service_ms", service_ms, 3.6e6, "milliseconds", "service_ms=100")
    return Plan(urls, timeout_s, keep_alive, service_ms, **when)


def _require_url(name: str, url: object) -> None:
    try:
        parts = urlsplit(str(url))
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInput(
            f"{name} is {url!r}: want the base URL of a Service, such as http://127.0.0.1:30080"
        )


def _require(name: str, value: object, at_most: float, unit: str, example: str) -> float:
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not 0 < number <= at_most:  # nan is not
        raise InvalidInput(
            f"{name} is {value!r}: want {unit} above 0 and at most {at_most:g}, such as {example}"
        )
    return number


def _require_whole(name: str, value: object, at_least: int, at_most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        raise InvalidInput(f"{name} is {value!r}: want a whole number from {at_least} to {at_most}")


def _require_on_time(faults: Sequence[Fault], duration_s: float) -> None:
    for fault in faults:
        if not 0 <= fault.at_s < duration_s:
            raise InvalidInput(
                f"at_s of fault {fault.name!r} is {fault.at_s!r}: want a time within the run, "
                f"from 0 to {duration_s:g} s"
            )
