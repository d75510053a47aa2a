"""What a project is made from: the answers, their checks, and what each is when nobody says."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from forestay.documents.names import refuse, shown, suggest
from forestay.documents.values import Flag, Name, hyphenated, one_of
from forestay.errors import InputError
from forestay.login import az_profile
from forestay.pipelines.settings import SYSTEMS as RENDERED
from infra.settings import STEM
from infra.values import Guid, Mail, Region, dated, first_of_month, matching

ENVIRONMENTS = ("dev", "test", "prod")
NO_CI = "none"
SYSTEMS = (*RENDERED, NO_CI)
TARGETS = ("managed", "aci", "aks")
REGION = "westeurope"
FALLBACK = "forestay"
EXAMPLE_JOB = "categorize_transactions"


Stem = Annotated[
    Name, AfterValidator(matching(STEM, "3 to 20 lower-case letters, digits and hyphens, a letter first", "churn"))
]
Month = Annotated[Name, BeforeValidator(dated), AfterValidator(first_of_month)]
Ci = Annotated[str, BeforeValidator(hyphenated(*SYSTEMS))]
Target = Annotated[str, BeforeValidator(one_of(*TARGETS))]
KINDS: dict[str, Any] = {
    "stem": Stem, "location": Region, "subscription": Guid, "mail": Mail, "ci": Ci, "target": Target
}  # fmt: skip


def _each(value: dict[str, str]) -> dict[str, str]:
    if set(value) != set(ENVIRONMENTS):
        raise refuse("is not one of each environment", f"give those of {', '.join(ENVIRONMENTS)}")
    return value


class Answers(BaseModel):
    """All that the files of a project follow from, besides the version of Forestay.

    Attributes
    ----------
    stem: what all names in Azure begin with. location: the region. subscriptions: by environment.
    mail: who owns the resources, and hears of budgets and failures.
    ci: what runs the pipelines. target: what serves the models in Azure.
    example: whether the example's job is there. since: the month in which the budgets begin.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stem: Stem
    location: Region
    subscriptions: Annotated[dict[str, Guid], AfterValidator(_each)]
    mail: Mail
    ci: Ci
    target: Target
    example: Flag
    since: Month

    @property
    def job_folder(self) -> str:
        """Where the job that the pipelines train lies."""
        return f"jobs/{EXAMPLE_JOB if self.example else self.stem}"

    @property
    def job(self) -> str:
        return f"{self.job_folder}/job.yml"

    @property
    def model(self) -> str:
        """The model's name in the registry, in CamelCase."""
        return "".join(word.capitalize() for word in self._words)

    @property
    def endpoint(self) -> str:
        return "-".join(self._words) if self.example else f"{self.stem}-api"

    @property
    def experiment(self) -> str:
        return "-".join(self._words)

    @property
    def _words(self) -> list[str]:
        return re.split("[-_]", EXAMPLE_JOB if self.example else self.stem)


def checked(key: str, value: Any, where: str) -> Any:
    """One answer, of one of KINDS. Raises InputError at `where`, a flag or a question."""
    try:
        return TypeAdapter(KINDS[key]).validate_python(value)
    except ValidationError as error:
        found = error.errors()[0]
        context = found.get("ctx", {})
        raise InputError(str(found["msg"]), where=where, fix=str(context.get("fix", ""))) from None


def subscriptions(given: tuple[str, ...]) -> dict[str, str]:
    """`GUID` for every environment, `ENV=GUID` for one, as flags give them; by environment, only those that are given.

    Raises InputError.
    """
    found: dict[str, str] = {}
    for text in given:
        env, equals, value = text.partition("=")
        if equals and env not in ENVIRONMENTS:
            raise InputError(
                f"no environment {shown(env)!r}", where=f"--subscription {shown(text)}", fix=suggest(env, ENVIRONMENTS)
            )
        guid = checked("subscription", value if equals else text, "--subscription")
        if equals:
            found[env] = guid
        else:
            found = {one: found.get(one, guid) for one in ENVIRONMENTS}
    return found


def stem_of(folder: Path) -> str:
    """The stem that a folder's name gives; FALLBACK where it gives none."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")
    found = words[:20].rstrip("-")
    return found if STEM.fullmatch(found) else FALLBACK


def this_month(today: dt.date | None = None) -> str:
    """The first of the month, in UTC: what Azure takes as the begin of a budget."""
    return str((today or dt.datetime.now(dt.UTC).date()).replace(day=1))


def chosen_subscription() -> str | None:
    """The subscription that `az` is set to on this machine; None without one. Nothing is asked of Azure."""
    try:
        found = json.loads(az_profile().read_text(encoding="utf-8-sig"))
        ids = [str(one["id"]) for one in found["subscriptions"] if one.get("isDefault")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return next((one for one in ids if _is_guid(one)), None)


def _is_guid(text: str) -> bool:
    try:
        checked("subscription", text, "")
    except InputError:
        return False
    return True


def with_changes(answers: Answers, changes: Mapping[str, Any]) -> Answers:
    """The same, but for some answers that have been checked; subscriptions are laid over those that are there."""
    subscriptions = {**answers.subscriptions, **changes.get("subscriptions", {})}
    return answers.model_copy(update={**changes, "subscriptions": subscriptions})
