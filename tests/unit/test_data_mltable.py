"""MLTable folders: paths, readers, steps, and every error with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_jobs.data import ColumnType, ReadOptions, Table, load_table
from forestay.errors import ForestayError, InputError, OutsideError

Make = Callable[..., Path]
READ = "- read_delimited: {delimiter: ','}"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A folder with these files and an MLTable of these paths and transformations (YAML, one entry each)."""

    def write(files: dict[str, str | bytes], *steps: str, paths: str = "- file: ./a.csv") -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        entries = "\n".join(f"  {line}" for line in paths.splitlines())
        listed = "\n".join(f"  {line}" for step in steps for line in step.splitlines())
        (tmp_path / "MLTable").write_text(f"type: mltable\npaths:\n{entries}\ntransformations:\n{listed}\n")
        return tmp_path

    return write


def frame(folder: Path) -> dict[str, list[object]]:
    return load_table(folder).frame.to_dict("list")  # type: ignore[return-value]


ABC = "a,b,c\n1,x,1.5\n2,y,2.5\n3,z,3.5\n"


def test_published_folders(shared: Path) -> None:
    bank = load_table(shared / "data/classification-task-bankmarketing/training-mltable-folder")
    assert bank.frame.shape == (29999, 21)
    assert {column.name: str(column.type) for column in bank.columns}["job"] == "categorical"
    hardware = load_table(shared / "data/regression-task-hardware-perf/training-mltable-folder")
    assert hardware.frame.dtypes["ERP"] == "int64"
    assert hardware.frame.dtypes["VendorName"] == "str"
    bikes = load_table(shared / "data/forecasting-bike-share/training-mltable-folder")
    assert bikes.frame.dtypes["cnt"] == "float64"
    assert bikes.column("date").type is ColumnType.DATETIME


def test_the_path_may_be_the_file_itself_and_relative_to_a_base(make: Make) -> None:
    folder = make({"a.csv": ABC}, READ)
    assert len(load_table(folder / "MLTable").frame) == 3
    assert len(load_table(Path(folder.name), base=folder.parent).frame) == 3


@pytest.mark.parametrize(
    ("paths", "rows"),
    [
        ("- file: ./a.csv\n- file: b/b.csv", [1, 2]),
        ("- pattern: ./*.csv", [1]),
        ("- pattern: ./**/*.csv", [1, 2, 3]),
        ("- pattern: ./b/[bc].csv", [2, 3]),
        ("- folder: ./b", [2, 3]),
        ("- file: ./a.csv\n- pattern: ./*.csv", [1]),  # a file named twice is read once
    ],
)
def test_paths(make: Make, paths: str, rows: list[int]) -> None:
    files: dict[str, str | bytes] = {"a.csv": "n,m\n1,x\n", "b/b.csv": "n,m\n2,y\n", "b/c.csv": "n,m\n3,z\n"}
    assert frame(make(files, READ, paths=paths))["n"] == rows


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("all_files_same_headers", {"n": [1, 3], "m": ["x", "z"]}),
        ("from_first_file", {"n": ["1", "n", "3"], "m": ["x", "m", "z"]}),
        ("no_header", {"Column1": ["n", "1", "n", "3"], "Column2": ["m", "x", "m", "z"]}),
        ("all_files_different_headers", {"n": [1, 3], "m": ["x", "z"]}),
    ],
)
def test_headers(make: Make, header: str, expected: dict[str, list[object]]) -> None:
    folder = make(
        {"a.csv": "n,m\n1,x\n", "b.csv": "n,m\n3,z\n"},
        f"- read_delimited:\n    header: {header}",
        paths="- pattern: ./*.csv",
    )
    assert frame(folder) == expected


def test_different_headers_are_joined_by_name(make: Make) -> None:
    folder = make(
        {"a.csv": "n,m\n1,x\n", "b.csv": "k,n\nq,2\n"},
        "- read_delimited:\n    header: all_files_different_headers",
        paths="- pattern: ./*.csv",
    )
    table = load_table(folder)
    assert table.frame["n"].tolist() == [1, 2]
    assert table.frame["m"].isna().tolist() == [False, True]
    assert table.frame["k"].isna().tolist() == [True, False]


