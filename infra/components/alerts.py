"""Who hears when a served model fails or is out of reach.

Alerts ask Log Analytics, where the traces of models and the states of pods are. Azure has metrics for two of the three
(`requests/failed` and a web test's availability; restarts of pods are none of a cluster's platform metrics), and they
would be there some minutes sooner. Rules of queries are what stands here all the same: a metric alert's criteria are of
several shapes told apart by `odata.type`, a name that the provider spells otherwise, so that Azure's published schemas
can't check them before they are sent; and a wrong alert is noticed only when it stays silent. A rule of a query is
checked whole, and names the model that fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import applicationinsights, monitor

from infra.components.base import Common, Component, Text

# Where web tests ask from: five, so that one that fails by itself is no alert (Azure's availability tests).
PLACES = ("emea-nl-ams-azr", "emea-gb-db3-azr", "emea-se-sto-edge", "us-va-ash-azr", "apac-sg-sin-azr")
FAILING_PLACES = 3
FAILED_REQUESTS = 5  # in a quarter of an hour
RESTARTS = 3  # of a pod's container in a quarter of an hour


@dataclass(frozen=True)
class AlertsArgs:
    """`mails` hear of it; `part` tells the group of one stack from that of another."""

    common: Common
    mails: Sequence[str]
    part: str = ""


@dataclass(frozen=True)
class Question:
    """What an alert asks every five minutes of the last fifteen.

    Attributes
    ----------
    what: is the matter, as the mail says it. query: in Kusto. column: of its answer; at `threshold` it tells.
    """

    name: str
    what: str
    query: str
    column: str
    threshold: int


class Alerts(Component):
    """An action group and the alerts that it hears."""

    def __init__(self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Alerts", name, opts)
        self._name, self._common = name, args.common
        group = monitor.ActionGroup(
            f"{name}-mails",
            action_group_name=args.common.names.of("actionGroup", args.part),
            group_short_name="forestay",
            resource_group_name=args.common.group,
            location="global",
            enabled=True,
            email_receivers=[
                monitor.MicrosoftCommonEmailReceiverArgs(
                    name=f"mail-{place}", email_address=mail, use_common_alert_schema=True
                )
                for place, mail in enumerate(args.mails)
            ],
            tags=args.common.tags,
            opts=self.options(),
        )
        self._group = group.id
        self.register_outputs({"actionGroup": group.id})

    def failed_requests(self, logs: Text) -> None:
        """Tell of requests that failed, as Application Insights counts them."""
        query = "AppRequests | where Success == false | summarize Failed = sum(ItemCount) by AppRoleName"
        self._ask(Question("failed-requests", "served models fail", query, "Failed", FAILED_REQUESTS), logs)

    def unreachable(self, service: str, url: Text, tls: bool, insights: Text, logs: Text) -> None:
        """Ask a public service from five places, and tell when three of them get no answer."""
        common = self._common
        test_name = common.names.of("webTest", service)
        test = applicationinsights.WebTest(
            f"{self._name}-{service}-test",
            web_test_name=test_name,
            synthetic_monitor_id=test_name,
            resource_group_name=common.group,
            location=common.location,
            kind=applicationinsights.WebTestKind.STANDARD,
            web_test_kind=applicationinsights.WebTestKind.STANDARD,
            enabled=True,
            frequency=300,
            timeout=30,
            retry_enabled=True,
            locations=[applicationinsights.WebTestGeolocationArgs(location=place) for place in PLACES],
            request=applicationinsights.WebTestPropertiesRequestArgs(
                request_url=url, http_verb="GET", follow_redirects=False, parse_dependent_requests=False
            ),
            validation_rules=applicationinsights.WebTestPropertiesValidationRulesArgs(
                expected_http_status_code=200,
                s_sl_check=tls,
                s_sl_cert_remaining_lifetime_check=7 if tls else None,
            ),
            # Azure shows a test under the component that this tag names.
            tags=pulumi.Output.from_input(insights).apply(
                lambda found: {**common.tags, f"hidden-link:{found}": "Resource"}
            ),
            opts=self.options(),
        )
        query = (
            f"AppAvailabilityResults | where Name == '{test_name}' and Success == false "
            "| summarize Places = dcount(Location) by Name"
        )
        what = f"{service} is out of reach"
        self._ask(Question(f"{service}-unreachable", what, query, "Places", FAILING_PLACES), logs, after=test)

    def restarting(self, service: str, namespace: str, logs: Text) -> None:
        """Tell of pods that restart again and again, as Container Insights sees them."""
        query = (
            f"KubePodInventory | where Namespace == '{namespace}' and Name startswith '{service}-' "
            "| summarize Restarts = max(PodRestartCount) - min(PodRestartCount) by Name"
        )
        what = f"pods of {service} restart again and again"
        self._ask(Question(f"{service}-restarts", what, query, "Restarts", RESTARTS), logs)

    def _ask(self, question: Question, logs: Text, after: pulumi.Resource | None = None) -> None:
        monitor.ScheduledQueryRule(
            f"{self._name}-{question.name}",
            rule_name=self._common.names.of("alert", question.name),
            display_name=f"{self._common.names.stem} ({self._common.names.environment}): {question.what}",
            description=f"{question.what}: see `forestay endpoint logs`",
            resource_group_name=self._common.group,
            location=self._common.location,
            kind=monitor.Kind.LOG_ALERT,
            enabled=True,
            auto_mitigate=True,
            # The tables come into being with the first row.
            skip_query_validation=True,
            severity=1,
            scopes=[logs],
            evaluation_frequency="PT5M",
            window_size="PT15M",
            criteria=monitor.ScheduledQueryRuleCriteriaArgs(
                all_of=[
                    monitor.ConditionArgs(
                        query=question.query,
                        metric_measure_column=question.column,
                        time_aggregation=monitor.TimeAggregation.MAXIMUM,
                        operator="GreaterThanOrEqual",
                        threshold=question.threshold,
                    )
                ]
            ),
            actions=monitor.ActionsArgs(action_groups=[self._group]),
            tags=self._common.tags,
            opts=self.options(after=[after] if after else []),
        )
