"""The pages of results out of the stored records: nothing is measured here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.automl import compare, series, sets
from benchmarks.automl.cells import (
    FORECAST,
    FORECAST_SYSTEMS,
    GROWTH,
    TABLE,
    TABLE_SYSTEMS,
    UNBUDGETED,
    Record,
)

TITLES = {
    "forestay": "Forestay",
    "flaml": "FLAML",
    "autogluon": "AutoGluon",
    "lightgbm": "LightGBM",
    "seasonal_naive": "seasonal naive",
    "autoets": "AutoETS",
    "autoarima": "AutoARIMA",
}
HEADS = {
    TABLE: "Forestay against other AutoML systems",
    FORECAST: "Forecasts beside those of statsforecast",
    GROWTH: "How jobs grow",
}
ROW_MS, MODEL_MB, SHARE_OF_FLAML = 20.0, 50.0, 0.75
# Of a set, the records of each system.
ByData = Mapping[str, Mapping[str, Sequence[Record]]]
Bound = tuple[str, str, bool | None]


def pages(records: Sequence[Record], machine: str, growth_plot: str | None) -> dict[str, str]:
    """Each page by its file's name. What was not measured has no page, so that an earlier one stays.

    Parameters
    ----------
    machine: a line that tells on what was measured. growth_plot: the plot's file, relative to the pages.
    """
    found = [(f"TABLES-{budget:g}s.md", TABLE, budget, tables(records, budget)) for budget in budgets(records, TABLE)]
    for budget in budgets(records, TABLE):
        found.append((f"SEEDS-{budget:g}s.md", TABLE, budget, seeds(records, budget)))
    for budget in budgets(records, FORECAST):
        found.append(("FORECASTS.md", FORECAST, budget, forecasts(records, budget)))
    for budget in budgets(records, GROWTH):
        found.append(("GROWTH.md", GROWTH, budget, growth(records, growth_plot)))
    return {
        name: page(HEADS[kind], [one for one in records if _belongs(one, kind, budget)], machine, parts)
        for name, kind, budget, parts in found
        if parts
    }


def _belongs(record: Record, kind: str, budget: float) -> bool:
    return record.cell.kind == kind and (record.cell.budget == budget or record.cell.system in UNBUDGETED)


def page(title: str, records: Sequence[Record], machine: str, parts: Sequence[str]) -> str:
    """A page: its records' days and versions above what is told of them."""
    days = sorted({record.day for record in records if record.day})
    when = f" {' to '.join(sorted({days[0], days[-1]}))}." if days else ""
    head = [
        f"# {title}",
        "Written by `make bench-automl`; how it is measured stands in `benchmarks/automl/__init__.py`.",
        f"{machine}{when} {versions(records)}",
    ]
    return "\n\n".join([*head, *parts]) + "\n"


def versions(records: Iterable[Record]) -> str:
    """Which version of each system was measured; several where cells are of several."""
    found: dict[str, set[str]] = {}
    for record in records:
        if record.version:
            found.setdefault(TITLES[record.cell.system], set()).add(record.version)
    return "; ".join(f"{name} {', '.join(sorted(found[name]))}" for name in sorted(found)) + "."


def budgets(records: Iterable[Record], kind: str) -> list[float]:
    """The budgets of a kind that were measured, in seconds."""
    return sorted({one.cell.budget for one in records if one.cell.kind == kind and one.cell.budget})


def grouped(records: Iterable[Record], kind: str, budget: float, order: Sequence[str]) -> ByData:
    """Records by set, in `order`, and system; those without a budget count for every budget.

    Only sets that Forestay was measured on with this budget.
    """
    found: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        cell = record.cell
        if cell.kind == kind and (cell.budget == budget or cell.system in UNBUDGETED):
            found.setdefault(cell.data, {}).setdefault(cell.system, []).append(record)
    return {name: found[name] for name in order if "forestay" in found.get(name, {})}


def tables(records: Iterable[Record], budget: float) -> list[str]:
    """The parts about tables at one budget."""
    data = grouped(records, TABLE, budget, list(sets.SETS))
    if not data:
        return []
    higher = {name: sets.SETS[name].task == "classification" for name in data}
    ranked = all_ranks(data, TABLE_SYSTEMS, higher)
    rows = [
        [name, "AUC" if higher[name] else "RMSE", *scores(systems, TABLE_SYSTEMS, higher[name]), rank_of(ranked, name)]
        for name, systems in data.items()
    ]
    head = ["set", "score", *(TITLES[system] for system in TABLE_SYSTEMS), "rank of Forestay"]
    return [
        f"## Tables, {budget:g} s",
        f"Test scores, {seed_text(data)}; AUC: more is better, RMSE: less.",
        table(head, rows, right=range(2, len(head))),
        "Of all these sets:",
        summary(data, ranked, TABLE_SYSTEMS),
        "Forestay against plain LightGBM (what lies within two standard errors is a tie):",
        gaps(data, "lightgbm", higher),
        "Against FLAML:",
        gaps(data, "flaml", higher),
        "What is asked of it:",
        bounds(data, ranked, higher, budget),
        "What each cell cost:",
        costs(data, TABLE_SYSTEMS),
        *failures(data),
    ]


