"""A stack's plan without a login: what its program declares, and what follows from it.

build          one stack, from settings to plan
arm            ids and names as Azure Resource Manager will give them
outputs        what a resource answers, made up in the right form
monitor        the recording monitor that stands in for Pulumi's engine
run            settings -> the program, run in process -> resources
model          Plan and its parts, and their JSON
costs, quota, roles, outages   what follows: what bills while idle, cores taken, who may do what, what a change stops
graph, changes        the resources as Mermaid or DOT; one plan against another
"""
