"""Percentiles and other figures of samples, each with its interval."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lab_utils.errors import EmptyRun, InvalidInput
from lab_utils.theory import Band, binomial_ranks


def percentiles(
    latency_s: ArrayLike, quantiles: Sequence[float] = (0.5, 0.95, 0.99), *, level: float = 0.95
) -> pd.DataFrame:
    """Estimate percentiles with distribution-free confidence intervals.

    The intervals are those of independent samples. Latencies behind one queue resemble their
    neighbours; bootstrap_band() with a block says how much less they tell.

    Args:
        latency_s: Latencies in seconds; NaN (failed requests) are left out.
        quantiles: Between 0 and 1.
        level: Confidence of each interval, at least.

    Returns:
        One row per quantile: quantile, latency_s, low_s, high_s, n. NaN where the samples are too
        few to say: a bound of the p99 needs some 370 of them.

    Source:
        Order statistics: see theory.binomial_ranks().
    """
    samples = _known(latency_s)
    places = [_places(len(samples), q, level) for q in quantiles]
    wanted = sorted({rank - 1 for ranks in places for rank in ranks if 1 <= rank <= len(samples)})
    if wanted:
        samples = np.partition(samples, wanted)  # sorts no more of a million than is asked for

    def at(rank: int) -> float:
        return float(samples[rank - 1]) if 1 <= rank <= len(samples) else math.nan

    columns = ("latency_s", "low_s", "high_s")
    rows = [
        {"quantile": q, **dict(zip(columns, map(at, ranks), strict=True)), "n": len(samples)}
        for q, ranks in zip(quantiles, places, strict=True)
    ]
    return pd.DataFrame(rows, columns=["quantile", *columns, "n"])


def _places(n: int, q: float, level: float) -> tuple[int, int, int]:
    """Give the ranks, from 1 on, of a quantile and of its bounds."""
    if not 0 < q < 1:
        raise InvalidInput(f"quantiles has {q!r}: want numbers between 0 and 1, such as 0.99")
    return (max(1, math.ceil(q * n)), *binomial_ranks(n, q, level=level)) if n else (0, 0, 0)


def bootstrap_band(
    samples: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], float],
    *,
    block: int = 1,
    level: float = 0.95,
    repetitions: int = 1000,
    seed: int = 1,
) -> Band:
    """Estimate any figure of samples with an interval, by drawing them again and again.

    Args:
        samples: In the order measured; NaN are left out.
        statistic: Samples in, one number out: np.mean, or a ratio of percentiles.
        block: Neighbours drawn together. 1 for independent samples; for latencies behind a queue
            as many as one busy period has, or the interval is too narrow.
        level: Of the interval.
        repetitions: How often samples are drawn.
        seed: Of the drawing.

    Raises:
        EmptyRun: There are no samples.

    Source:
        Efron (1979); with blocks Kuensch (1989), the moving-block bootstrap. Percentile interval.
    """
    known = _known(samples)
    if not known.size:
        raise EmptyRun("There are no samples to draw from: fire some load first")
    block = min(max(block, 1), known.size)
    chance, blocks = np.random.default_rng(seed), -(-known.size // block)
    within = np.arange(block)
    found = np.empty(repetitions)
    for i in range(repetitions):
        starts = chance.integers(known.size - block + 1, size=blocks)
        drawn = (starts[:, None] + within).ravel()[: known.size]
        found[i] = statistic(known[drawn])
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Band(float(statistic(known)), float(low), float(high))


def _known(samples: ArrayLike) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.asarray(samples, dtype=float)
    known: NDArray[np.float64] = values[~np.isnan(values)]
    return known