def seeds(records: Iterable[Record], budget: float) -> list[str]:
    """The part about sets that were measured with several seeds: each seed beside LightGBM, and all together."""
    data = grouped(records, TABLE, budget, list(sets.SETS))
    rows = []
    for name, systems in data.items():
        ours, theirs = systems["forestay"], systems.get("lightgbm", [])
        if len(ours) < 2:
            continue
        higher = sets.SETS[name].task == "classification"
        score = "AUC" if higher else "RMSE"
        parts = [(str(one.cell.seed), [one], [two for two in theirs if two.cell.seed == one.cell.seed]) for one in ours]
        for seed, mine, other in (*parts, ("all", ours, theirs)):
            means = [number(compare.mean_score(records)) for records in (mine, other)]
            rows.append([name, score, seed, *means, *_gap(mine, other, higher)])
    if not rows:
        return []
    head = ["set", "score", "seed", "Forestay", "LightGBM", *GAP]
    return [
        f"## Several seeds, {budget:g} s",
        "Sets on which one seed leaves Forestay and plain LightGBM within two standard errors of each other. A seed "
        "splits the rows anew, and is the systems' own; a standard error is that of the test rows, by the bootstrap.",
        table(head, rows, right=range(2, 7)),
    ]


def forecasts(records: Iterable[Record], budget: float) -> list[str]:
    """The parts about forecasting at one budget."""
    data = grouped(records, FORECAST, budget, list(series.SERIES_SETS))
    if not data:
        return []
    higher = dict.fromkeys(data, False)
    seeds = sorted({record.cell.seed for systems in data.values() for record in systems["forestay"]})
    ranked = all_ranks(data, FORECAST_SYSTEMS, higher)
    rows = [
        [
            name,
            str(series.SERIES_SETS[name].season),
            str(series.SERIES_SETS[name].horizon),
            *scores(systems, FORECAST_SYSTEMS, False),
        ]
        for name, systems in data.items()
    ]
    medians: dict[str, float] = {}
    for system in FORECAST_SYSTEMS:
        means = [compare.mean_score(systems.get(system, ())) for systems in data.values()]
        # A set that a system failed on would flatter it if it were left out.
        medians[system] = statistics.median(value if value is not None else float("inf") for value in means)
    rows.append(["**median**", "", "", *map(number, medians.values())])
    told = ", ".join(f"{TITLES[system]} {number(value)}" for system, value in medians.items())
    best = all(medians["forestay"] < value for system, value in medians.items() if system != "forestay")
    return [
        f"## Forecasting, {budget:g} s for Forestay",
        f"MASE, the mean over a set's series; less is better, 1 is the seasonal naive forecast's error in the history. "
        f"The last horizon of each set{'' if seeds == [0] else f' and {len(seeds) - 1} before it'}.",
        table(["set", "season", "horizon", *(TITLES[system] for system in FORECAST_SYSTEMS)], rows, right=range(1, 7)),
        summary(data, ranked, FORECAST_SYSTEMS),
        "What is asked of it:",
        held([("a better median MASE than each of the others", told, best)]),
        *failures(data),
    ]


def growth(records: Sequence[Record], plot: str | None) -> list[str]:
    """The part about growth: the plot, and its numbers."""
    from benchmarks.automl.growth import AXES, SHAPES, point

    rows = []
    order = list(AXES)
    records = [record for record in records if record.cell.kind == GROWTH]
    for record in sorted(records, key=lambda one: (order.index(point(one.cell)[0]), point(one.cell)[1])):
        axis, size = point(record.cell)
        made = record.facts.get("table_mb")
        rows.append(
            [axis, f"{size:,}", number(record.seconds), number(record.peak_mb), number(made), str(record.models or "-")]
        )
    head = ["what grows", "to", "s", "peak MB", "table MB", "trials"]
    text = table(head, rows, right=range(1, len(head)))
    failed = [f"- {record.cell.data}: {plain(record.error)}" for record in records if record.error]
    shapes = "; ".join(
        f"{axis} grow with {' and '.join(f'{size:,} {name}' for name, size in shape.items())}"
        for axis, shape in SHAPES.items()
    )
    told = f"A fixed number of trials on made tables of numbers and categories: {shapes}."
    parts = ["## Rows, columns, trials", told, text]
    if plot:
        parts.insert(1, f"![seconds and memory over rows, columns and trials]({plot})")
    return [*parts, *(["\n".join(failed)] if failed else [])]


