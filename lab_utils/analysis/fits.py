"""Laws fitted to measurements: what the numbers of a formula are here."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab_utils.errors import InvalidInput
from lab_utils.theory import Band, usl_peak


@dataclass(frozen=True)
class Usl:
    """A fitted universal scalability law: see theory.usl_rps()."""

    one_rps: float
    alpha: float
    beta: float

    @property
    def peak(self) -> float:
        """The n beyond which throughput falls."""
        return usl_peak(self.alpha, self.beta)


def fit_usl(n: ArrayLike, throughput_rps: ArrayLike) -> Usl:
    """Fit the universal scalability law to throughputs.

    Args:
        n: Users or servers of each measurement.
        throughput_rps: What each gave.

    Raises:
        InvalidInput: Fewer than three different n.

    Source:
        Gunther (2007): n / X is linear in 1, n - 1 and n (n - 1); least squares of the relative
        errors. Negative coefficients mean none and are set to 0, the others fitted again.
    """
    users, x_rps = np.asarray(n, float), np.asarray(throughput_rps, float)
    if len(np.unique(users)) < 3:
        raise InvalidInput("n has fewer than 3 different values: the law has 3 numbers to find")
    terms = np.column_stack([np.ones_like(users), users - 1, users * (users - 1)])
    used = [0, 1, 2]
    while True:
        scaled = terms[:, used] * (x_rps / users)[:, None]
        found, *_ = np.linalg.lstsq(scaled, np.ones_like(users), rcond=None)
        if min(found[1:], default=0.0) >= 0:
            break
        used.pop(1 + int(np.argmin(found[1:])))
    whole = np.zeros(3)
    whole[used] = found
    return Usl(1 / whole[0], whole[1] / whole[0], whole[2] / whole[0])


@dataclass(frozen=True)
class BatchTime:
    """T(b) = fixed + per_item * b, in seconds, each with its 95 % interval."""

    fixed_s: Band
    per_item_s: Band


def fit_batch_time(sizes: ArrayLike, times_s: ArrayLike) -> BatchTime:
    """Fit the time of a batch against its size.

    Args:
        sizes: Requests of each batch.
        times_s: How long each took.

    Raises:
        InvalidInput: Fewer than two different sizes, or fewer than three batches.

    Source:
        Ordinary least squares with its normal intervals (Draper and Smith, Applied Regression
        Analysis, chapter 1).
    """
    b, took_s = np.asarray(sizes, float), np.asarray(times_s, float)
    if len(b) < 3 or len(np.unique(b)) < 2:
        raise InvalidInput("sizes wants at least 3 batches of at least 2 sizes: no line otherwise")
    terms = np.column_stack([np.ones_like(b), b])
    found, *_ = np.linalg.lstsq(terms, took_s, rcond=None)
    noise = float(np.sum((took_s - terms @ found) ** 2)) / (len(b) - 2)
    errors = np.sqrt(noise * np.diag(np.linalg.inv(terms.T @ terms)))
    return BatchTime(_around(found, errors, 0), _around(found, errors, 1))


def _around(found: NDArray[np.float64], errors: NDArray[np.float64], at: int) -> Band:
    value, margin = float(found[at]), 1.96 * float(errors[at])
    return (
        Band(value, value - margin, value + margin)
        if math.isfinite(margin)
        else Band(value, value, value)
    )
