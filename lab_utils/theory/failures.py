"""How long failures last and what they cost: detection, propagation, take-over, lost requests.

A prediction of something random is a Band, so that a measurement can be inside or outside of it.
"""

import math
from dataclasses import dataclass

import numpy as np

from lab_utils.theory.bands import Band, poisson_band

API_S = 0.1
"""What a change takes through the API server, at most (recorded on Kind: 0.03-0.08 s)."""
PROXY_SYNC_S = 1.0
"""kube-proxy syncs at most once in this time (its minSyncPeriod)."""
PLEG_RELIST_S = 1.0
"""A kubelet looks for dead containers this often (PLEG relist period)."""


@dataclass(frozen=True)
class NodePace:
    """How soon a cluster misses a node and gives up its pods; by default as Kubernetes does.

    Attributes:
        grace_s: A node whose Lease is older is NotReady: node-monitor-grace-period of the
            controller manager, 50 s since Kubernetes 1.32 and 40 s before.
        monitor_s: Leases are looked at this often: node-monitor-period.
        renew_s: A kubelet renews its Lease this often: a quarter of nodeLeaseDurationSeconds.
        toleration_s: Then its pods may stay this long: default-unreachable-toleration-seconds of
            the API server, which gives it to every pod that says nothing else.
    """

    grace_s: float = 50.0
    monitor_s: float = 5.0
    renew_s: float = 10.0
    toleration_s: float = 300.0


KUBERNETES = NodePace()
"""The pace that nobody has changed."""


def lost_requests(rate_rps: float, share: float, window_s: float, *, level: float = 0.95) -> Band:
    """Predict how many requests are lost while a share of them goes where nobody answers.

    Args:
        rate_rps: Requests per second, all pods together.
        share: Share that the dead or terminating pod gets: 1/N of N ready pods.
        window_s: From the death (or SIGTERM) until nothing is sent there any more.
        level: Of the band.

    Source:
        A Poisson stream thinned at random is a Poisson stream of rate * share.
    """
    return poisson_band(rate_rps * share * window_s, level=level)


def probe_detection_s(period_s: float, failure_threshold: int, timeout_s: float) -> Band:
    """Predict how long a hang stays unnoticed by a probe: [(F-1) T + tau, F T + tau].

    Args:
        period_s: periodSeconds, T.
        failure_threshold: failureThreshold, F.
        timeout_s: timeoutSeconds, tau.

    Source:
        Ours from the fields' definitions: the hang falls evenly within a period T, then F probes
        in a row must fail, the last after its time-out.
    """
    first = (failure_threshold - 1) * period_s + timeout_s
    return Band(first + period_s / 2, first, first + period_s)


def kill_window_s() -> Band:
    """Predict for how long a Service still sends requests to a container after its kill -9.

    Source:
        Ours: the kubelet notices a death at its next look (up to PLEG_RELIST_S), the news takes up
        to API_S, and kube-proxy applies a first change at once but a second one only
        PROXY_SYNC_S later. Recorded on Kind: 0.33-1.17 s in five kills.
    """
    return Band(PLEG_RELIST_S / 2 + API_S, 0.0, PLEG_RELIST_S + API_S + PROXY_SYNC_S)


def departure_window_s() -> Band:
    """Predict for how long a Service still sends new connections to a pod that was told to go.

    Source:
        Ours: the API server tells kubelet and EndpointSlices at the same moment, so SIGTERM and the
        news that the pod is leaving race each other. kube-proxy applies a first change at once; if
        it has just applied another, as in a rollout, whose new pod has just become Ready, it waits
        out its PROXY_SYNC_S. Kubernetes, "Pod Lifecycle", termination of pods.
    """
    return Band(PROXY_SYNC_S, 0.0, API_S + PROXY_SYNC_S)


def selector_switch_s(detect: Band) -> Band:
    """Predict the outage when a switch of the Service's selector moves all load to the backup.

    Args:
        detect: How long the death stays unnoticed by whoever switches.

    Source:
        Ours: detection, then one call of the API, then kube-proxy's next sync.
    """
    return detect + Band(API_S / 2, 0.0, API_S) + Band(PROXY_SYNC_S / 2, 0.0, PROXY_SYNC_S)


