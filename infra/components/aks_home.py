"""Where served models run on the cluster: the way into it, and a namespace that is closed by default."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import yaml
from pulumi_azure_native import containerservice
from pulumi_kubernetes import core, networking
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.addresses import Address
from infra.components.aks import ACCOUNT, NAMESPACE
from infra.components.base import Component
from infra.components.identities import IdentityFacts

# The application of AKS in every directory, which kubelogin asks a token for.
AKS_SERVER_ID = "6dae42f8-4368-4678-94ff-3960e28e3630"


def kubeconfig(credentials: str | None) -> str:
    """The way into the cluster: kubelogin asks for a token with the login of the az command.

    In a pipeline with a federated token `AAD_LOGIN_METHOD=workloadidentity` in the environment overrules that, since
    kubelogin's variables go before its flags: the same cluster has the same configuration everywhere, and no difference
    shows where nothing changed. infra.operate sets it; a pipeline that runs `pulumi up` itself sets it too.

    Parameters
    ----------
    credentials: what Azure gives for the cluster's user, in base64; None where nobody was asked, as in a plan. Then
        the answer leads nowhere, rather than to whatever cluster the machine knows.
    """
    nowhere = {
        "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:9"}}],
        "contexts": [],
        "users": [],
    }
    found: dict[str, Any] = yaml.safe_load(base64.b64decode(credentials)) if credentials else {**nowhere}
    for user in found["users"]:
        user["user"] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": "kubelogin",
                "args": ["get-token", "--login", "azurecli", "--server-id", AKS_SERVER_ID],
                "interactiveMode": "Never",
                "provideClusterInfo": False,
            }
        }
    return yaml.safe_dump(found)


@dataclass(frozen=True)
class HomeArgs:
    """Where served models run on the cluster.

    Attributes
    ----------
    cluster: its address. identity: what pods act as. provider: azure-native of the cluster's subscription, if another.
    labels: of everything.
    """

    cluster: Address
    identity: IdentityFacts
    labels: Mapping[str, str]
    provider: pulumi.ProviderResource | None = None


class Home(Component):
    """The namespace of the served models, closed by default, and the account that their pods run as.

    Attributes
    ----------
    provider: of Kubernetes, for the cluster. ready: what a service waits for.
    """

    provider: k8s.Provider
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: HomeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Home", name, opts)
        found = containerservice.list_managed_cluster_user_credentials_output(
            resource_group_name=args.cluster.group,
            resource_name=args.cluster.name,
            opts=pulumi.InvokeOptions(parent=self, provider=args.provider),
        )
        config = found.kubeconfigs.apply(lambda configs: kubeconfig(configs[0].value if configs else None))
        self.provider = k8s.Provider(
            f"{name}-cluster",
            kubeconfig=pulumi.Output.secret(config),
            cluster_identifier=args.cluster.id,
            enable_server_side_apply=True,
            opts=self.options(),
        )
        space = core.v1.Namespace(
            f"{name}-namespace",
            metadata=ObjectMetaArgs(
                name=NAMESPACE,
                # Pods that want more than a served model needs are refused by the cluster itself.
                labels={**args.labels, "pod-security.kubernetes.io/enforce": "restricted"},
            ),
            opts=self.options(provider=self.provider),
        )
        account = core.v1.ServiceAccount(
            f"{name}-account",
            metadata=ObjectMetaArgs(
                name=ACCOUNT,
                namespace=NAMESPACE,
                labels=args.labels,
                annotations={"azure.workload.identity/client-id": args.identity.client_id},
            ),
            automount_service_account_token=False,
            opts=self.options(provider=self.provider, after=[space]),
        )
        closed = networking.v1.NetworkPolicy(
            f"{name}-closed",
            metadata=ObjectMetaArgs(name="closed", namespace=NAMESPACE, labels=args.labels),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
            ),
            opts=self.options(provider=self.provider, after=[space]),
        )
        self.ready = [space, account, closed]
        self.register_outputs({})
