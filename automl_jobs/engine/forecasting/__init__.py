"""Forecasting on this machine.

Order: panel (rows of a table -> series on a grid) -> outline (horizon, season, folds) -> problem (lags, columns,
schema) -> search (which model next) -> trainer (rolling-origin backtest, fit on all, outputs) -> after (what is told of
the best). `task` gives all of it to the run. The models as they are served are the top-level modules
`forestay_forecasting` (the model) and `forestay_forecasters` (what is in it); ets, arima, linear and lagged fit them,
catalogue names them as Azure does.
"""