def test_files_that_should_agree_and_do_not(make: Make) -> None:
    folder = make({"a.csv": "n,m\n1,x\n", "b.csv": "n,k\n2,y\n"}, READ, paths="- pattern: ./*.csv")
    with pytest.raises(InputError) as caught:
        load_table(folder)
    assert caught.value.problems[0].where.endswith("b.csv:1")
    assert "all_files_different_headers" in caught.value.problems[0].fix


def test_options_of_read_delimited(make: Make) -> None:
    folder = make(
        {"a.csv": "a;b\n1;é\n;\n".encode("cp1252")},
        "- read_delimited:\n    delimiter: ';'\n    encoding: windows1252\n    empty_as_string: true\n"
        "    infer_column_types: false\n    include_path_column: true",
    )
    table = load_table(folder)
    assert table.frame.to_dict("list") == {"Path": ["a.csv", "a.csv"], "a": ["1", ""], "b": ["é", ""]}


def test_a_tab_in_any_quotes(make: Make) -> None:
    for text in ("'\\t'", '"\\t"'):
        assert frame(make({"a.csv": "a\tb\n1\tx\n"}, f"- read_delimited: {{delimiter: {text}}}"))["b"] == ["x"]


def test_line_breaks_need_the_option(make: Make) -> None:
    files: dict[str, str | bytes] = {"a.csv": 'a,b\n1,"x\ny"\n2,z\n'}
    with pytest.raises(InputError) as caught:
        load_table(make(files, READ))
    assert caught.value.problems[0].where.endswith("MLTable:5")
    assert "support_multi_line: true" in caught.value.problems[0].fix
    assert frame(make(files, "- read_delimited: {support_multi_line: true}"))["b"] == ["x\ny", "z"]


def test_types_are_inferred_as_azure_would(make: Make) -> None:
    table = load_table(make({"a.csv": 'p,q,zip\n"1,5","1,234",01234\n"2,5","2,345",11111\n'}, READ))
    assert [str(column.type) for column in table.columns] == ["categorical"] * 3
    assert any("convert_column_types" in note for note in table.notes)
    assert not any("--" in note for note in table.notes)


def test_conversions_short_and_long(make: Make) -> None:
    folder = make(
        {"a.csv": "i,f,s,b,d,t\n1,1,007,yes,31/12/2025,2026-01-01\n,2,008,no,01/02/2026,2026-01-02\n"},
        READ,
        "- convert_column_types:\n"
        "    - columns: [i]\n      column_type: int\n"
        "    - columns: f\n      column_type: float\n"
        "    - columns: [s]\n      column_type: string\n"
        "    - columns: b\n      column_type:\n        boolean:\n          true_values: [yes]\n"
        "          false_values: [no]\n"
        "    - columns: d\n      column_type:\n        datetime:\n          formats: ['%d/%m/%Y']\n"
        "    - columns: t\n      column_type: datetime",
    )
    table = load_table(folder)
    assert table.frame.dtypes.astype(str).to_dict() == {
        "i": "float64",
        "f": "float64",
        "s": "str",
        "b": "boolean",
        "d": "datetime64[us]",
        "t": "datetime64[us]",
    }
    assert table.frame["s"].tolist() == ["007", "008"]
    assert table.frame["b"].tolist() == [True, False]
    assert table.frame["d"].tolist() == [pd.Timestamp("2025-12-31"), pd.Timestamp("2026-02-01")]


def test_what_does_not_fit_a_conversion_is_missing_and_said(make: Make) -> None:
    folder = make(
        {"a.csv": "n,m\n1,x\nten,y\n2.5,z\n"},
        READ,
        "- convert_column_types:\n    - columns: n\n      column_type: int",
    )
    column = load_table(folder).columns[0]
    assert column.missing == 2
    assert "'ten', '2.5'" in column.warnings[0]


