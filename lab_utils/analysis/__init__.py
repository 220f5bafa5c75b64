"""What a run's tables say: tables in, tables and numbers out. Pure.

A failed request is never a latency, and a request cancelled by the end of the run is neither a
success nor a failure. Every estimate comes with its interval.
"""

from lab_utils.analysis.balancing import newcomers, policy_points
from lab_utils.analysis.fanout import fan_out_points, pages
from lab_utils.analysis.fits import BatchTime, Usl, fit_batch_time, fit_usl
from lab_utils.analysis.fleets import measured_fleets, simulated_fleets
from lab_utils.analysis.nodes import node_phases
from lab_utils.analysis.outages import (
    MAX_GAP_S,
    availability,
    find_outages,
    has_recovered,
    select_judged,
    split_outages,
    tell_outages,
)
from lab_utils.analysis.percentiles import bootstrap_band, percentiles
from lab_utils.analysis.points import batch_points, response_points, users_points, work_points
from lab_utils.analysis.probes import detection_points, silences
from lab_utils.analysis.retries import amplification_points
from lab_utils.analysis.service import (
    amplification,
    errors,
    goodput,
    parts,
    rates,
    replicas,
    shares,
)
from lab_utils.analysis.summary import summarize
from lab_utils.analysis.twin import twin

__all__ = [
    "MAX_GAP_S",
    "BatchTime",
    "Usl",
    "amplification",
    "amplification_points",
    "availability",
    "batch_points",
    "bootstrap_band",
    "detection_points",
    "errors",
    "fan_out_points",
    "find_outages",
    "fit_batch_time",
    "fit_usl",
    "goodput",
    "has_recovered",
    "measured_fleets",
    "newcomers",
    "node_phases",
    "pages",
    "parts",
    "percentiles",
    "policy_points",
    "rates",
    "replicas",
    "response_points",
    "select_judged",
    "shares",
    "silences",
    "simulated_fleets",
    "split_outages",
    "summarize",
    "tell_outages",
    "twin",
    "users_points",
    "work_points",
]
