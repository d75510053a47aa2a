"""What no stack may do, checked before anything is made: by `infra plan`, and by Pulumi with `--policy-pack`.

model     what a rule is given and gives
roles     the roles that may be given, and on what
rules     the rules of single resources
estate    the rules that need to see the whole stack
check     runs them all
pack/     the same rules as a policy pack for `pulumi preview|up --policy-pack infra/policies/pack`
"""
