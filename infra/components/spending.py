"""The monthly budget of the resource group, and who hears of it. A budget stops nothing: it tells."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import consumption

from infra.components.base import Component, Text
from infra.settings import Budget


@dataclass(frozen=True)
class SpendingArgs:
    """`scope` is the group's id."""

    name: str
    scope: Text
    settings: Budget


class Spending(Component):
    """A budget with a mail at each share of it, and one when the month's forecast passes it."""

    def __init__(self, name: str, args: SpendingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Budget", name, opts)
        settings = args.settings
        mails = list(settings.mails)
        notifications = {
            f"actual-{share}": consumption.NotificationArgs(
                enabled=True,
                operator=consumption.OperatorType.GREATER_THAN_OR_EQUAL_TO,
                threshold=share,
                threshold_type=consumption.ThresholdType.ACTUAL,
                contact_emails=mails,
            )
            for share in settings.thresholds
        }
        notifications["forecast-100"] = consumption.NotificationArgs(
            enabled=True,
            operator=consumption.OperatorType.GREATER_THAN,
            threshold=100,
            threshold_type=consumption.ThresholdType.FORECASTED,
            contact_emails=mails,
        )
        consumption.Budget(
            name,
            budget_name=args.name,
            scope=args.scope,
            category=consumption.CategoryType.COST,
            amount=settings.amount,
            time_grain=consumption.TimeGrainType.MONTHLY,
            # Fixed: Azure refuses to move the start of a budget.
            time_period=consumption.BudgetTimePeriodArgs(start_date=f"{settings.start_date}T00:00:00Z"),
            notifications=notifications,
            opts=self.options(replace_on=["timePeriod.startDate"], delete_first=True),
        )
        self.register_outputs({})
