"""What a run that was cut off leaves in a stack's state: operations that nobody knows the end of.

Pulumi's own ways to clear them lose what was made: `refresh --clear-pending-creates` forgets it, and so does
`--import-pending-creates` with the engine of 3.259. A resource's id follows from its name, so it can be written into
the state as if the create had ended; a refresh then asks Azure, and keeps it or takes it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def doing(deployment: Mapping[str, Any]) -> list[str]:
    """What the run was doing: "creating registry"."""
    return [f"{one['type']} {one['resource']['urn'].rpartition('::')[2]}" for one in _pending(deployment)]


def settled(deployment: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """The deployment without pending operations: what was being made counts as made, for a refresh to find out.

    What was being changed or deleted is among the resources already.

    Parameters
    ----------
    deployment: as exported; left as it is. ids: the id of each resource by its URN, as planned; what has none there is
        forgotten.
    """
    resources = [dict(one) for one in deployment.get("resources") or ()]
    for pending in _pending(deployment):
        resource = pending["resource"]
        urn, id_ = resource["urn"], resource.get("id") or ids.get(resource["urn"])
        if pending["type"] != "creating" or not id_:
            continue
        for one in resources:
            if one["urn"] == urn:
                one["delete"] = True  # it was being replaced by the new one
        resources.append({**resource, "id": id_, "outputs": resource.get("outputs") or resource.get("inputs") or {}})
    return {**deployment, "resources": resources, "pending_operations": []}


def _pending(deployment: Mapping[str, Any]) -> list[Any]:
    return list(deployment.get("pending_operations") or ())
