"""A served model as a services stack declares it: `forestay:services`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forestay.documents.names import refuse
from forestay.documents.values import AsList, AsMapping, Flag, Name, Number, Text, one_of
from infra.values import Section, between, dated, matching, one_address

# DESIGN of names on every target: what a Kubernetes label and a DNS label both take.
SERVICE = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")
IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}")
HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
CERTIFICATE = re.compile(r"[A-Za-z0-9-]{1,127}")
CLASS = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
# How the image learns the keys of its callers, on every target: two environment variables, whose values Azure keeps as
# secrets. Either key opens. A service with `auth: anonymous` is told so by AUTH_VARIABLE: without it, and without keys,
# the image refuses every caller.
KEY_VARIABLES = {"primary": "FORESTAY_KEY_PRIMARY", "secondary": "FORESTAY_KEY_SECONDARY"}
AUTH_VARIABLE, NO_AUTH = "FORESTAY_AUTH", "none"
SECRET_VARIABLE = re.compile(r"(PASSWORD|SECRET|TOKEN|API_?KEY|ACCESS_?KEY)$", re.IGNORECASE)
SERVED = ("image", "model", "version")
OURS = (*KEY_VARIABLES.values(), AUTH_VARIABLE)
# By which labels pods on the cluster are told apart: of which service they are, and of which of its states.
SERVICE_LABEL, STATE_LABEL = "app.kubernetes.io/name", "forestay/state"
FRONTS = ("none", "dns", "traffic_manager", "application_gateway")
DIGEST = "contoso.azurecr.io/categorize@sha256:" + "0" * 64


class Secret(Section):
    """A value that the stack file holds encrypted: `{secure: ...}`. In clear it is refused."""

    secure: Name

    @model_validator(mode="before")
    @classmethod
    def _encrypted(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise refuse(
                "is a secret in clear",
                "remove it from git, change it, and let `forestay endpoint deploy` make another; by hand:"
                " `pulumi config set --secret --path forestay:services.NAME.keys.primary`",
            )
        return value


class Keys(Section):
    """The two keys of a service; callers may use either, so that one can be changed while the other works."""

    primary: Secret
    secondary: Secret


class Replicas(Section):
    """How many copies run on AKS: between the two numbers, by load."""

    min: Annotated[int, BeforeValidator(between(1, 1000))] = 2
    max: Annotated[int, BeforeValidator(between(1, 1000))] = 4
    cpu_percent: Annotated[int, BeforeValidator(between(1, 100))] = 70

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.min > self.max:
            raise refuse(f"has min {self.min} above max {self.max}", "lower min or raise max")
        return self


Auth = Annotated[str, BeforeValidator(one_of("keys", "anonymous"))]
Image = Annotated[Name, AfterValidator(matching(IMAGE, "an image by digest", DIGEST))]


class Served(Section):
    """What a service serves, or is about to serve; `cpu` and `memory_gb` where they are not the service's."""

    image: Image
    model: Name
    version: Text
    cpu: Number | None = None
    memory_gb: Number | None = None


class Earlier(Served):
    """What a service served before, and what a deploy may have set since: a rollback writes that back.

    Attributes
    ----------
    cpu, memory_gb, auth, public, replicas: as of the service then; what is not told stays as it is.
    keys: of the callers, where the service asks for none now: those that were there last.
    """

    auth: Auth | None = None
    public: Flag | None = None
    replicas: Replicas | None = None
    keys: Keys | None = None


