"""Names: Azure's rules for every kind, the same for the same inputs, never shared by two environments."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestay.errors import InputError
from infra.naming import RULES, Names, check_given
from infra.settings import STEM

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
stems = st.from_regex(STEM, fullmatch=True)
environments = st.from_regex(r"[a-z][a-z0-9-]{0,19}", fullmatch=True)
parts = st.one_of(st.just(""), st.from_regex(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", fullmatch=True))


@given(stems, environments, st.uuids(), parts)
def test_every_name_meets_the_rule_of_its_kind(stem: str, environment: str, subscription: object, part: str) -> None:
    names = Names(stem, environment, str(subscription))
    for kind, rule in RULES.items():
        name = names.of(kind, part)
        assert re.fullmatch(rule.pattern, name), (kind, name)
        assert len(name) <= rule.longest


@given(stems, environments)
def test_the_same_inputs_give_the_same_name(stem: str, environment: str) -> None:
    subscription = "abcdef11-1111-4111-8111-111111111111"
    one, other = Names(stem, environment, subscription), Names(stem, environment, subscription.upper())
    assert [one.of(kind) for kind in RULES] == [other.of(kind) for kind in RULES]


@given(stems, environments, environments)
def test_two_environments_share_no_name(stem: str, first: str, second: str) -> None:
    if first != second:
        one, other = Names(stem, first, SUBSCRIPTION), Names(stem, second, SUBSCRIPTION)
        assert not {one.of(kind) for kind in RULES} & {other.of(kind) for kind in RULES}


def test_a_name_that_was_chosen_is_kept() -> None:
    names = Names("churn", "dev", SUBSCRIPTION, {"storageAccount": "contosochurn"})
    assert names.of("storageAccount") == "contosochurn"
    assert names.of("containerGroup", "api") != names.of("containerGroup", "api2")


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"storageAccount": "Has-Dashes"}, "Azure does not take 'Has-Dashes'"),
        ({"storageAcount": "fine123"}, "no kind 'storageAcount'"),
        ({"keyVault": "a--b"}, "Azure does not take"),
    ],
)
def test_a_chosen_name_that_azure_refuses_is_refused(chosen: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        check_given(chosen, "stacks/Pulumi.dev.yaml:9")
    assert error.value.problems[0].where == "stacks/Pulumi.dev.yaml:9"
