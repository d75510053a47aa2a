"""What is in an image, as a CycloneDX document: the model, and every package of the lock that is installed."""

from __future__ import annotations

from pathlib import Path

from scoring import environment
from scoring.folder import ScoringFolder
from scoring.schema import read_schema


def document(proven: ScoringFolder, tag: str, digest: str) -> str:
    """The JSON of the image `tag`, whose id is `digest`, made from a scoring folder (CycloneDX 1.6)."""
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL

    lock = (proven.path / "requirements.lock").read_text(encoding="utf-8")
    schema = read_schema(proven.path / "model")
    bom = Bom()
    bom.metadata.component = Component(type=ComponentType.CONTAINER, name=tag, version=digest, bom_ref="image")
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=proven.model,
        version=proven.version,
        bom_ref="model",
        hashes=[
            HashType(alg=HashAlgorithm.SHA_256, content=value)
            for name, value in sorted(proven.files.items())
            if Path(name).name in ("model.pkl", "model.skops")
        ],
        properties=[
            Property(name="forestay:job", value=proven.job),
            Property(name="forestay:trial", value=proven.trial),
        ],
    )
    python = Component(type=ComponentType.PLATFORM, name="python", version=schema.python, bom_ref="python")
    packages = [
        Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=f"pkg:pypi/{name}@{version}",
            purl=PackageURL("pypi", None, name, version),
        )
        for name, version in environment.locked_versions(lock).items()
    ]
    for component in (model, python, *packages):
        bom.components.add(component)
    bom.register_dependency(bom.metadata.component, [model, python, *packages])
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n"
