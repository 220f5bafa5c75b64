"""Predictions: formulas with their source, pure functions of numbers.

Times in seconds, rates per second, utilisation rho as a share. A prediction of something random is
a Band, so that a measurement can be inside or outside of it.
"""

from lab_utils.theory.balancing import largest_share, two_choices_response_s
from lab_utils.theory.bands import (
    Band,
    binomial_ranks,
    poisson_band,
    share_band,
    wilson_band,
)
from lab_utils.theory.failures import (
    client_failover_s,
    eviction_s,
    kill_window_s,
    lease_takeover_s,
    lost_requests,
    node_not_ready_s,
    probe_detection_s,
    rollout_s,
    selector_switch_s,
)
from lab_utils.theory.limits import (
    backoff_s,
    fatal_ballast_bytes,
    startup_s,
    throttled_latency_s,
    throttled_rps,
)
from lab_utils.theory.loops import (
    closed_loop_knee,
    closed_loop_rps,
    stalled_quantile_s,
    usl_peak,
    usl_rps,
)
from lab_utils.theory.overload import (
    amplification,
    batch_rps,
    batch_s,
    hpa_replicas,
    hpa_steps,
    is_stuck,
)
from lab_utils.theory.queues import (
    drain_s,
    erlang_b,
    erlang_c,
    little,
    mg1_response_s,
    mmc_quantile_s,
    mmc_response_s,
    mmck_response_s,
    queue_full_s,
    refused_share,
    round_robin_response_s,
)
from lab_utils.theory.tails import (
    exceeds_exponential,
    exceeds_lognormal,
    exceeds_sample,
    hedged,
    mixture_quantile_s,
    quantile_s,
    slow_share,
    slowest_mean_s,
)

__all__ = [
    "Band",
    "amplification",
    "backoff_s",
    "batch_rps",
    "batch_s",
    "binomial_ranks",
    "client_failover_s",
    "closed_loop_knee",
    "closed_loop_rps",
    "drain_s",
    "erlang_b",
    "erlang_c",
    "eviction_s",
    "exceeds_exponential",
    "exceeds_lognormal",
    "exceeds_sample",
    "fatal_ballast_bytes",
    "hedged",
    "hpa_replicas",
    "hpa_steps",
    "is_stuck",
    "kill_window_s",
    "largest_share",
    "lease_takeover_s",
    "little",
    "lost_requests",
    "mg1_response_s",
    "mixture_quantile_s",
    "mmc_quantile_s",
    "mmc_response_s",
    "mmck_response_s",
    "node_not_ready_s",
    "poisson_band",
    "probe_detection_s",
    "quantile_s",
    "queue_full_s",
    "refused_share",
    "rollout_s",
    "round_robin_response_s",
    "selector_switch_s",
    "share_band",
    "slow_share",
    "slowest_mean_s",
    "stalled_quantile_s",
    "startup_s",
    "throttled_latency_s",
    "throttled_rps",
    "two_choices_response_s",
    "usl_peak",
    "usl_rps",
    "wilson_band",
]
