"""Forecasting on this machine.

Order: panel (rows of a table -> series on a regular grid) -> problem (horizon, season, lags, folds) -> search (which
model next) -> trainer (rolling-origin backtest, fit on all, outputs). The models themselves, as they are served, are
the top-level module `forestay_forecasting`; ets, arima, linear and lagged fit them, catalogue names them as Azure does.
"""
