"""The parts of the estate and of the served models, each a component with its arguments and outputs.

base         what all of them are given, and the options that they set
fresh_grants what tries again while Azure spreads new rights
group        the resource group, and locks on what holds data
identities, roles   who acts, and who may do what where, with the reason
monitoring, storage, vault, registry, workspace, compute   the Azure Machine Learning workspace and what it stands on
network      of a private estate: subnets, private endpoints, names
aks          the cluster that serves models, and Azure ML's extension on it
spending, alerts   who hears of money, and of models that fail
aci, front, aks_service   one served model: a container group and what stands before it, or a deployment
"""
