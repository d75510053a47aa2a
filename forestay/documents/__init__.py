"""YAML files that people write: read with the line of every key, checked by pydantic, problems said to a person.

document   text -> values, and where each stands
names      names as Azure reads them, and the nearest valid one
values     the types of single values
problems   what pydantic found, as place, message and fix
"""
