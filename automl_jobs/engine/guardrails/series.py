"""The guardrails of a forecast: frequency, gaps, short series, lags, folds. What no model can bear was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from automl_jobs.engine.guardrails.guardrail import ALERTED, DONE, PASSED, Guardrail
from automl_jobs.prepare.findings import listed
from forestay.documents.names import shown

if TYPE_CHECKING:
    from automl_jobs.engine.forecasting.outline import Outline
    from automl_jobs.prepare import Prepared
    from automl_jobs.spec.sections import Forecasting

LISTED = 20
# Beyond this share of filled periods a series is more our line than the user's data.
MANY_FILLED = 0.5


def checks(prepared: Prepared, outline: Outline) -> list[Guardrail]:
    """All of them, the first ones under Azure's names."""
    settings = prepared.loaded.spec.forecasting
    assert settings is not None
    return [
        _validation(prepared, outline),
        _frequency(settings, outline),
        _ids(settings, outline),
        _short(outline),
        _gaps(settings, outline),
        _features(prepared, outline),
        _lags(settings, outline),
    ]


def _validation(prepared: Prepared, outline: Outline) -> Guardrail:
    """Each fold as the span of times that it forecasts."""
    name = "Cross validation" if prepared.validation is None else "Validation split handling"
    details = tuple(
        {
            "fold": number,
            "from": min(outline.series[one.series].times[one.start] for one in windows).isoformat(),
            "to": max(outline.series[one.series].times[one.stop - 1] for one in windows).isoformat(),
            "series": len(windows),
        }
        for number, windows in enumerate(outline.splits, start=1)
    )
    if prepared.validation is not None:
        return Guardrail(name, PASSED, "models forecast the validation data from all before it", details)
    asked = prepared.loaded.spec.n_cross_validations
    count = len(outline.splits)
    description = f"rolling origin, {count} fold{'s' * (count != 1)} of {outline.horizon} periods at the series' ends"
    if asked == count:
        return Guardrail(name, PASSED, description, details)
    why = f"{asked} were asked for" if isinstance(asked, int) else "the number follows from the length of the series"
    return Guardrail(name, DONE, f"{description}; {why}", details)


def _frequency(settings: Forecasting, outline: Outline) -> Guardrail:
    name = "Frequency detection"
    gaps = sum(_gap_count(one.observed) for one in outline.series)
    details = ({"frequency": outline.frequency, "said": settings.frequency, "gaps": gaps},)
    if settings.target_aggregate_function != "none":
        how = settings.target_aggregate_function
        return Guardrail(name, DONE, f"rows are joined to one a period of {outline.frequency}, by {how}", details)
    more = f", with {gaps} gap{'s' * (gaps != 1)}" if gaps else ""
    return Guardrail(name, PASSED, f"all points lie on the frequency {outline.frequency}{more}", details)


def _gap_count(observed: np.ndarray) -> int:
    """Runs of periods without a value; what pads the beginning is none."""
    inside = observed[observed.argmax() :]
    return int((np.diff(inside.astype(int)) == -1).sum())


def _ids(settings: Forecasting, outline: Outline) -> Guardrail:
    ids = listed(settings.time_series_id_column_names)
    count = f"{len(outline.series)} series by {ids}" if ids else "one series"
    return Guardrail("Time Series ID detection", PASSED, f"{count}; no moment is there twice in one series")


def _short(outline: Outline) -> Guardrail:
    """Long enough: a horizon to validate on in each fold, and something to learn from before."""
    name, short = "Short series handling", outline.short
    if not short.keys:
        return Guardrail(name, PASSED, "every series is long enough for all folds", ({"needed": short.needed},))
    done = {"pad": "they are padded with their first value", "drop": "they are left out", "none": "they are kept"}
    count = len(short.keys)
    return Guardrail(
        name,
        ALERTED if short.how == "none" else DONE,
        f"{count} series {'has' if count == 1 else 'have'} fewer than {short.needed} periods: {done[short.how]}",
        tuple({"series": shown(key)} for key in short.keys[:LISTED]),
        "set forecasting.short_series_handling_config to pad or drop" if short.how == "none" else "",
    )


def _gaps(settings: Forecasting, outline: Outline) -> Guardrail:
    """Periods without a value of the target between those with one."""
    name = "Missing target values"
    counts = [(one, int((~one.observed[one.observed.argmax() :]).sum())) for one in outline.series]
    filled = sum(count for _, count in counts)
    if not filled:
        return Guardrail(name, PASSED, "every period of every series has a value")
    total = sum(len(one) for one in outline.series)
    details = tuple(
        {"series": ", ".join(one.key), "missing": count, "periods": len(one)} for one, count in counts if count
    )
    many = filled > MANY_FILLED * total
    return Guardrail(
        name,
        ALERTED if many else DONE,
        f"{filled} of {total} periods have no value: they are filled in between their neighbours, and neither learned "
        "from nor scored",
        details[:LISTED],
        "set forecasting.frequency if another one is meant" if many else "",
    )


def _features(prepared: Prepared, outline: Outline) -> Guardrail:
    name = "Missing feature values imputation"
    assert prepared.train is not None
    counts = prepared.train.frame[[column for column, _ in outline.columns]].isna().sum()
    details = tuple({"column": str(column), "missing": int(count)} for column, count in counts.items() if count)
    if not details:
        return Guardrail(name, PASSED, "no value of a feature is missing in the training data")
    columns = listed(str(row["column"]) for row in details)
    return Guardrail(name, DONE, f"missing values of {columns} stay as they were last known", details[:LISTED])


def _lags(settings: Forecasting, outline: Outline) -> Guardrail:
    """How far back models look, and what becomes of lags that are not known at the end of the horizon."""
    name = "Lags and rolling windows"
    lags, width = settings.target_lags, settings.target_rolling_window_size
    given = sorted(lags) if isinstance(lags, tuple) else [lags] if isinstance(lags, int) else []
    details = (
        {
            "target_lags": given or "auto",
            "target_rolling_window_size": width if isinstance(width, int) else "auto",
            "seasonality": outline.season,
            "seasonality_of": settings.seasonality,
            "feature_lags": settings.feature_lags,
        },
    )
    if not given:
        text = f"lags are chosen by the frequency and a season of {outline.season} periods"
        return Guardrail(name, DONE, text, details)
    near = [lag for lag in given if lag < outline.horizon]
    if near:
        text = (
            f"lags below the horizon of {outline.horizon} ({', '.join(map(str, near))}) are forecasts themselves if a "
            "model goes period by period, and count from the last known period if it forecasts the horizon at once"
        )
        return Guardrail(name, DONE, text, details)
    return Guardrail(name, PASSED, f"all lags are known for the whole horizon of {outline.horizon}", details)
