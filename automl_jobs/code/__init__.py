"""A trial as a training script that a person can read, change and run without Forestay.

In order: `gather` (the trial's pipeline, rows and folds, out of the run store and the job's data) -> `source` (unfitted
estimators as Python) -> `write` (the folder: the script, its data, the modules of ours that pipelines are made of).
`labels` has what is another script where rows have several labels, `forecasts` all of it for forecasts.
"""
