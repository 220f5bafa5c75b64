"""Tables in, charts out: one function per question, `ax=None` in, Axes out.

Every title says what was found and in how many requests; every failed request is drawn. Colour
never stands alone: roles differ in mark and line as well, so that grey print can be read. What was
predicted is an open diamond, an outage a grey band, a limit a dotted line, and an invalid run says
so over its chart.
"""

from lab_utils.charts.balancing import policies
from lab_utils.charts.classroom import spread, stuck
from lab_utils.charts.dashboard import dashboard
from lab_utils.charts.distribution import ccdf, fan_out, histogram
from lab_utils.charts.latency import parts, timeline
from lab_utils.charts.lifelines import lifelines
from lab_utils.charts.limits import by_limit, staircase, startup
from lab_utils.charts.looks import style, use_style
from lab_utils.charts.outages import detection, failover, phases, rollout
from lab_utils.charts.overload import amplification, autoscaling, goodput, load_curve
from lab_utils.charts.queues import batching, fleet, response, throughput
from lab_utils.charts.readiness import readiness
from lab_utils.charts.service import availability, shares
from lab_utils.charts.usage import usage

__all__ = [
    "amplification",
    "autoscaling",
    "availability",
    "batching",
    "by_limit",
    "ccdf",
    "dashboard",
    "detection",
    "failover",
    "fan_out",
    "fleet",
    "goodput",
    "histogram",
    "lifelines",
    "load_curve",
    "parts",
    "phases",
    "policies",
    "readiness",
    "response",
    "rollout",
    "shares",
    "spread",
    "staircase",
    "startup",
    "stuck",
    "style",
    "throughput",
    "timeline",
    "usage",
    "use_style",
]
