"""Requests while things go wrong: none may be lost sight of, and in quiet times none may fail."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from lab_utils import workload
from lab_utils.api import Api
from lab_utils.cluster import Cluster
from lab_utils.runs import Run
from lab_utils.sampler import Sampler
from tests.contract.cluster import Namespace

_CALM_RPS, _CALM_S = 20.0, 1.5
_ROUGH_RPS, _ROUGH_S = 20.0, 6.0
_TIMEOUT_S = 5.0


@dataclass
class Load:
    """Fires at the web of one namespace.

    Args:
        namespace: Whose web.
        url: Where it answers this machine.
    """

    namespace: Namespace
    url: str
    ok: int = 0
    failed: int = 0
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Have a thread at hand for what fires while other things happen."""
        self._cluster = Cluster(Api(self.namespace.cluster.kubeconfig), self.namespace.name)
        self._thread = ThreadPoolExecutor(1, "load")
        self._rough: Future[Run] | None = None

    def start_rough(self, seed: int) -> None:
        """Fire from now on while things break; requests may fail."""
        fire = partial(self._fire, rate_rps=_ROUGH_RPS, duration_s=_ROUGH_S, seed=seed)
        self._rough = self._thread.submit(fire)

    def end_rough(self) -> None:
        """Wait for its end, and count."""
        if self._rough is not None:
            self._count(self._rough.result())
            self._rough = None

    def fire_calm(self, seed: int) -> None:
        """Fire while all is well: every request must succeed."""
        run = self._fire(rate_rps=_CALM_RPS, duration_s=_CALM_S, seed=seed)
        self._count(run)
        if lost := run.requests.loc[~run.requests["ok"], "error"].tolist():
            self.faults.append(f"{len(lost)} requests failed in quiet times: {set(lost)}")

    def _fire(self, **how: float) -> Run:
        return workload.fire(
            self.url, progress=False, timeout_s=_TIMEOUT_S, service_ms=2,
            usage=Sampler(self._cluster), **how,
        )  # fmt: skip

    def _count(self, run: Run) -> None:
        asked, told = set(run.schedule["request_id"]), list(run.requests["request_id"])
        if asked != set(told) or len(told) != len(asked):
            self.faults.append(f"{len(asked)} requests were due, and {len(told)} are told of")
        if not (run.requests["ok"] == run.requests["error"].isin(["", None])).all():
            self.faults.append("a request has an outcome and none")
        self.ok += int(run.requests["ok"].sum())
        self.failed += int((~run.requests["ok"]).sum())
