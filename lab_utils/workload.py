"""Load on a Service: requests sent on a schedule, their answers as tables.

Hides the load generator's process, the faults' thread and the sampler. Never waits for an answer
before it sends the next request of an open loop, and never counts a failure as a latency.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from lab_utils.arguments import require_number, require_whole
from lab_utils.arrivals import Arrivals, Trace, describe, make_schedule, shape_of
from lab_utils.bars import Bar, track
from lab_utils.errors import InvalidInput, LoadError
from lab_utils.injection import Fault, Injector
from lab_utils.inside import InsideGenerator, Pods
from lab_utils.journal import JOURNAL, Journal
from lab_utils.live import Sketch
from lab_utils.loadgen.plan import Plan
from lab_utils.loadgen.policy import Policy
from lab_utils.loadgen.process import Generator
from lab_utils.runs import Run, recover
from lab_utils.sampler import Sampler
from lab_utils.tables import make_table

Source: TypeAlias = Generator | InsideGenerator
MAX_RATE_RPS = 5_000.0
"""More than one Python process can send on time."""
MAX_REQUESTS = 1_000_000
_MAX_DURATION_S = 24 * 3600.0
_LOOK_PERIOD_S = 0.1


def fire(
    url: str | Sequence[str],
    *,
    rate_rps: float | None = None,
    duration_s: float | None = None,
    arrivals: Arrivals = "poisson",
    seed: int = 1,
    endpoints: Callable[[], Sequence[str]] | None = None,
    failover: Sequence[str] = (),
    faults: Sequence[Fault] = (),
    usage: Sampler | None = None,
    backend: str = "",
    folder: Path | None = None,
    inside: Pods | None = None,
    progress: bool = True,
    **client: Any,
) -> Run:
    """Send requests in an open loop: each at its time, whatever became of those before it.

    An interrupt (Ctrl-C, or the stop button) ends the run within a second and gives back what
    there is, with `run.interrupted` set.

    Args:
        url: Base URL of the Service, such as "http://127.0.0.1:30080"; or those of its endpoints,
            among which the client chooses (`balance`).
        rate_rps: Requests per second: the mean, or where the factor of a shape is 1.
        duration_s: How long requests are sent, in seconds.
        arrivals: "poisson" (independent users), "constant" (a metronome), or a shape or a trace of
            `lab_utils.arrivals`. A Trace needs neither rate_rps nor duration_s.
        seed: The same seed gives the same schedule, bit for bit.
        endpoints: Gives the base URLs of the endpoints there are by now, so that the client follows
            them; None: those of url, all the time.
        failover: Base URLs that the client asks next, in this order, when an attempt fails. A
            request fails if all of them do, and its latency is the time of all its attempts.
        faults: What goes wrong on the way, each at its at_s.
        usage: Samples the pods while the run lasts.
        backend: Which backend serves, for the record.
        folder: Where the run is written down while it lasts, so that it outlives its kernel.
        inside: Pods to send from, each its share of the schedule; None sends from this machine.
        progress: Whether to show a progress bar.
        client: How the client behaves: timeout_s, keep_alive, service_ms, retries, hedge and
            balance of `lab_utils.loadgen.policy.Policy`. By default each attempt opens a connection
            of its own, and kube-proxy chooses a pod for each.

    Returns:
        The run. Latencies count from the scheduled time, so that a stalled client or server
        cannot hide the waiting it causes.

    Raises:
        InvalidInput: An argument cannot be used; the message names it.
        LoadError: The load generator did not start, or a fault could not be injected or undone.
    """
    if not isinstance(shape_of(arrivals), Trace):
        _require_span(rate_rps, duration_s, MAX_RATE_RPS * (inside.count if inside else 1))
    elif duration_s is not None:
        _require_duration(duration_s)
    require_whole("seed", seed, 0, 2**63 - 1)
    targets, policy = _targets(url, failover), Policy(**client)
    scheduled_s = tuple(make_schedule(arrivals, rate_rps, duration_s, seed).tolist())
    _require_few(len(scheduled_s))
    lasts_s = duration_s if duration_s is not None else max(scheduled_s, default=0.0)
    _require_on_time(faults, lasts_s)
    settings = {"rate_rps": rate_rps, "duration_s": lasts_s, "arrivals": describe(arrivals)}
    plan = Plan(
        targets,
        policy,
        seed,
        scheduled_s=scheduled_s,
        journal=None if folder is None else str(folder / JOURNAL),
        about=_about("open", settings, targets, policy, backend),
    )
    source = InsideGenerator(plan, inside) if inside else Generator(plan, endpoints)
    return _perform(plan, source, faults=faults, usage=usage, progress=progress)


def fire_closed(
    url: str | Sequence[str],
    *,
    count: int,
    users: int = 1,
    think_s: float = 0.0,
    seed: int = 1,
    faults: Sequence[Fault] = (),
    usage: Sampler | None = None,
    backend: str = "",
    folder: Path | None = None,
    progress: bool = True,
    **client: Any,
) -> Run:
    """Send requests in a closed loop: each user waits for an answer before asking again.

    With one user this is one request at a time. A closed loop slows down with the server, so it
    says what a request is made of but not what independent users would see.

    Args:
        url: As in fire().
        count: Number of requests, all users together.
        users: How many ask at the same time.
        think_s: Mean pause of a user between an answer and its next request; exponential.
        seed: What the pauses follow from.
        faults: What goes wrong on the way, each at its at_s, as long as requests are sent then.
        usage: As in fire().
        backend: As in fire().
        folder: As in fire().
        progress: As in fire().
        client: As in fire(), but connections are kept by default.

    Returns:
        The run; scheduled_s is when the user was free to ask.

    Raises:
        InvalidInput: An argument cannot be used; the message names it.
        LoadError: The load generator did not start.
    """
    require_whole("count", count, 1, MAX_REQUESTS)
    require_whole("users", users, 1, 1_000)
    require_number("think_s", think_s, "seconds", "think_s=1", at_most=3600.0, zero=True)
    require_whole("seed", seed, 0, 2**63 - 1)
    targets, policy = _targets(url, ()), Policy(**{"keep_alive": True} | client)
    settings = {"users": users, "count": count, "think_s": think_s}
    plan = Plan(
        targets,
        policy,
        seed,
        users=users,
        count=count,
        think_s=think_s,
        journal=None if folder is None else str(folder / JOURNAL),
        about=_about("closed", settings, targets, policy, backend),
    )
    return _perform(plan, Generator(plan), faults=faults, usage=usage, progress=progress)


def _perform(
    plan: Plan,
    generator: Source,
    *,
    faults: Sequence[Fault] = (),
    usage: Sampler | None,
    progress: bool,
) -> Run:
    with ExitStack() as stack:
        bar = stack.enter_context(track("Firing", plan.total, show=progress))
        if usage is not None:
            stack.enter_context(usage)
        stack.enter_context(generator)
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
    seen = {} if usage is None else usage.tables(clock)
    if usage is not None:
        plan.about["settings"]["limits"] = usage.limits
    told = Journal(asdict(plan), clock, generator.rows, generator.end)
    return recover(told, faults=make_table("faults", injector.rows), **seen)


def _watch(generator: Source, injector: Injector, bar: Bar) -> None:
    finished = False
    bar.show(Sketch(generator.rows).draw)
    while not finished and injector.error is None:
        finished = generator.wait(_LOOK_PERIOD_S)
        bar.reach(len(generator.rows))
        bar.say(f"{generator.sent:,} sent, {generator.ok:,} ok, {generator.failed:,} failed")
    if generator.broke and not generator.rows:
        raise LoadError(f"The load generator broke: {generator.last_error()}")


def _targets(url: str | Sequence[str], failover: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Put the groups of addresses in the order in which they are asked."""
    group = (url,) if isinstance(url, str) or url is None else tuple(url)
    if not group:
        raise InvalidInput("url is an empty list: want at least one base URL; is a pod Ready?")
    for one in group:
        _require_url("url", one)
    for number, backup_url in enumerate(failover):
        _require_url(f"failover[{number}]", backup_url)
    return (group, *((backup_url,) for backup_url in failover))