def all_ranks(data: ByData, systems: Sequence[str], higher: Mapping[str, bool]) -> dict[str, dict[str, float]]:
    """Ranks of each set on which every system was measured."""
    return {
        name: compare.ranks({system: compare.mean_score(found[system]) for system in systems}, higher[name])
        for name, found in data.items()
        if all(system in found for system in systems)
    }


def rank_of(ranked: Mapping[str, Mapping[str, float]], name: str) -> str:
    return f"{ranked[name]['forestay']:g}" if name in ranked else "not all measured"


def scores(found: Mapping[str, Sequence[Record]], systems: Sequence[str], higher: bool) -> list[str]:
    """The systems' scores on one set; the best in bold, and why there is none in short."""
    means = {system: compare.mean_score(found.get(system, ())) for system in systems}
    good = [compare.rounded(value) for value in means.values() if value is not None]
    best = (max if higher else min)(good) if good else None
    cells = []
    for system, value in means.items():
        if value is None:
            cells.append("failed" if system in found else "-")
        else:
            text = number(value)
            cells.append(f"**{text}**" if compare.rounded(value) == best else text)
    return cells


def summary(data: ByData, ranked: Mapping[str, Mapping[str, float]], systems: Sequence[str]) -> str:
    """One line a system: ranks, and medians of what it took."""
    rows = []
    for system in systems:
        records = [record for found in data.values() for record in found.get(system, ())]
        places = [ranks[system] for ranks in ranked.values()]
        late = [value for value in map(compare.over_budget, records) if value is not None]
        rows.append(
            [
                TITLES[system],
                number(compare.median(places)),
                number(statistics.fmean(places)) if places else "-",
                str(sum(record.error is not None for record in records)),
                f"{max(late):+.1f}" if late else "-",
                *(number(compare.median(column)) for column in _costs(records)),
            ]
        )
    head = ["system", "median rank", "mean rank", "failed", "most s over budget", *COSTS]
    return table(head, rows, right=range(1, len(head)))


COSTS = ("median peak MB", "median model MB", "median ms a row", "median trials or models")


def _costs(records: Sequence[Record]) -> list[list[float | None]]:
    return [
        [record.peak_mb for record in records],
        [record.model_mb for record in records],
        [record.row_ms for record in records],
        [record.models for record in records],
    ]


def gaps(data: ByData, other: str, higher: Mapping[str, bool]) -> str:
    rows = [[name, *_gap(found["forestay"], found.get(other, ()), higher[name])] for name, found in data.items()]
    return table(["set", *GAP], rows, right=(1, 2))


GAP = ("ahead by", "standard error", "Forestay is")


def _gap(ours: Sequence[Record], theirs: Sequence[Record], higher: bool) -> list[str]:
    found = compare.gap(ours, theirs, higher)
    ahead = f"{found.ahead:+.3g}" if found else "-"
    error = f"{found.error:.2g}" if found and found.error is not None else "-"
    return [ahead, error, compare.compared(ours, theirs, higher) or "-"]


