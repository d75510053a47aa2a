"""The policy pack: `pulumi up --policy-pack infra/policies/pack`."""

from infra.policies.pulumi_pack import start

start()
