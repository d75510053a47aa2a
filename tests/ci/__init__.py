"""Rendered pipelines run as the CI systems would: jobs by their needs, in checkouts of their own, shell steps by bash.

What a runner brings is played: checkouts, artifacts, caches, values handed from step to step and job to job. Steps that
would download tools (`Install Forestay`, `Install Pulumi`) are left out: `forestay` on PATH is this project's.
"""
