"""What is measured, against whom. `python -m benchmarks` runs all and writes RESULTS.md.

A number is a ratio of two commands that ran in turns in one run, so that the machine's mood cancels out.
Models are measured apart, by `make bench-automl`: see `benchmarks.automl`.
"""
