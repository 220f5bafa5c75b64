"""Load from a session: sends requests to the cluster's Services and keeps what came of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab_utils import images, manifests, workload
from lab_utils.attachment import SERVICE, Attachment
from lab_utils.bars import track
from lab_utils.inside import Pods
from lab_utils.journal import list_journals, next_folder
from lab_utils.sampler import Sampler
from lab_utils.service import cluster_url, endpoint_urls, is_reachable, require_reachable
from lab_utils.settings import project_root, state_root
from lab_utils.turns import Turns

if TYPE_CHECKING:
    import pandas as pd

    from lab_utils.runs import Run


class Firing(Attachment):
    """An attachment that can fire; each run is written down while it lasts."""

    @cached_property
    def turns(self) -> Turns:
        """Who may deploy and measure: two notebooks share a cluster, one at a time."""
        file = f"{self.backend.name}-{self.settings.cluster}".replace("/", "-")
        return Turns(state_root(self.settings) / "turns" / file, self.settings.cluster)

    def fire(
        self,
        *,
        rate_rps: float | None = None,
        duration_s: float | None = None,
        service: str | Sequence[str] = SERVICE,
        failover: Sequence[str] = (),
        inside: int | None = None,
        **options: Any,
    ) -> "Run":
        """Send requests to a Service in an open loop and sample the pods meanwhile.

        Args:
            rate_rps: Mean requests per second.
            duration_s: How long, in seconds.
            service: Which Service to ask; or several, among which the client chooses for each
                attempt (`balance`). Unlike pods, they can be reached from outside of any cluster.
            failover: Services that the client asks next, in this order, when one fails it.
            inside: From how many pods of the cluster, each with its share of one schedule; 0 sends
                from this machine. By default from here, or from one pod if the client is to choose
                among pods (`balance`) that this machine has no way to, such as Kind's.
            options: As `lab_utils.workload.fire` takes them: arrivals, faults, seed (of the
                settings by default), progress, and how the client behaves: timeout_s, keep_alive,
                service_ms, retries, hedge, balance.

        Returns:
            The run: tables of requests, usage, events, faults and outages on one clock.

        Raises:
            Taken: Another notebook has deployed since this one has.
        """
        chooses = isinstance(service, str) and bool(options.get("balance"))
        if inside is None:
            inside = int(chooses and not self._reaches_pods(str(service)))
        pods = self._load_pods(inside) if inside else None
        observed = self._observed()
        if chooses and not inside:
            observed["endpoints"] = partial(observed["usage"].endpoints, service)
        with self._measuring():
            return workload.fire(
                self._address(service, options, pods),
                rate_rps=rate_rps,
                duration_s=duration_s,
                failover=[str(self._address(name, {}, pods)) for name in failover],
                inside=pods,
                **observed | options,
            )

    def _reaches_pods(self, service: str) -> bool:
        return is_reachable(endpoint_urls(self.cluster, service)[0])

    @contextmanager
    def _measuring(self) -> Iterator[None]:
        """Take a turn on what this process has deployed; a reset in the middle spoils the run."""
        with self.turns.take():
            self.turns.require_mine()
            yield
            self.turns.require_mine()

    def _load_pods(self, count: int) -> Pods:
        """Have the load generator's image where pods can be made of it."""
        self._require_running()
        with track(f"Loading {images.LOAD}") as bar:
            images.build(self.backend, self.settings, images.LOAD, bar.say)
            images.load(self.backend, images.LOAD, bar.say)
        (job,) = manifests.read(project_root() / "manifests" / "load" / "job.yaml")
        return Pods(self.cluster, replace(job, object=self.backend.adapt(job.object)), count)

    def fire_closed(self, *, count: int, service: str = SERVICE, **options: Any) -> "Run":
        """Send requests one at a time, each when the answer before has come.

        Args:
            count: How many.
            service: Which Service to ask.
            options: As `lab_utils.workload.fire_closed` takes them: users, think_s, and how the
                client behaves.
        """
        with self._measuring():
            url = self._address(service, options)
            return workload.fire_closed(url, count=count, **self._observed() | options)

    def history(self) -> "pd.DataFrame":
        """List what is kept of the last runs, the newest first; `lab.Run.load` reads one.

        Each run is written down while it lasts, so that it outlives a kernel that dies. Of such a
        run there are the requests; `run.save` keeps everything, for as long as you like.
        """
        return list_journals(self._runs_root)

    @property
    def _runs_root(self) -> Path:
        return state_root(self.settings) / "runs"

    def _address(
        self, service: str | Sequence[str], options: dict[str, Any], inside: Pods | None = None
    ) -> str | list[str]:
        """Give the Service's own address, or those of its pods if the client is to choose."""
        if not isinstance(service, str):
            return [str(self._address(name, {}, inside)) for name in service]
        if options.get("balance"):
            urls = endpoint_urls(self.cluster, service)
            if not inside:
                require_reachable(urls[0])
            return urls
        return cluster_url(self.cluster, service) if inside else self.url(service)

    def _observed(self) -> dict[str, Any]:
        return {
            "usage": Sampler(self.cluster),
            "backend": self.backend.name,
            "folder": next_folder(self._runs_root),
            "seed": self.settings.seed,
        }