class Service(Section):
    """One served model.

    Attributes
    ----------
    image: by digest: a tag may point to something else tomorrow.
    cpu, memory_gb: of one copy. port: where the server in the image listens.
    auth: `keys`, checked by the image, or `anonymous`.
    front: on ACI, what callers reach, so that a new group can be made beside the old one: `dns`, a record in the zone
        existing.servingZone; `traffic_manager` for public groups; `application_gateway`, which ends TLS, in a network.
    tls: on AKS, what ends TLS: `gateway` (Gateway API) or `none`, for a load balancer.
    gateway_class: of the gateway, as the cluster's controller calls it.
    host: the name that callers use. certificate: the name of its certificate in the environment's key vault.
    address: of an application gateway in its subnet; none where it answers in public.
    public: whether it has a public address. On ACI without a network there is no other kind, and it has one anyway.
    model, version: what is served, as tags and labels.
    keys: of the callers, encrypted; `forestay endpoint deploy` makes them. keys_since: when they were made, or one of
        them was rotated. replicas: on AKS, how many copies.
    environment: further variables of the container, none of them secret.
    candidate: what is tried beside what serves, where no caller is led: in pods of its own on AKS, in a group of its
        own on ACI behind a front.
    earlier: what was served before, the newest first: what a rollback returns to. Nothing is made of it.
    """

    target: Annotated[str, BeforeValidator(one_of("aci", "aks"))]
    image: Image
    model: Name
    version: Text
    cpu: Number = 1.0
    memory_gb: Number = 2.0
    port: Annotated[int, BeforeValidator(between(1, 65_535))] = 5001
    public: Flag = False
    auth: Auth = "keys"
    keys: Keys | None = None
    keys_since: Annotated[Text, BeforeValidator(dated)] | None = None
    replicas: Replicas = Replicas()
    front: Annotated[str, BeforeValidator(one_of(*FRONTS))] = "none"
    tls: Annotated[str, BeforeValidator(one_of("none", "gateway"))] = "none"
    gateway_class: Annotated[Name, AfterValidator(matching(CLASS, "a gateway class", "azure-alb-external"))] = (
        "azure-alb-external"
    )
    host: Annotated[Name, AfterValidator(matching(HOST, "a host name", "scoring.contoso.com"))] | None = None
    certificate: Annotated[Name, AfterValidator(matching(CERTIFICATE, "a certificate's name", "scoring"))] | None = None
    address: Annotated[Name, AfterValidator(one_address)] | None = None
    environment: Annotated[dict[str, Text], AsMapping] = Field(default_factory=dict)
    candidate: Served | None = None
    earlier: Annotated[tuple[Earlier, ...], AsList] = ()

    @property
    def state(self) -> dict[str, str]:
        """What tells one state of a service from another: the image, what it holds, a hash of all other settings.

        Of the keys it knows since when they are: a program has them in clear, and a stack's file encrypted.
        """
        others = self.model_dump(exclude={*SERVED, "candidate", "earlier", "keys"}, exclude_defaults=True)
        settings = hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()[:12]
        return {**{name: getattr(self, name) for name in SERVED}, "settings": settings}

    def as_candidate(self) -> Self | None:
        """The service as it would be with its candidate; None without one."""
        if self.candidate is None:
            return None
        changed = self.candidate.model_dump(exclude_none=True)
        return self.model_copy(update={**changed, "candidate": None})

    @property
    def beside(self) -> bool:
        """Whether a new state stands beside the old one until callers are led to it."""
        return self.target == "aks" or self.front != "none"

    def inside(self, *, private: bool) -> bool:
        """Whether its container group has an address of the network's, which may change when the group is started, and
        no name. `private`: whether the estate is."""
        return self.target == "aci" and (private or self.front == "application_gateway")

    @property
    def ends_tls(self) -> bool:
        """Whether callers speak TLS with what they reach."""
        return self.tls == "gateway" or self.front == "application_gateway"

    @property
    def plain_environment(self) -> dict[str, str]:
        """The variables of the container that are no secret."""
        return {**self.environment, **({AUTH_VARIABLE: NO_AUTH} if self.auth == "anonymous" else {})}

    @model_validator(mode="after")
    def _together(self) -> Self:
        if not 0 < self.cpu <= 64 or not 0 < self.memory_gb <= 512:
            raise refuse(f"asks for {self.cpu:g} cores and {self.memory_gb:g} GB", "write cpu: 1 and memoryGb: 2")
        if self.auth == "keys" and self.keys is None and self.target == "aci":
            raise refuse("has no keys", "`forestay endpoint deploy` makes them; or write auth: anonymous")
        taken = next((name for name in OURS if name in self.environment), None)
        if taken:
            raise refuse(f"sets {taken} in its environment, which auth and keys set", "remove it; write auth or keys")
        secret = next((name for name in self.environment if SECRET_VARIABLE.search(name)), None)
        if secret:
            raise refuse(
                "looks like a secret in clear: whoever may look at the container may read it",
                "take it out of git, change it, and let the model read it from the key vault with its identity",
                ("environment", secret),
            )
        if self.auth == "anonymous" and self.keys is not None:
            raise refuse("has keys and auth: anonymous", "remove one of the two")
        if self.candidate is not None and not self.beside:
            fix = "remove candidate: it is for AKS, and for ACI behind a front"
            raise refuse("has a candidate, and no front before it", fix)
        if self.target == "aks" and self.front != "none":
            raise refuse("has a front, which only ACI needs", "remove front: AKS rolls without downtime")
        if self.target == "aci" and self.tls != "none":
            raise refuse("has tls, which is for AKS", "remove tls; write front: application_gateway to end TLS")
        if self.ends_tls and (self.host is None or self.certificate is None):
            lacking = "host name" if self.host is None else "certificate"
            fix = "write host: scoring.contoso.com and certificate: NAME, one of the environment's key vault"
            raise refuse(f"ends TLS and has no {lacking}", fix)
        if self.front == "application_gateway" and self.address is None and not self.public:
            raise refuse("has an application gateway without an address", "write address: 10.20.3.10, of its subnet")
        if self.front == "application_gateway" and self.address is not None and self.public:
            raise refuse("has an address, and its gateway answers in public", "remove address, or public")
        if self.front == "traffic_manager" and not self.public:
            raise refuse("has a traffic manager, which only leads to public addresses", "write public: true")
        if self.front == "dns" and self.host is None:
            fix = "write host: scoring.contoso.com, a name in the zone of existing.servingZone"
            raise refuse("is behind a DNS record and has no host name", fix)
        return self


def check_name(name: str) -> str:
    """A service's name. Raises the error of one value."""
    if not SERVICE.fullmatch(name):
        raise refuse("is no service's name", "use 3-32 lower-case letters, digits and hyphens, a letter first")
    return name


def states_of(services: Mapping[str, Service]) -> dict[str, dict[str, str]]:
    """The states of all services of a stack, by name: what its output `deployed` holds."""
    return {name: service.state for name, service in services.items()}


def part_of(name: str, service: Service) -> str:
    """What the container group, or the pods, of a service are called: by their state, where two may stand together."""
    return f"{name}-{state_of(service)}" if service.beside else name


def state_of(service: Service) -> str:
    """Eight letters that change with everything that the container is made of, and with nothing else."""
    made_of = service.model_dump(
        include={"image", "cpu", "memory_gb", "port", "public", "auth", "environment", "model", "version"}
    )
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:8]
