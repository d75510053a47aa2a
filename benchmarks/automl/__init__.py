"""The local engine against other AutoML systems: same rows, same cores, one run.

    make bench-automl                                        everything that is not yet measured, then the pages
    python -m benchmarks.automl --sets credit --budget 10    a try: a set, a budget, a system, a seed
    python -m benchmarks.automl --growth                     how Forestay grows: rows, columns, trials
    python -m benchmarks.automl --report                     the pages again from what is stored

A cell is one set, one system, one budget, one seed. Each is measured alone on two cores and kept as one JSON file in
build/automl/cells; a run that was stopped or killed goes on with the first cell that is missing. A system that fails,
or takes three times its budget, is a row with its reason. After a change of the engine: `--systems forestay --again`.
The machine must do nothing else meanwhile: threads that wait for one another turn a busy core into minutes.

The pages are TABLES-60s.md and one for each other budget, SEEDS-60s.md where a set has several seeds, FORECASTS.md and
GROWTH.md; what was not measured keeps its page.

What is measured
- Rows: 75/25, by class where there are classes, the seed decides; written once as CSV files that all systems read.
- Systems: Forestay by `forestay job submit` of a file that names task, metric, target and data; FLAML by `AutoML.fit`,
  AutoGluon with best_quality, LightGBM with its defaults. To FLAML and LightGBM strings are categories, and dates are
  dates. AutoGluon has LightGBM, XGBoost and CatBoost, but neither neural networks nor ray.
- Seconds are those of training: imports are not counted. `whole process` counts all. Memory is the most that the
  process tree held while it trained. The model is what must be kept to predict, on disk.
- Predictions are made in a second, fresh process: all test rows for the score, then single rows, median of 50.
- Scores are computed here from the predictions, the same way for all. The noise of a gap is the spread of paired
  bootstrap samples of the test rows.
- Forecasts: the last horizon of each set; with seed k the k-th before it.

Peers live in environments of their own, in .tools, made from the locks in `environments`. A lock is made anew by
`uv pip compile --universal --python-version 3.11 --generate-hashes --no-header NAME.in -o NAME.lock`.
"""
