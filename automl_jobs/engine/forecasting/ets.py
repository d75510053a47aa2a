"""Fitting exponential smoothing: the additive models of Hyndman and Athanasopoulos, chosen by AICc.

Multiplicative seasons and trends are these on the logarithm.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from forestay_forecasters import Ets

# Older values say little of the state at the end, and the recursion is plain Python.
MOST_SEASONS, MOST_VALUES = 12, 400
LARGEST_SEASON = 60


def fit(values: np.ndarray, season: int) -> Ets:
    """The best of level, damped trend and undamped trend, with and without season, at the end of `values`."""
    values = values[-max(MOST_VALUES, MOST_SEASONS * min(season, LARGEST_SEASON)) :]
    # Optimisers work at unit scale.
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    scaled = (values - centre) / spread
    seasons = [1]
    if 1 < season <= LARGEST_SEASON and len(values) >= 2 * season + 2:
        seasons.append(season)
    best: tuple[float, Ets] | None = None
    for count in seasons:
        for trend in ("none", "damped", "linear"):
            found = _fit(scaled, count, trend)
            if best is None or found[0] < best[0]:
                best = found
    assert best is not None
    end = best[1]
    return Ets(
        end.alpha,
        end.beta,
        end.gamma,
        end.phi,
        end.level * spread + centre,
        end.slope * spread,
        tuple(value * spread for value in end.seasons),
    )


def start(values: np.ndarray, season: int, trend: bool) -> tuple[float, float, tuple[float, ...]]:
    """Level, slope and seasons before the first value, by a classical decomposition of the first seasons."""
    if season == 1:
        first = values[: max(4, min(10, len(values)))]
        slope = float(np.polyfit(np.arange(len(first)), first, 1)[0]) if trend and len(first) > 2 else 0.0
        return float(first[: 1 if trend else len(first)].mean()) - slope, slope, (0.0,)
    whole = values[: season * min(4, len(values) // season)]
    positions = np.arange(len(whole))
    years = whole.reshape(-1, season).mean(axis=1)
    slope = float(np.polyfit(np.arange(len(years)), years, 1)[0]) / season if len(years) > 1 else 0.0
    left = whole - slope * positions
    level = float(left.mean())
    shape = (left - level).reshape(-1, season).mean(axis=0)
    return (
        level + (0.0 if trend else slope * season / 2),
        slope if trend else 0.0,
        tuple((shape - shape.mean()).tolist()),
    )


def _fit(values: np.ndarray, season: int, trend: str) -> tuple[float, Ets]:
    """AICc and the model at the end of `values`."""
    level, slope, seasons = start(values, season, trend != "none")
    has_trend, has_season = trend != "none", season > 1

    def model(point: np.ndarray) -> Ets:
        alpha = float(point[0])
        beta = float(point[1]) * alpha if has_trend else 0.0
        gamma = float(point[2]) * (1 - alpha) if has_season else 0.0
        phi = float(point[3]) if trend == "damped" else 1.0
        return Ets(alpha, beta, gamma, phi, level + float(point[4]), slope + float(point[5]), seasons)

    free = [True, has_trend, has_season, trend == "damped", True, has_trend]
    begin = np.array([0.3, 0.1, 0.1, 0.95, 0.0, 0.0])
    bounds = [(0.01, 0.99), (1e-4, 0.9), (1e-4, 0.9), (0.8, 0.98), (-3.0, 3.0), (-0.5, 0.5)]
    chosen = np.flatnonzero(free)

    def loss(point: np.ndarray) -> float:
        whole = begin.copy()
        whole[chosen] = point
        return float(np.log(model(whole).run(values)[1] + 1e-12))

    found = minimize(
        loss,
        begin[chosen],
        method="L-BFGS-B",
        bounds=[bounds[place] for place in chosen],
        options={"maxiter": 40, "maxfun": 400},
    )
    point = begin.copy()
    point[chosen] = found.x
    end, total = model(point).run(values)
    count, parameters = len(values), len(chosen) + 1 + (season - 1 if has_season else 0)
    correction = 2 * parameters * (parameters + 1) / max(count - parameters - 1, 1)
    return count * float(np.log(total / count + 1e-12)) + 2 * parameters + correction, end
