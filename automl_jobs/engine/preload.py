"""What the process is made of that workers are forked from; importing this module makes it. Linux alone has one.

What a trial imports is imported here, once: workers start at once, and hold it together. None of it starts a thread
of Python's. A worker's garbage collector would write to the head of each object that it looks at, and so make a copy
of nearly all of this for each worker (70 MB): they are put out of its sight.
"""

from __future__ import annotations

import gc

import jinja2  # noqa: F401
import lightgbm  # noqa: F401
import mlflow.pyfunc
import mlflow.sklearn  # noqa: F401
import pyarrow.pandas_compat  # noqa: F401
import sklearn.calibration
import sklearn.ensemble
import sklearn.linear_model
import sklearn.naive_bayes
import sklearn.neighbors
import sklearn.svm
import sklearn.tree  # noqa: F401
import xgboost  # noqa: F401

from automl_jobs.engine import after, ensemble, judging, tabular, trial  # noqa: F401
from automl_jobs.engine.forecasting import task as forecasting  # noqa: F401
from automl_jobs.engine.multilabel import task as multilabel  # noqa: F401

gc.collect()
gc.freeze()
