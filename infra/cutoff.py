"""What a run that was cut off, or failed midway, leaves in a stack's state.

A run that was cut off leaves operations that nobody knows the end of; one that failed between making something anew and
deleting what it replaces leaves both.

Pulumi's own ways to clear them lose what was made: `refresh --clear-pending-creates` forgets it, and so does
`--import-pending-creates` with the engine of 3.259. A resource's id follows from its name, so it can be written into
the state as if the create had ended; a refresh then asks Azure, and keeps it or takes it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.runtime import mocks

from infra.plan.outputs import MadeUp


def doing(deployment: Mapping[str, Any]) -> list[str]:
    """What the run was doing: "creating registry"."""
    return [f"{one['type']} {one['resource']['urn'].rpartition('::')[2]}" for one in _pending(deployment)]


def ids(deployment: Mapping[str, Any], made_up: MadeUp) -> dict[str, str]:
    """The id of what was being made, by URN: it follows from the inputs, also where the program makes it no more."""
    found = {}
    for resource in (one["resource"] for one in _pending(deployment)):
        if not resource["type"].startswith("pulumi:"):
            name, inputs = resource["urn"].rpartition("::")[2], resource.get("inputs") or {}
            found[resource["urn"]] = made_up.new_resource(mocks.MockResourceArgs(resource["type"], name, inputs))[0]
    return found


def settled(deployment: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """The deployment without pending operations: what was being made counts as made, for a refresh to find out.

    What was being changed or deleted is among the resources already.

    Parameters
    ----------
    deployment: as exported; left as it is. ids: the id of each resource by its URN; what has none there is forgotten.
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


def replaced(deployment: Mapping[str, Any]) -> bool:
    """Whether a run failed after it had made something anew, and before what was replaced was deleted."""
    return any(one.get("delete") for one in deployment.get("resources") or ())


def put_back(deployment: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """The deployment in which a replaced resource that is wanted again is the one that counts, and the one made in its
    place is what is left to delete.

    Without this the engine would make the wanted one a second time under the name that it has, which Azure refuses.

    Parameters
    ----------
    deployment: as exported; left as it is. ids: the id of each resource by its URN, as planned.
    """
    resources = [dict(one) for one in deployment.get("resources") or ()]
    counting = {one["urn"]: place for place, one in enumerate(resources) if not one.get("delete")}
    for place, old in enumerate(resources):
        wanted = str(ids.get(old["urn"], "")).lower()
        new = counting.get(old["urn"])
        if old.get("delete") and wanted and str(old.get("id", "")).lower() == wanted and new is not None:
            # They change places, too: what counts stands before what needs it, and before what is to be deleted.
            resources[place] = {**resources[new], "delete": True}
            resources[new] = {key: value for key, value in old.items() if key != "delete"}
    return {**deployment, "resources": resources}


def _pending(deployment: Mapping[str, Any]) -> list[Any]:
    return list(deployment.get("pending_operations") or ())
