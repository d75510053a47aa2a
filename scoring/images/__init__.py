"""From a proven scoring folder to an image in a registry.

context    what a builder is given: the proven files, without what an image must not hold; its hash and its labels
builders   docker, podman and buildah behind one interface
acr_tasks  the registry of an environment in Azure, which builds what is uploaded
choice     which of them
registry   what a registry has, and what it is to keep
publish    an image of a folder in a registry, by digest
indexes    pip's settings and certificates on this machine, as secrets of a build
sbom       what is in an image, as CycloneDX
build      the whole: nothing is built where an image of the same content is there; what was built is remembered
"""
