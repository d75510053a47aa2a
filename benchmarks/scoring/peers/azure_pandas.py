"""score.py as Microsoft's examples have it: the pandas schema of inference-schema makes the frame."""

import json
import os
import sys
from pathlib import Path

import joblib
import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

FOLDER = Path(os.environ["AZUREML_MODEL_DIR"])
SAMPLE = pd.DataFrame(json.loads((FOLDER / "sample.json").read_text()))


def init():
    global model
    sys.path.insert(0, str(FOLDER))
    model = joblib.load(FOLDER / "model.pkl")


@input_schema("data", PandasParameterType(SAMPLE))
@output_schema(StandardPythonParameterType({"Results": ["yes"]}))
def run(data):
    return {"Results": model.predict(data).tolist()}
