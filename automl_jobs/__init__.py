"""Define an AutoML experiment, run it, and look at what came out.

Order: spec (the job file) -> data (a table) -> prepare (what would run) -> engine (trials) -> runs (the run store).
"""