def _about(
    loop: str,
    settings: dict[str, Any],
    targets: tuple[tuple[str, ...], ...],
    policy: Policy,
    backend: str,
) -> dict[str, Any]:
    """Say what the run will say about itself."""
    first, *others = targets
    asked = {"url": first[0], "endpoints": list(first), "failover": [urls[0] for urls in others]}
    libraries = ("k8s-inference-lab", "httptools", "numpy", "pandas")
    return {
        "settings": {"loop": loop} | settings | asked | asdict(policy),
        "backend": backend,
        "versions": {"python": python_version()} | {name: version(name) for name in libraries},
    }


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


def _require_span(rate_rps: float | None, duration_s: float | None, most_rps: float) -> None:
    unit, example = "requests per second", "rate_rps=20"
    rate_rps = require_number("rate_rps", rate_rps, unit, example, at_most=most_rps)
    _require_few(rate_rps * _require_duration(duration_s))


def _require_duration(duration_s: float | None) -> float:
    limit_s = _MAX_DURATION_S
    return require_number("duration_s", duration_s, "seconds", "duration_s=30", at_most=limit_s)


def _require_few(requests: float) -> None:
    if requests > MAX_REQUESTS:
        raise InvalidInput(
            f"rate_rps * duration_s is {requests:.3g} requests: want at most {MAX_REQUESTS:,}. "
            "Lower duration_s"
        )


def _require_on_time(faults: Sequence[Fault], duration_s: float) -> None:
    for fault in faults:
        if not 0 <= fault.at_s < duration_s:
            raise InvalidInput(
                f"at_s of fault {fault.name!r} is {fault.at_s!r}: want a time within the run, "
                f"from 0 to {duration_s:g} s"
            )