@pytest.mark.parametrize(("mismatch", "expected"), [("true", [True, True]), ("false", [True, False])])
def test_boolean_mismatch(make: Make, mismatch: str, expected: list[bool]) -> None:
    step = (
        "- convert_column_types:\n    - columns: b\n      column_type:\n        boolean:\n"
        "          true_values: ['1']\n          false_values: ['0']\n"
    )
    files: dict[str, str | bytes] = {"a.csv": "b,c\n1,x\nmaybe,y\n"}
    assert frame(make(files, READ, step + f"          mismatch_as: {mismatch}"))["b"] == expected
    with pytest.raises(InputError, match="'maybe'"):
        load_table(make(files, READ, step + "          mismatch_as: error"))


def test_steps_run_in_order(make: Make) -> None:
    files: dict[str, str | bytes] = {"a.csv": ABC}
    assert frame(make(files, READ, "- skip: 1", "- take: 1")) == {"a": [2], "b": ["y"], "c": [2.5]}
    assert list(frame(make(files, READ, "- keep_columns: [c, a]"))) == ["a", "c"]
    assert list(frame(make(files, READ, "- drop_columns: b"))) == ["a", "c"]


def test_a_random_sample_repeats_itself(make: Make) -> None:
    files: dict[str, str | bytes] = {"a.csv": "n,m\n" + "".join(f"{i},{i % 7}\n" for i in range(1000))}
    folder = make(files, READ, "- take_random_sample: {probability: 0.2, seed: 3}")
    first, second = load_table(folder), load_table(folder)
    assert first.frame.equals(second.frame)
    assert 130 < len(first.frame) < 270


def test_parquet_and_json_lines(make: Make, tmp_path: Path) -> None:
    pd.DataFrame({"n": [1, 2], "s": ["1", "2"]}).to_parquet(tmp_path / "a.parquet")
    assert frame(make({}, "- read_parquet", paths="- file: a.parquet")) == {"n": [1, 2], "s": ["1", "2"]}
    files: dict[str, str | bytes] = {"a.jsonl": '{"n": 1}\nnot json\n{"n": 2, "s": "x"}\n'}
    lines = make(files, "- read_json_lines: {invalid_lines: drop}", paths="- file: a.jsonl")
    assert frame(lines)["n"] == [1, 2]
    with pytest.raises(InputError) as caught:
        load_table(make(files, "- read_json_lines", paths="- file: a.jsonl"))
    assert caught.value.problems[0].where.endswith("a.jsonl:2")


@pytest.mark.parametrize("uri", ["azureml://datastores/x/paths/a.csv", "https://example.org/a.csv", "azureml:bank:1"])
def test_paths_in_a_cloud_cannot_be_reached(make: Make, uri: str) -> None:
    with pytest.raises(OutsideError) as caught:
        load_table(make({}, READ, paths=f"- file: {uri}"))
    assert caught.value.problems[0].where.endswith("MLTable:3")
    assert caught.value.exit_code == 3
    with pytest.raises(OutsideError):
        load_table(uri)


