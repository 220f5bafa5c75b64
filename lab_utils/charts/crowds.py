"""More requests than a chart can show one by one: pixels and medians instead of points.

A scatter of ten million points takes minutes and shows a blot. Counted into the pixels of the
chart they take a second, and one failed request among them can still be seen.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lab_utils.charts.looks import Look

MOST_POINTS = 20_000
"""Up to so many requests are drawn one by one."""
_PIXELS = (600, 240)
_STEPS = 80


def draw_density(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], look: Look, label: str
) -> None:
    """Draw how dense points are, with the line of their medians over it.

    Args:
        ax: Its limits must be final.
        x: Where, in data units.
        y: How high.
        look: Of whom they are.
        label: For the legend.
    """
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    columns, rows = _PIXELS
    at = _place(x, left, right, columns), _place(y, bottom, top, rows)
    counts = np.bincount(at[1] * columns + at[0], minlength=rows * columns).reshape(rows, columns)
    image = np.empty((rows, columns, 4))
    image[..., :3] = to_rgb(look.color)
    image[..., 3] = np.where(counts, 0.25 + 0.65 * np.log1p(counts) / np.log1p(counts.max()), 0)
    ax.imshow(
        image, extent=(left, right, bottom, top), origin="lower", aspect="auto", zorder=1.5,
        interpolation="nearest",
    )  # fmt: skip
    middle_x, medians = _medians(x, y)
    ax.plot(middle_x, medians, color=look.color, ls=look.line, lw=1.6, zorder=2.5)
    ax.plot(middle_x, medians, color="black", ls=look.line, lw=0.5, zorder=2.6)
    proxy = Line2D([], [], color=look.color, marker=look.marker, ls=look.line, label=label)
    ax.add_line(proxy)


def _place(values: NDArray[np.float64], low: float, high: float, cells: int) -> NDArray[np.int64]:
    scaled = (values - low) * (cells / (high - low))
    return np.clip(scaled.astype(np.int64), 0, cells - 1)


def _medians(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = float(x.min()), float(x.max()) + 1e-9
    cells = _place(x, low, high, _STEPS)
    medians = pd.Series(y).groupby(cells).median()
    middle = low + (medians.index.to_numpy() + 0.5) * (high - low) / _STEPS
    return middle, np.asarray(medians, dtype=float)


def thin(x: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Leave out points that would be drawn over one another: one per pixel is seen as well."""
    if len(x) <= MOST_POINTS // 10:
        return x
    cells = 2 * _PIXELS[0]
    return low + (np.unique(_place(x, low, high, cells)) + 0.5) * (high - low) / cells
