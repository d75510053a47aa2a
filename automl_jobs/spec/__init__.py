"""The job file: Azure ML's CLI v2 AutoML job YAML, read, checked, and with the line of every key.

Order: document (text -> values with lines) -> jobs and its parts (pydantic models) -> problems (what is wrong, said to
a person) -> loader (`load_job`). `metrics` and `algorithms` hold Azure's names; nothing heavy is imported.
"""

from automl_jobs.spec.jobs import JobSpec
from automl_jobs.spec.loader import LoadedJob, load_job

__all__ = ["JobSpec", "LoadedJob", "load_job"]
