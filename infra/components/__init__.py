"""The parts of the estate and of the served models, each a component with its arguments and outputs.

base         what all of them are given, and the options that they set
fresh_grants what tries again while Azure spreads new rights
group        the resource group, and locks on what holds data
identities, roles   who acts, and who may do what where, with the reason
monitoring, storage, vault, registry, workspace, compute   the Azure Machine Learning workspace and what it stands on
network      of a private estate: subnets, private endpoints, names
aks          the cluster that serves models, and Azure ML's extension on it
spending, alerts   who hears of money, and of models that fail
aci, front, handover   a served model as a container group, what stands before it, and how that is moved to the next
aks_home, aks_service  where served models run on the cluster, and one of them
"""
