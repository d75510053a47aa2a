"""Azure's names of everything in an environment, a pure function of stem, environment and subscription.

The program and the command line both call it, so that neither needs what the other printed. Each kind of resource has
a length and an alphabet of its own (Azure's "Naming rules and restrictions for Azure resources"). Names that must be
unique in the world or in a subscription end in five letters and digits made from subscription, stem and environment:
the same inputs always give the same name, and two environments never share one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from forestay.documents.names import suggest
from forestay.errors import InputError

SUFFIX_SIGNS = "abcdefghijklmnopqrstuvwxyz234567"
SUFFIX_LENGTH = 5
VAULT_KEPT_DAYS = 90  # how long Azure keeps a deleted vault, and with it its name


@dataclass(frozen=True)
class Rule:
    """What Azure takes as the name of one kind.

    Attributes
    ----------
    prefix: what ours begin with, as in Microsoft's list of abbreviations.
    longest: characters. pattern: the whole rule. dashes: whether a hyphen may stand in it.
    """

    prefix: str
    longest: int
    pattern: str
    dashes: bool = True


RULES: dict[str, Rule] = {
    "resourceGroup": Rule("rg", 90, r"[\w.()-]{0,89}[\w()-]"),
    "workspace": Rule("mlw", 33, r"[A-Za-z0-9][A-Za-z0-9-_]{2,32}"),
    "storageAccount": Rule("st", 24, r"[a-z0-9]{3,24}", dashes=False),
    "keyVault": Rule("kv", 24, r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,22}[A-Za-z0-9]"),
    "containerRegistry": Rule("cr", 50, r"[A-Za-z0-9]{5,50}", dashes=False),
    "logAnalytics": Rule("log", 63, r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]"),
    "applicationInsights": Rule("appi", 100, r"[A-Za-z0-9][A-Za-z0-9-_.]{0,98}[A-Za-z0-9]"),
    "workspaceIdentity": Rule("id-ws", 128, r"[A-Za-z0-9][A-Za-z0-9-_]{2,127}"),
    "computeIdentity": Rule("id-train", 128, r"[A-Za-z0-9][A-Za-z0-9-_]{2,127}"),
    "endpointIdentity": Rule("id-serve", 128, r"[A-Za-z0-9][A-Za-z0-9-_]{2,127}"),
    "clusterIdentity": Rule("id-aks", 128, r"[A-Za-z0-9][A-Za-z0-9-_]{2,127}"),
    "kubeletIdentity": Rule("id-kubelet", 128, r"[A-Za-z0-9][A-Za-z0-9-_]{2,127}"),
    "computeCluster": Rule("cpu", 16, r"[A-Za-z][A-Za-z0-9-]{0,14}[A-Za-z0-9]"),
    "buildCluster": Rule("build", 16, r"[A-Za-z][A-Za-z0-9-]{0,14}[A-Za-z0-9]"),
    "aks": Rule("aks", 54, r"[A-Za-z0-9][A-Za-z0-9-_]{0,52}[A-Za-z0-9]"),
    "virtualNetwork": Rule("vnet", 64, r"[A-Za-z0-9][\w.-]{0,62}[\w]"),
    "networkSecurityGroup": Rule("nsg", 80, r"[A-Za-z0-9][\w.-]{0,78}[\w]"),
    "natGateway": Rule("ng", 80, r"[A-Za-z0-9][\w.-]{0,78}[\w]"),
    "publicAddress": Rule("pip", 80, r"[A-Za-z0-9][\w.-]{0,78}[\w]"),
    "privateEndpoint": Rule("pep", 64, r"[A-Za-z0-9][\w.-]{0,62}[\w]"),
    "monitorScope": Rule("ampls", 255, r"[A-Za-z0-9][\w.()-]{0,253}[\w()-]"),
    "actionGroup": Rule("ag", 100, r"[^:<>+/&%\\?|]{0,99}[^:<>+/&%\\?| .]"),
    "alert": Rule("alert", 260, r"[^*#&+:<>?@%{}\\/]{0,259}[^*#&+:<>?@%{}\\/ .]"),
    "webTest": Rule("webtest", 64, r"[A-Za-z0-9][\w.-]{0,62}[\w]"),
    "trafficManager": Rule("traf", 63, r"[a-z0-9](?!.*--)[a-z0-9-]{0,61}[a-z0-9]"),
    "applicationGateway": Rule("agw", 80, r"[A-Za-z0-9][\w.-]{0,78}[\w]"),
    "budget": Rule("budget", 63, r"[A-Za-z0-9-_]{1,63}"),
    "containerGroup": Rule("ci", 63, r"[a-z0-9](?!.*--)[a-z0-9-]{0,61}[a-z0-9]"),
    "dnsLabel": Rule("s", 63, r"[a-z](?!.*--)[a-z0-9-]{1,61}[a-z0-9]"),
    "stateContainer": Rule("pulumi-state", 63, r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]"),
}


@dataclass(frozen=True)
class Names:
    """The names of one environment.

    Attributes
    ----------
    stem, environment, subscription: what they are made from.
    given: names that the stack file chose itself, by kind.
    """

    stem: str
    environment: str
    subscription: str
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """Five letters and digits that tell this environment from every other."""
        return _short_hash(self.subscription.lower(), self.stem, self.environment)

    def of(self, kind: str, part: str = "") -> str:
        """The name of a resource of `kind`; `part` tells one from another of its kind, such as a service's name."""
        rule = RULES[kind]
        if not part and kind in self.given:
            return self.given[kind]
        joint = "-" if rule.dashes else ""
        tail = self.suffix if not part else _short_hash(self.suffix, part)
        words = [word if rule.dashes else word.replace("-", "") for word in (part, self.stem, self.environment) if word]
        room = rule.longest - len(rule.prefix) - len(tail) - 2 * len(joint)
        middle = re.sub("-+", "-", joint.join(words))[: max(room, 0)].strip("-")
        return joint.join(word for word in (rule.prefix, middle, tail) if word)


def _short_hash(*words: str) -> str:
    number = int.from_bytes(hashlib.sha256("\n".join(words).encode()).digest()[:8], "big")
    return "".join(SUFFIX_SIGNS[(number >> (5 * place)) & 31] for place in range(SUFFIX_LENGTH))


def check_given(given: Mapping[str, str], where: str) -> None:
    """Refuse names of the stack file that Azure would refuse, and kinds that don't exist. Raises InputError."""
    for kind, name in given.items():
        rule = RULES.get(kind)
        if rule is None:
            raise InputError(f"names: no kind {kind!r}", where=where, fix=suggest(kind, RULES))
        if not re.fullmatch(rule.pattern, name) or len(name) > rule.longest:
            raise InputError(
                f"names.{kind}: Azure does not take {name!r}",
                where=where,
                fix=f"at most {rule.longest} characters, all of it matching {rule.pattern}",
            )
