"""One model behind several servers, on one core: what a request costs, and how long it takes.

`python -m benchmarks.scoring`: model -> servers, one after the other, each asked by `load` -> a table in RESULTS.md.
`python -m benchmarks.scoring.soak`: our server under load for minutes -> SOAK.md.
"""