def bounds(data: ByData, ranked: Mapping[str, Mapping[str, float]], higher: Mapping[str, bool], budget: float) -> str:
    """The engine's bounds against what was measured."""
    ours = [record for found in data.values() for record in found["forestay"]]
    medians = {system: compare.median(ranks[system] for ranks in ranked.values()) for system in TABLE_SYSTEMS if ranked}
    best = min((value for value in medians.values() if value is not None), default=None)
    flaml = [
        ahead for ahead in (_ahead(found, "flaml", higher[name]) for name, found in data.items()) if ahead is not None
    ]
    beyond = sum(
        compare.compared(found["forestay"], found.get("flaml", ()), higher[name]) == "better"
        for name, found in data.items()
    )
    light = {
        name: compare.compared(found["forestay"], found.get("lightgbm", ()), higher[name])
        for name, found in data.items()
    }
    worse = [name for name, verdict in light.items() if verdict == "worse"]
    measured = sum(verdict is not None for verdict in light.values())
    slow = [record.row_ms for record in ours if record.row_ms is not None]
    large = [record.model_mb for record in ours if record.model_mb is not None]
    late = [value for value in map(compare.over_budget, ours) if value is not None]
    lines: list[Bound] = [
        (
            "best median rank",
            ", ".join(f"{TITLES[name]} {number(value)}" for name, value in medians.items()) or "not all measured",
            None if best is None else medians["forestay"] == best,
        ),
        (
            f"a better score than FLAML's on at least {SHARE_OF_FLAML:.0%}",
            f"{sum(flaml)} of {len(flaml)}, beyond noise on {beyond}",
            sum(flaml) >= SHARE_OF_FLAML * len(flaml) if flaml else None,
        ),
        (
            "never worse than plain LightGBM by more than noise",
            f"worse on {', '.join(worse) or 'none'} of {measured}",
            not worse if measured else None,
        ),
        (
            f"predicts one row in under {ROW_MS:g} ms",
            f"{sum(value < ROW_MS for value in slow)} of {len(slow)}, most {number(max(slow, default=None))}",
            max(slow) < ROW_MS if slow else None,
        ),
        (
            f"model under {MODEL_MB:g} MB",
            f"{sum(value < MODEL_MB for value in large)} of {len(large)}, most {number(max(large, default=None))}",
            max(large) < MODEL_MB if large else None,
        ),
        (
            f"over the budget by at most {compare.allowed_overrun(budget):g} s",
            f"at most {max(late):+.1f} s" if late else "-",
            max(late) <= compare.allowed_overrun(budget) if late else None,
        ),
    ]
    return held(lines)


def held(lines: Sequence[Bound]) -> str:
    """Bounds with what was measured, and whether they are held; None where that can't be said."""
    rows = [[what, said, "-" if kept is None else "yes" if kept else "**no**"] for what, said, kept in lines]
    return table(["bound", "measured", "held"], rows)


def _ahead(found: Mapping[str, Sequence[Record]], other: str, higher: bool) -> bool | None:
    """Whether Forestay's score, as the table shows it, is better; None where there is nothing to compare."""
    if other not in found:
        return None
    mine, theirs = compare.mean_score(found["forestay"]), compare.mean_score(found[other])
    if mine is None or theirs is None:
        return None if mine is theirs else mine is not None
    mine, theirs = compare.rounded(mine), compare.rounded(theirs)
    return mine > theirs if higher else mine < theirs


def costs(data: ByData, systems: Sequence[str]) -> str:
    """One line a set and system: means over the seeds."""
    rows = []
    columns: list[Callable[[Record], float | None]] = [
        lambda record: record.seconds,
        compare.over_budget,
        lambda record: record.wall_seconds,
        lambda record: record.peak_mb,
        lambda record: record.model_mb,
        lambda record: record.row_ms,
        lambda record: record.models,
    ]
    for name, found in data.items():
        for system in systems:
            if system in found:
                values = [compare.median(map(column, found[system])) for column in columns]
                rows.append([name, TITLES[system], *map(number, values)])
    head = ["set", "system", "s", "over budget", "whole process, s", "peak MB", "model MB", "ms a row", "trials"]
    return table(head, rows, right=range(2, len(head)))


def failures(data: ByData) -> list[str]:
    """Why cells have no score, one line each."""
    lines = [
        f"- {record.cell.data}, {TITLES[record.cell.system]}, seed {record.cell.seed}: {plain(record.error)}"
        for found in data.values()
        for records in found.values()
        for record in records
        if record.error is not None
    ]
    return ["Failed:\n\n" + "\n".join(lines)] if lines else []


def seed_text(data: ByData) -> str:
    """Of which seeds the scores are: what most sets have, and which sets have others."""
    sets_of: dict[tuple[int, ...], list[str]] = {}
    for name, systems in data.items():
        sets_of.setdefault(tuple(sorted(record.cell.seed for record in systems["forestay"])), []).append(name)
    most, *others = sorted(sets_of, key=lambda seeds: len(sets_of[seeds]), reverse=True)
    told = [f"{', '.join(sets_of[seeds])}: {_seeds(seeds)}" for seeds in others]
    return _seeds(most) + (f" ({'; '.join(told)})" if told else "")


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"means over seeds {', '.join(map(str, seeds))}"


def number(value: float | None) -> str:
    """Four digits; all digits of what is above a thousand."""
    if value is None:
        return "-"
    if value in (float("inf"), float("-inf")):
        return "failed"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.{compare.DIGITS}g}"


def plain(text: str | None) -> str:
    """A message as it is, without what Markdown would read in it."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text or "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A Markdown table; `right` are the columns that are set to the right."""
    aligned = set(right)
    lines = [head, ["---:" if place in aligned else "---" for place in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
