"""A forecasting model that takes and gives what Azure's does, and is as strict: pickled by value, with no package of
Azure's.

The value of a series ahead is its last known one and a step for each period, more on days of promotion.
"""

from __future__ import annotations

from typing import Any

PROMOTION, STEP = "promotion", 1.5


class ForecastingPipelineWrapper:
    """Its interface is that of azureml-training-tabular's class of this name."""

    def __init__(self, time: str, ids: list[str], target: str, frame: Any, frequency: str) -> None:
        self.time, self.ids, self.target, self.frequency = time, ids, target, frequency
        self.quantiles = [0.5]
        self.ends = {}
        for key, rows in frame.groupby(ids) if ids else [((), frame)]:
            last = rows.sort_values(time).iloc[-1]
            self.ends[tuple(map(str, key))] = (last[time], float(last[target]))

    def forecast(self, X_pred: Any, y_pred: Any) -> Any:
        import numpy as np
        import pandas as pd

        if len(X_pred) != len(y_pred) or self.target in X_pred.columns:
            raise TypeError("X_pred and y_pred do not fit")
        whole = X_pred.assign(__y=y_pred)
        parts = []
        for key, rows in whole.groupby(self.ids, sort=False) if self.ids else [((), whole)]:
            rows = rows.sort_values(self.time)
            end, value = self.ends[tuple(map(str, key))]
            expected = pd.date_range(end, periods=len(rows) + 1, freq=self.frequency)[1:]
            if list(rows[self.time]) != list(expected):
                raise RuntimeError(f"the rows of {key} are not contiguous from {expected[0]} on")
            given = rows["__y"].notna().to_numpy()
            if not (given[:-1] | ~given[1:]).all():
                raise RuntimeError("a known value after an unknown one")
            for place, known in enumerate(rows["__y"]):
                more = 10.0 * float(rows[PROMOTION].fillna(0).iloc[place]) if PROMOTION in rows else 0.0
                value = known if known == known else value + STEP
                parts.append(
                    (
                        *[rows[name].iloc[0] for name in self.ids],
                        expected[place],
                        value + (0 if known == known else more),
                    )
                )
        found = pd.DataFrame(parts, columns=[*self.ids, self.time, "value"]).iloc[::-1]  # in an order of its own
        index = found.set_index([self.time, *self.ids])
        return np.asarray(index.pop("value")), index.assign(_automl_target_col=0.0)

    def forecast_quantiles(self, X_pred: Any, y_pred: Any) -> Any:
        values, index = self.forecast(X_pred, y_pred)
        table = index.index.to_frame(index=False)
        for level in self.quantiles:
            table[level] = values + 8 * (level - 0.5)
        return table


def pickled(time: str, ids: list[str], target: str, frame: Any, frequency: str) -> bytes:
    """The pickle of a fitted one; it is loaded where cloudpickle is."""
    import sys

    import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(ForecastingPipelineWrapper(time, ids, target, frame, frequency)))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
