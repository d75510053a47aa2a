"""A plan's resources as a graph: Mermaid for a pull request or a wiki, DOT for Graphviz."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from infra.plan.model import Plan, PlannedResource

FORMATS = ("mermaid", "dot")
Line = Callable[[str, str], str]


def draw(plan: Plan, form: str) -> str:
    """The graph as text; an arrow leads from what is made first to what needs it. `form`: one of FORMATS."""
    lines = _mermaid(plan) if form == "mermaid" else _dot(plan)
    return "\n".join(lines) + "\n"


def _mermaid(plan: Plan) -> Iterator[str]:
    yield "flowchart LR"
    yield from _nested(plan, None, "  ", _mermaid_open, _mermaid_node, "end")
    yield from (f"  {source} --> {target}" for source, target in _edges(plan))


def _dot(plan: Plan) -> Iterator[str]:
    yield f"digraph {_quoted(plan.env)} {{"
    yield "  rankdir=LR; node [shape=box]; compound=true;"
    yield from _nested(plan, None, "  ", _dot_open, _dot_node, "}")
    yield from (f"  {source} -> {target};" for source, target in _edges(plan))
    yield "}"


def _nested(plan: Plan, parent: str | None, indent: str, opened: Line, node: Line, closed: str) -> Iterator[str]:
    """Components as boxes around their children."""
    keys = _keys(plan)
    for one in plan.resources:
        if one.parent != parent:
            continue
        if one.component:
            yield indent + opened(keys[one.urn], _label(one))
            yield from _nested(plan, one.urn, indent + "  ", opened, node, closed)
            yield indent + closed
        else:
            yield indent + node(keys[one.urn], _label(one))
            yield from _nested(plan, one.urn, indent, opened, node, closed)


def direct_needs(plan: Plan) -> dict[str, tuple[str, ...]]:
    """What each resource waits for; what follows from another edge is left out, as it says nothing new."""
    needs = {one.urn: set(one.depends_on) for one in plan.resources if not one.component}
    real = {urn: {other for other in others if other in needs} for urn, others in needs.items()}
    return {urn: tuple(sorted(others - _behind(others, real))) for urn, others in real.items()}


def _edges(plan: Plan) -> list[tuple[str, str]]:
    keys = _keys(plan)
    return [(keys[other], keys[urn]) for urn, others in direct_needs(plan).items() for other in others]


def _behind(others: Iterable[str], needs: dict[str, set[str]]) -> set[str]:
    """Everything that `others` need themselves."""
    found: set[str] = set()
    waiting = [needed for other in others for needed in needs[other]]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(needs[one])
    return found


def _keys(plan: Plan) -> dict[str, str]:
    """A short word for each resource, safe in both languages."""
    return {one.urn: f"r{place}" for place, one in enumerate(plan.resources)}


def _label(one: PlannedResource) -> str:
    return f"{one.type.rpartition(':')[2]} {one.name}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mermaid_text(text: str) -> str:
    """Mermaid has no escapes in labels but HTML's."""
    return '"' + text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;") + '"'


def _mermaid_open(key: str, label: str) -> str:
    return f"subgraph {key}[{_mermaid_text(label)}]"


def _mermaid_node(key: str, label: str) -> str:
    return f"{key}[{_mermaid_text(label)}]"


def _dot_open(key: str, label: str) -> str:
    return f"subgraph cluster_{key} {{ label={_quoted(label)};"


def _dot_node(key: str, label: str) -> str:
    return f"{key} [label={_quoted(label)}];"
