"""The parts of the estate and of the served models, each a component with its arguments and outputs.

base         what all of them are given, and the options that they set
group        the resource group, and locks on what holds data
identities, roles   who acts, and who may do what where, with the reason
monitoring, storage, vault, registry, workspace, compute   the Azure Machine Learning workspace and what it stands on
"""