@pytest.mark.parametrize(
    ("step", "line", "message", "fix"),
    [
        ("- read_delimted: {}", 5, "unknown transformation 'read_delimted'", "read_delimited"),
        ("- read_delimited: {delimeter: ','}", 5, "unknown option 'delimeter'", "delimiter"),
        ("- read_delimited: {header: none}", 5, "header is 'none'", "no_header"),
        ("- read_delimited: {encoding: utf9}", 5, "unknown encoding 'utf9'", "utf8"),
        ("- read_delimited: {delimiter: '||'}", 5, "cannot be a delimiter", "one character"),
        ("- read_delimited:\n    empty_as_string: perhaps", 6, "empty_as_string is 'perhaps'", "true or false"),
        (f"{READ}\n- filter: 'col(\"a\") > 3'", 6, "filter works in Azure only", "keep_columns"),
        (f"{READ}\n- keep_columns: [aa]", 6, "no column 'aa'", "nearest: a"),
        (f"{READ}\n- take: -1", 6, "take is '-1'", "whole number"),
        (f"{READ}\n- take: 0", 6, "leaves no rows", "take more"),
        (f"{READ}\n- take_random_sample: {{probability: 2}}", 6, "probability is 2", "0 to 1"),
        (f"{READ}\n- drop_columns: [a, b, c]", 6, "drops every column", "keep"),
        (f"{READ}\n- convert_column_types:\n    - columns: a\n      column_type: integer", 8, "'integer'", "int"),
        (f"{READ}\n- convert_column_types:\n    - columns: q\n      column_type: int", 7, "no column 'q'", "a"),
        (
            f"{READ}\n- convert_column_types:\n    - columns: b\n      column_type: float",
            7,
            "'b' is not float",
            "string",
        ),
        ("- take: 1", 4, "no transformation that reads", "read_delimited"),
        (f"- take: 1\n{READ}", 6, "must be the first", ""),
        (f"{READ}\n- skip: 1\n  take: 1", 6, "one key", ""),
    ],
)
def test_errors_name_the_line(make: Make, step: str, line: int, message: str, fix: str) -> None:
    folder = make({"a.csv": ABC}, step)
    with pytest.raises(InputError) as caught:
        load_table(folder)
    problem = caught.value.problems[0]
    expected = line if message != "no transformation that reads" else 1
    assert problem.where == f"{folder / 'MLTable'}:{expected}"
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", "", "is empty"),
        ("paths: [", ":1", "not valid YAML"),
        ("- a\n- b", ":1", "mapping"),
        ("transformations: []", ":1", "no `paths`"),
        ("paths: []\ntransformations: [read_parquet]", ":1", "is empty"),
        ("type: table\npaths: [{file: a}]", ":1", "type is 'table'"),
        ("paths:\n  - fil: a.csv", ":2", "'fil' is no kind of path"),
        ("paths:\n  - file: a.csv\npaths: []", ":3", "given twice"),
        ("paths:\n  - file: gone.csv\ntransformations: [read_delimited]", ":2", "no file at gone.csv"),
        ("paths:\n  - pattern: '*.gone'\ntransformations: [read_delimited]", ":2", "no file at *.gone"),
        ("pahts: []", ":1", "unknown key 'pahts'"),
    ],
)
def test_files_that_are_no_mltable(tmp_path: Path, text: str, where: str, message: str) -> None:
    (tmp_path / "MLTable").write_text(text)
    with pytest.raises(InputError) as caught:
        load_table(tmp_path)
    assert caught.value.problems[0].where == f"{tmp_path / 'MLTable'}{where}"
    assert message in caught.value.problems[0].message


def test_traits_and_schema_are_tolerated(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ABC)
    (tmp_path / "MLTable").write_text(
        "$schema: x\ntype: mltable\ntraits: {index_columns: a}\npaths: [{file: a.csv}]\n"
        "transformations: [read_delimited]\n"
    )
    assert len(load_table(tmp_path).frame) == 3


def test_flags_against_an_mltable(make: Make) -> None:
    folder = make({"a.csv": ABC}, READ)
    with pytest.raises(InputError) as caught:
        load_table(folder, ReadOptions(delimiter=";"))
    assert caught.value.problems[0].where == "--delimiter"
    told: Table = load_table(folder, ReadOptions(types={"a": ColumnType.CATEGORICAL}))
    assert told.frame["a"].tolist() == ["1", "2", "3"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.sampled_from(["a", "1", "true", "null", "0.5", "a.csv", "int", "~", "''", "%Y", "no_header", "&x y", "*x"]),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
            st.lists(
                st.tuples(
                    st.sampled_from(
                        [
                            *("file", "folder", "pattern", "read_delimited", "read_parquet", "take", "skip", "columns"),
                            *("column_type", "datetime", "formats", "boolean", "true_values", "false_values", "header"),
                            *("convert_column_types", "keep_columns", "take_random_sample", "probability", "delimiter"),
                        ]
                    ),
                    inner,
                ),
                max_size=3,
            ).map(lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"),
        ),
        max_leaves=8,
    )
)
def test_any_transformation_is_done_or_refused(tmp_path: Path, step: str) -> None:
    (tmp_path / "a.csv").write_text(ABC)
    (tmp_path / "MLTable").write_text(f"paths: [{{file: a.csv}}]\ntransformations:\n  - read_delimited\n  - {step}\n")
    try:
        load_table(tmp_path)
    except ForestayError as error:
        assert "MLTable:" in error.problems[0].where  # noqa: PT017
