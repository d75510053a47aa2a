"""Log Analytics, and Application Insights on it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import applicationinsights, operationalinsights

from infra.addresses import Address
from infra.components.base import Common, Component, Reference


@dataclass(frozen=True)
class MonitoringArgs:
    """How long logs are kept, and whose workspace takes them.

    Attributes
    ----------
    retention_days: of logs. private: whether they come through a private link only.
    existing: someone else's Log Analytics workspace; ours when None.
    """

    common: Common
    retention_days: int
    private: bool
    existing: Address | None = None


class Monitoring(Component):
    """Where logs and traces go.

    Attributes
    ----------
    logs: the Log Analytics workspace. insights: Application Insights, which Azure ML and served models write to.
    connection_string: of Application Insights; whoever has it may write there, so it is a secret.
    """

    logs: Reference
    insights: Reference
    connection_string: pulumi.Output[str]

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Monitoring", name, opts)
        common = args.common
        reach = "Disabled" if args.private else "Enabled"
        if args.existing:
            self.logs = Reference(args.existing.id, args.existing.name, owned=False)
        else:
            logs = operationalinsights.Workspace(
                f"{name}-logs",
                workspace_name=common.names.of("logAnalytics"),
                resource_group_name=common.group,
                location=common.location,
                sku=operationalinsights.WorkspaceSkuArgs(
                    name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018,
                ),
                retention_in_days=args.retention_days,
                public_network_access_for_ingestion=reach,
                public_network_access_for_query=reach,
                tags=common.tags,
                opts=self.options(protect=common.protect),
            )
            self.logs = Reference(logs.id, logs.name)
        insights = applicationinsights.Component(
            f"{name}-insights",
            resource_name_=common.names.of("applicationInsights"),
            resource_group_name=common.group,
            location=common.location,
            kind="web",
            application_type=applicationinsights.ApplicationType.WEB,
            ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
            workspace_resource_id=self.logs.id,
            public_network_access_for_ingestion=reach,
            public_network_access_for_query=reach,
            tags=common.tags,
            opts=self.options(protect=common.protect),
        )
        self.insights = Reference(insights.id, insights.name)
        self.connection_string = pulumi.Output.secret(insights.connection_string)
        self.register_outputs({"logsId": self.logs.id, "insightsId": self.insights.id})
