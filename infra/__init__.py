"""The Azure estate as code: one Pulumi program, one stack file an environment and layer.

settings, services, existing   what a stack file may say (pydantic)
stackfile            stacks/Pulumi.<env>.yaml -> StackSettings, problems with file:line; stackedit changes entries of it
naming, addresses    Azure's names and ids from stem, environment and subscription
program              the program: `declare(settings)`; `pulumi up` starts it through __main__
estate, serving      what each layer declares, out of components; links: how a private estate's parts reach each other
plan                 what it would make, without an engine; policies: what it may not
bootstrap, adopt     where the state is kept (state_store: what that needs), and what is taken over into it; arm: Azure
                     Resource Manager for both
operate, progress    preview, up, refresh, destroy through Pulumi, and what it tells meanwhile; cutoff: what a run that
                     did not end well leaves; kept_names: names that Azure keeps after a destroy
engine_errors, drift what was refused, and whose a difference is, explained
"""
