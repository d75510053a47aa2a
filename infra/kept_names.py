"""Names that Azure keeps after their resources are deleted, and the one command that frees or recovers each.

A deleted workspace keeps its name for 14 days, but for one with a customer's key, which is gone at once; a deleted
vault keeps it for the days that it was made with, and can't be purged before where it is protected against that.
https://learn.microsoft.com/azure/machine-learning/concept-soft-delete
https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
"""

from __future__ import annotations

from infra.naming import VAULT_KEPT_DAYS

WORKSPACE_KEPT_DAYS = 14
PURGE_API = "2024-04-01"


def workspace_kept(workspace_id: str) -> tuple[str, str]:
    """What becomes of a deleted workspace's name, and the command that frees it."""
    name = workspace_id.rpartition("/")[2]
    # `az ml workspace delete --permanently-delete` looks for the workspace first, and a deleted one is not found.
    address = f"https://management.azure.com{workspace_id}?api-version={PURGE_API}&forceToPurge=true"
    return f"{name} stays taken for {WORKSPACE_KEPT_DAYS} days", f"az rest --method delete --url '{address}'"


def vault_kept(name: str, location: str, protected: bool) -> tuple[str, str]:
    """What becomes of a deleted vault's name, and the command that frees it, or recovers one that is protected."""
    kept = f"{name} stays taken for {VAULT_KEPT_DAYS} days"
    if protected:
        return f"{kept}, protected against purging", f"az keyvault recover --name {name} --location {location}"
    return kept, f"az keyvault purge --name {name} --location {location}"
