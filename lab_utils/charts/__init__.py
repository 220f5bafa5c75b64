"""Tables in, charts out: one function per question, `ax=None` in, Axes out.

Every title says what was found and in how many requests; every failed request is drawn. Colour
never stands alone: roles differ in mark and line as well, so that grey print can be read.
"""

from lab_utils.charts.latency import histogram, parts, timeline
from lab_utils.charts.looks import style, use_style
from lab_utils.charts.service import availability, failover, shares
from lab_utils.charts.usage import usage

__all__ = [
    "availability",
    "failover",
    "histogram",
    "parts",
    "shares",
    "style",
    "timeline",
    "usage",
    "use_style",
]