def lease_takeover_s(
    lease_s: float, retry_s: float, *, jitter: float = 1.2, level: float = 0.9
) -> Band:
    """Predict how long nobody leads after the death of the holder of a Lease.

    Args:
        lease_s: leaseDuration of the candidates.
        retry_s: retryPeriod: the holder renews this often; candidates look after
            retry_s to retry_s (1 + jitter).
        jitter: client-go's JitterFactor.
        level: Share of the take-overs that lie in the band.

    Returns:
        15 s and 2 s: 17.3 s (14.8-20.0); 3 s and 0.5 s: 3.6 s (3.0-4.3).

    Source:
        client-go's leaderelection: a candidate takes a Lease that it has not seen renewed for
        leaseDuration. So the time is lease_s, minus the age of the last renewal at the death,
        plus the candidate's next look after that renewal, plus its first look after the Lease has
        run out. Both looks are residual lives of the renewal process of its looks (Cox 1962).
    """
    steps = 400
    longest_s = retry_s * (1 + jitter)
    width_s = longest_s / steps
    at_s = (np.arange(steps) + 0.5) * width_s
    survival = np.clip((longest_s - at_s) / (longest_s - retry_s), 0, 1) if jitter else at_s < 1e9
    look = survival / np.sum(survival)
    age = (at_s < retry_s) / np.sum(at_s < retry_s)
    density = np.convolve(np.convolve(look, look), age[::-1])
    waits_s = (np.arange(len(density)) + 1.5 - steps) * width_s  # age counts backwards
    below = np.cumsum(density)
    low, high = np.interp([(1 - level) / 2, (1 + level) / 2], below, waits_s)
    return Band(lease_s + float(density @ waits_s), lease_s + float(low), lease_s + float(high))


def client_failover_s(timeout_s: float, service_s: float) -> float:
    """Predict the worst latency of a client that asks the backup when the primary is silent.

    Source:
        Ours: one time-out, then one service.
    """
    return timeout_s + service_s


def rollout_s(pods: int, surge: int, ready_s: float) -> float:
    """Predict how long a rolling update takes: ceil(N / surge) waves of start-up and readiness.

    Args:
        pods: N.
        surge: maxSurge, as a number of pods; maxUnavailable is 0.
        ready_s: From a pod's creation to Ready: start-up and the readiness probe.

    Source:
        Kubernetes, "Deployments", rolling update: at most N + maxSurge pods exist, and with
        maxUnavailable 0 an old one goes only when a new one is available.
    """
    return math.ceil(pods / surge) * ready_s


def node_not_ready_s(pace: NodePace = KUBERNETES) -> Band:
    """Predict how long the death of a node stays unnoticed: [grace - renew, grace + monitor].

    Args:
        pace: Of the cluster.

    Source:
        Kubernetes' node controller: NodeReady becomes Unknown when the Lease is older than
        the grace period, looked at once a monitor period; at the death it was up to one renewal
        old. Recorded on Kind at Kubernetes' own pace: 46-50 s.
    """
    middle = pace.grace_s - pace.renew_s / 2 + pace.monitor_s / 2
    return Band(middle, pace.grace_s - pace.renew_s, pace.grace_s + pace.monitor_s)


def eviction_s(toleration_s: float | None = None, pace: NodePace = KUBERNETES) -> Band:
    """Predict when the pods of a dead node are given up: NotReady, then tolerationSeconds.

    Args:
        toleration_s: tolerationSeconds of the pod for unreachable nodes; that of the pace if None.
        pace: Of the cluster.

    Source:
        Kubernetes, "Taints and Tolerations", taint-based evictions. Recorded on Kind at
        Kubernetes' own pace: 348 s.
    """
    stays_s = pace.toleration_s if toleration_s is None else toleration_s
    return node_not_ready_s(pace) + Band(stays_s, stays_s, stays_s)
