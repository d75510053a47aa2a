"""Providers of azure-native and kubernetes for tests: they speak Pulumi's own protocol, and keep what they make in a
file instead of a cloud.

They do what the real ones do as far as the engine can tell: ids are ARM ids; secrets stay secret; a request body is
judged by the published schemas; a name that exists can't be made again; what Azure never changes in place is refused;
a lock keeps what it is on; what is in a deleted group is gone.

    wire.py        values as they travel: secrets, unknown values, differences
    cloud.py       the file: what there is, what was done, and what shall fail
    schemas.py     the published shapes of ARM's and Kubernetes' bodies
    provider.py    the protocol, common to both
    azure.py       azure-native
    kubernetes.py  kubernetes
    machines.py    what runs images as processes, where a test wants that
    __main__.py    serves both: `python -m tests.infra.providers FOLDER` prints PULUMI_DEBUG_PROVIDERS
"""
