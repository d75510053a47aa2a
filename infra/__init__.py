"""The Azure estate as code: one Pulumi program, one stack file an environment and layer.

settings, services   what a stack file may say (pydantic)
stackfile            stacks/Pulumi.<env>.yaml -> StackSettings, problems with file:line
naming               Azure's names from stem, environment and subscription
"""
