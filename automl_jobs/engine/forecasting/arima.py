"""Fitting seasonal ARIMA.

Orders by a stepwise search (Hyndman and Khandakar 2008), coefficients by least squares of the one-step errors
(conditional sum of squares), chosen by AICc.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.optimize import least_squares
from scipy.signal import lfilter

from forestay_forecasters import Arima

LARGEST_SEASON = 60
MOST_VALUES = 800
MOST_FITS = 24
# Above this share of variance the season is taken away by differencing (Wang, Smith and Hyndman 2006).
SEASONAL_STRENGTH = 0.64
KPSS_CRITICAL = 0.463  # level stationarity, 5 %
Order = tuple[int, int, int, int, int]  # p, q, P, Q, constant
STARTS: tuple[Order, ...] = ((2, 2, 1, 1, 1), (0, 0, 0, 0, 1), (1, 0, 1, 0, 1), (0, 1, 0, 1, 1))


def fit(values: np.ndarray, season: int) -> Arima:
    """The model with the lowest AICc among those that the stepwise search meets."""
    values = values[-max(MOST_VALUES, 8 * season) :]
    if season > LARGEST_SEASON or len(values) < 2 * season + 8:
        season = 1
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    scaled = (values - centre) / spread
    difference = np.array([1.0])
    if season > 1 and strength(scaled, season) > SEASONAL_STRENGTH:
        difference = np.zeros(season + 1)
        difference[[0, -1]] = 1.0, -1.0
    taken = int(len(difference) > 1)
    while taken < 2 and _kpss(np.convolve(scaled, difference, "valid")) > KPSS_CRITICAL:
        difference = np.convolve(difference, [1.0, -1.0])
        taken += 1
    found = _stepwise(np.convolve(scaled, difference, "valid"), season, constant=taken < 2)
    mean = found.mean * spread + (centre if taken == 0 else 0.0)
    return Arima(found.ar, found.ma, difference, mean)


def strength(values: np.ndarray, season: int) -> float:
    """How much of the detrended series' variance is its season, 0 to 1."""
    kernel = np.full(season, 1 / season) if season % 2 else np.array([0.5, *[1.0] * (season - 1), 0.5]) / season
    trend = np.convolve(values, kernel, "valid")
    half = (len(kernel) - 1) // 2
    left = values[half : half + len(trend)] - trend
    phase = np.arange(len(left)) % season
    shape = np.array([left[phase == place].mean() if (phase == place).any() else 0.0 for place in range(season)])
    variance = left.var()
    return max(0.0, 1.0 - float((left - shape[phase]).var() / variance)) if variance > 0 else 0.0


def _kpss(values: np.ndarray) -> float:
    """The KPSS statistic of level stationarity (Kwiatkowski and others 1992); 0 where it can't be told."""
    count = len(values)
    if count < 8 or values.std() < 1e-9:
        return 0.0
    left = values - values.mean()
    lags = int(3 * np.sqrt(count) / 13)
    variance = left @ left / count
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (left[lag:] @ left[:-lag]) / count
    return float((np.cumsum(left) ** 2).sum() / (count**2 * max(variance, 1e-12)))


def _stepwise(moved: np.ndarray, season: int, constant: bool) -> Arima:
    """Start from four orders, then walk to the best neighbour until none is better."""
    tried: dict[Order, tuple[float, Arima]] = {}

    def score(order: Order) -> float:
        p, q, seasonal_p, seasonal_q, has_mean = order
        order = (p, q, *((seasonal_p, seasonal_q) if season > 1 else (0, 0)), has_mean if constant else 0)
        if order not in tried and len(tried) < MOST_FITS:
            tried[order] = _fit(moved, order, season)
        return tried[order][0] if order in tried else float("inf")

    for order in STARTS:
        score(order)
    best = min(tried, key=lambda order: tried[order][0])
    while len(tried) < MOST_FITS:
        for order in _neighbours(best):
            score(order)
        better = min(tried, key=lambda order: tried[order][0])
        if better == best:
            break
        best = better
    return tried[best][1]


def _neighbours(order: Order) -> list[Order]:
    steps = [
        (-1, 0, 0, 0), (0, -1, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0), (-1, -1, 0, 0),
        (0, 0, -1, 0), (0, 0, 0, -1), (0, 0, 1, 0), (0, 0, 0, 1),
    ]  # fmt: skip
    found: list[Order] = []
    for step in steps:
        p, q, seasonal_p, seasonal_q = (value + change for value, change in zip(order[:4], step, strict=True))
        if 0 <= p <= 4 and 0 <= q <= 4 and 0 <= seasonal_p <= 1 and 0 <= seasonal_q <= 1:
            found.append((p, q, seasonal_p, seasonal_q, order[4]))
    return [*found, (*order[:4], 1 - order[4])]


def _fit(moved: np.ndarray, order: Order, season: int) -> tuple[float, Arima]:
    """AICc and the fitted model of one order."""
    p, q, seasonal_p, seasonal_q, has_mean = order
    sizes = np.cumsum([0, p, q, seasonal_p, seasonal_q])
    skip = min(p + season * seasonal_p, len(moved) // 3)

    def polynomials(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [_stable(np.tanh(point[begin:end])) for begin, end in pairwise(sizes)]
        ar = np.convolve(np.append(1.0, -parts[0]), _spread(-parts[2], season))
        ma = np.convolve(np.append(1.0, parts[1]), _spread(parts[3], season))
        return ar, ma

    def errors(point: np.ndarray) -> np.ndarray:
        ar, ma = polynomials(point)
        return lfilter(ar, ma, moved - (point[-1] if has_mean else 0.0))[skip:]

    point = np.append(np.full(sizes[-1], 0.1), moved.mean() if has_mean else [])
    if len(point):
        point = least_squares(errors, point, max_nfev=25, x_scale=1.0).x
    left = errors(point)
    ar, ma = polynomials(point)
    count, parameters = len(left), len(point) + 1
    correction = 2 * parameters * (parameters + 1) / max(count - parameters - 1, 1)
    # The sum is over fewer errors when more are skipped: compare the mean, over all values.
    score = len(moved) * float(np.log(left @ left / count + 1e-12)) + 2 * parameters + correction
    return score, Arima(ar, ma, np.array([1.0]), float(point[-1]) if has_mean else 0.0)


def _stable(partial: np.ndarray) -> np.ndarray:
    """Coefficients of a stationary polynomial from partial autocorrelations in (-1, 1) (Durbin and Levinson)."""
    found = np.empty(0)
    for value in partial * 0.99:
        found = np.append(found - value * found[::-1], value)
    return found


def _spread(coefficients: np.ndarray, season: int) -> np.ndarray:
    """1 + c1 B^m + c2 B^2m + ... as a polynomial in B."""
    found = np.zeros(season * len(coefficients) + 1)
    found[0] = 1.0
    found[season::season] = coefficients
    return found
