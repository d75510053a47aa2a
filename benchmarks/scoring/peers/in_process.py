"""`in_process.py FOLDER ROWS.json COUNT pipeline|served`: prints CPU and wall milliseconds of predicting, no server.

`pipeline` is scikit-learn's Pipeline of the fitted steps, which is what every server would call; `served` the model's
own class, which works on plain values for a few rows. The rows are parsed and put in a frame before.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import joblib
import pandas as pd
import psutil
from sklearn.pipeline import Pipeline

folder, rows, count, way = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
sys.path.insert(0, str(folder))
model = joblib.load(folder / "model.pkl")
if way == "pipeline":
    model = Pipeline(model.steps)
frame = pd.DataFrame(json.loads(rows.read_text()))
for _ in range(3):
    answer = model.predict(frame)
took, before = [], time.process_time()
for _ in range(count):
    started = time.perf_counter()
    model.predict(frame)
    took.append((time.perf_counter() - started) * 1000)
cpu = (time.process_time() - before) * 1000 / count
memory = psutil.Process().memory_info().rss / 2**20
percent = statistics.quantiles(took, n=100, method="inclusive")
print(
    json.dumps(
        {
            "cpu_ms": cpu,
            "p50_ms": percent[49],
            "p99_ms": percent[98],
            "rate": 1000 * count / sum(took),
            "memory_mb": memory,
            "answers": answer.tolist(),
        }
    )
)
