"""What `pipelines.yml` says: which models a project trains and serves, where, when and on which runners.

Values come to stand in YAML, shells and expressions of the CI systems: only signs that mean nothing there are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from forestay import LOCAL, __version__
from forestay.documents.document import Document, KeyPath, Kind, parse, read_text
from forestay.documents.names import refuse, shown, suggest
from forestay.documents.problems import Wording, home_of, in_order, keys, section_at, translate
from forestay.documents.values import (
    AsList,
    AsMapping,
    Flag,
    Name,
    Number,
    hyphenated,
    names_or_one,
    one_of,
    taking,
    whole,
)
from forestay.errors import InputError, Problem

if TYPE_CHECKING:
    from automl_jobs.spec import LoadedJob

FILE = "pipelines.yml"
GITHUB, AZURE_DEVOPS = SYSTEMS = ("github", "azure-devops")
HOSTED = "ubuntu-24.04"
LONGEST = 360
MANAGED, ACI, AKS = "managed", "aci", "aks"
IN_STACKS = (ACI, AKS)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_PATH = re.compile(r"(?!/)(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./ -]{0,255}")
_HOME = re.compile(r"[~/][A-Za-z0-9_./-]{0,255}")
_ENDPOINT = re.compile(r"[a-z0-9-]{3,32}")
_STACK = re.compile(r"[a-z][a-z0-9-]{0,30}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,127}")
_PACKAGE = re.compile(r"(?!.*\.\./)[A-Za-z0-9.][A-Za-z0-9_.,\[\]=<>~!+@:/#&?% -]{0,511}")
_WHEEL = re.compile(r"(?P<path>[^:@]+\.whl)(\[[^\]]*\])?")
_LOGIN = re.compile(r"https?://[^/ ]*@")
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_CRON = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}
_TIMES = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?")
_PIPELINES = Kind(FILE, "`models:` and under it `- name: Churn`", "`forestay pipeline render --job JOB.yml --model M`")


def _like(pattern: re.Pattern[str], what: str, example: str) -> AfterValidator:
    @taking(f"{what}, such as `{example}`")
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise refuse(f"must be {what}, not {shown(value)!r}", f"write it like {example}")
        return value

    return AfterValidator(check)


def _without_login(value: str) -> str:
    if _LOGIN.search(value):
        raise refuse("has a login in its address", "leave it out: runners with a pip of their own know how to log in")
    return value


@taking("five fields of cron, in UTC, such as `'0 2 * * *'`")
def _cron(value: str) -> str:
    fields = value.split(" ")
    if len(fields) != len(_CRON):
        raise refuse(f"must be five fields of cron, in UTC, not {shown(value)!r}", "write it like '0 2 * * *'")
    for field, (name, (least, most)) in zip(fields, _CRON.items(), strict=True):
        for part in field.split(","):
            hit = _TIMES.fullmatch(part)
            first, last = (hit[1], hit[2] or hit[1]) if hit else (None, None)
            if hit is None or (first and not least <= int(first) <= int(last or first) <= most):
                told = f"has {shown(part)!r} as its {name}, which goes from {least} to {most}"
                raise refuse(told, "write it like '0 2 * * *': minute, hour, day, month, weekday")
    return value


@taking(f"a whole number of minutes from 1 to {LONGEST}")
def _minutes(value: Any) -> int:
    number = whole(value)
    if not 1 <= number <= LONGEST:
        raise refuse(f"must be from 1 to {LONGEST}, not {number}", "a hosted runner ends its jobs after six hours")
    return number


Word = Annotated[Name, _like(_WORD, "letters, digits, '-', '_' and '.'", "Churn")]
ProjectPath = Annotated[Name, _like(_PATH, "a path inside the project", "jobs/churn/job.yml")]
Cron = Annotated[Name, AfterValidator(_cron)]
Package = Annotated[
    Name, _like(_PACKAGE, "what pip installs", "forestay[azure,infra]==1.0.0"), AfterValidator(_without_login)
]
Count = Annotated[int, BeforeValidator(_minutes)]
Stack = Annotated[Name, _like(_STACK, "a stack's name, or local", "dev")]
Label = Annotated[Name, _like(_LABEL, "a runner's label, or a pool's name", HOSTED)]


class Section(BaseModel):
    """A mapping of the file: unknown keys are refused, and it doesn't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Section):
    """One model: the job that trains it, and the endpoint that serves it.

    Attributes
    ----------
    name: in the registry. job: the job file. experiment: of its jobs; the job file's where it is not given.
    endpoint, target: what serves it, and how.
    compare: whether a new model must be better than the one that is served; else every new one is delivered.
    test_data: rows with answers that no training sees, on which the two are compared; None for those of a job that
        trains here. metric: None takes the job's. threshold: how much better.
    """

    name: Word
    job: ProjectPath
    endpoint: Annotated[Name, _like(_ENDPOINT, "3 to 32 lower-case letters, digits and hyphens", "churn-api")]
    target: Annotated[str, BeforeValidator(one_of(LOCAL, *IN_STACKS, MANAGED))] = MANAGED
    experiment: Word | None = None
    compare: Flag = True
    test_data: ProjectPath | None = None
    metric: Word | None = None
    threshold: Annotated[Number, Field(ge=0)] = 0.0

    @property
    def slug(self) -> str:
        """The name as part of a file's name and a job's."""
        return re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", self.name).lower()).strip("-")


class Environment(Section):
    """Where the jobs of an environment run.

    Attributes
    ----------
    runner: labels of a GitHub runner; in Azure DevOps the pool, with what is demanded of its agents. A private network
        needs one inside of it. service_connection: Azure DevOps' way into Azure, by workload identity federation.
    home: FORESTAY_HOME on that runner; for `local` a folder that stays.
    reader: a GitHub environment whose identity only reads, for what must not wait for reviewers: drift checks.
    """

    runner: Annotated[tuple[Label, ...], BeforeValidator(names_or_one), Field(min_length=1)] = (HOSTED,)
    service_connection: Word | None = None
    home: Annotated[Name, _like(_HOME, "a full path", "~/.forestay")] | None = None
    reader: Word | None = None


class Schedules(Section):
    """When, as cron in UTC.

    Attributes
    ----------
    retrain: train all models again. pick_up: look for a training that has ended. drift: compare Azure with the stacks.
    """

    retrain: Cron = "0 2 * * *"
    pick_up: Cron = "23 * * * *"
    drift: Cron = "0 5 * * 1-5"


class Minutes(Section):
    """How long a job may take: check of a pull request, change of an estate, training here, proof, deploy."""

    check: Count = 30
    infra: Count = 120
    train: Count = 120
    prove: Count = 90
    deploy: Count = 60


class PipelineSettings(Section):
    """Everything that the pipelines are rendered from.

    Attributes
    ----------
    ci: github or azure-devops. branch: what is deployed. models: at least one.
    train: the environment whose cluster trains and whose registry keeps the models; `local` trains on the runner.
    deploy: the environments that serve, in the order in which a version gets there.
    environments: their runners, by name; those that are not there run on hosted ones.
    runner: of what needs no environment, such as the checks of a pull request.
    python: its version. install: what pip installs: a package of an index, a URL, git+https, a wheel of the project.
    requirements: a lock with hashes to install instead.
    pulumi: the version of its command line. kubelogin: the version of what logs in to a cluster, where one serves.
    """

    models: Annotated[tuple[Model, ...], AsList, Field(min_length=1)]
    ci: Annotated[str, BeforeValidator(hyphenated(*SYSTEMS))] = GITHUB
    branch: ProjectPath = "main"
    train: Stack = "dev"
    deploy: Annotated[tuple[Stack, ...], BeforeValidator(names_or_one), Field(min_length=1)] = ("test", "prod")
    environments: Annotated[dict[Stack, Environment], AsMapping] = Field(default_factory=dict)
    runner: Annotated[tuple[Label, ...], BeforeValidator(names_or_one), Field(min_length=1)] = (HOSTED,)
    schedules: Schedules = Schedules()
    minutes: Minutes = Minutes()
    python: Annotated[Name, _like(_VERSION, "a version in quotes", "'3.11'")] = "3.11"
    install: Package = f"forestay[azure,infra]=={__version__}"
    requirements: ProjectPath | None = None
    pulumi: Annotated[Name, _like(_VERSION, "a version in quotes", "'3.272.0'")] = "3.272.0"
    kubelogin: Annotated[Name, _like(_VERSION, "a version in quotes", "'0.2.18'")] = "0.2.18"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for what in ("name", "slug", "endpoint"):
            given = [getattr(one, what) for one in self.models]
            twice = next((one for one in given if given.count(one) > 1), None)
            if twice is not None:
                raise refuse(
                    f"has two models called {twice!r}", "give each a name and an endpoint of its own", ("models",)
                )
        if len(set(self.deploy)) != len(self.deploy):
            raise refuse("names an environment twice", "name each once", ("deploy",))
        unknown = next((one for one in self.environments if one not in self.all), None)
        if unknown is not None:
            told = f"tells of {unknown!r}, which neither trains nor serves"
            raise refuse(told, suggest(unknown, self.all), ("environments", unknown))
        for number, one in enumerate(self.models):
            for env in self.deploy:
                if (one.target == LOCAL) != (env == LOCAL):
                    fix = f"`target: {LOCAL}` goes with `deploy: [{LOCAL}]`, the other targets with stacks"
                    raise refuse(f"can't be served in {env}", fix, ("models", number, "target"))
        if LOCAL in self.deploy and self.train != LOCAL:
            raise refuse("serves on a runner what is trained elsewhere", "write `train: local`, too", ("deploy",))
        if self.train == LOCAL and not self.of(LOCAL).home:
            raise refuse(
                "trains on a runner without a folder that stays there",
                "give `environments: {local: {runner: LABEL, home: ~/.forestay}}`",
                ("train",),
            )
        return self

    @property
    def all(self) -> tuple[str, ...]:
        """Every environment, the one that trains first."""
        return tuple(dict.fromkeys((self.train, *self.deploy)))

    @property
    def estates(self) -> tuple[str, ...]:
        """The environments in Azure."""
        return tuple(one for one in self.all if one != LOCAL)

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks of these environments: their estates, and what is served from them."""
        served = self.deploy if self.in_stacks else ()
        return (*self.estates, *(f"{one}-services" for one in served))

    @property
    def in_stacks(self) -> bool:
        """Whether a deploy changes a stack's file."""
        return any(model.target in IN_STACKS for model in self.models)

    @property
    def on_cluster(self) -> bool:
        """Whether a deploy brings up a stack that has something on a cluster: all models of one share its stack."""
        return any(model.target == AKS for model in self.models)

    @property
    def wheel(self) -> str | None:
        """The path in the project of a wheel that is installed."""
        found = _WHEEL.fullmatch(self.install)
        return found["path"] if found and self.requirements is None else None

    def of(self, env: str) -> Environment:
        return self.environments.get(env, Environment())

    def connection(self, env: str) -> str:
        """Azure DevOps' service connection of an environment."""
        return self.of(env).service_connection or f"forestay-{env}"


def load(root: Path) -> PipelineSettings:
    """The settings of the project at `root`. Raises InputError with every problem, each at file:line."""
    path = root / FILE
    return check(parse(read_text(path, _PIPELINES), str(path), _PIPELINES), root)


def check(file: Document, root: Path) -> PipelineSettings:
    """The settings in a parsed file, with the experiments that their job files name. Raises InputError."""
    from automl_jobs.spec import load_job

    try:
        found = PipelineSettings.model_validate(file.data)
    except ValidationError as error:
        raise InputError.of(in_order(translate(error, PipelineSettings, file, _WORDING))) from error
    problems = [
        Problem(
            file.place(("models", number, key)), f"`{key}`: there is no {shown(path)}", "name a file of the project"
        )
        for number, one in enumerate(found.models)
        for key, path in (("job", one.job), ("test_data", one.test_data))
        if path is not None and not (root / path).exists()  # test data may be an MLTable's folder
    ]
    problems += _installed(found, file, root)
    if problems:
        raise InputError.of(in_order(problems))
    jobs = [load_job(root / one.job) for one in found.models]
    models: list[Model] = []
    for number, (one, job) in enumerate(zip(found.models, jobs, strict=True)):
        experiment = one.experiment or _experiment(job)
        if experiment in [other.experiment for other in models]:
            told = f"two models share the experiment {experiment}"
            fix = "give each job file an experiment_name of its own: by it a model's jobs are found"
            problems.append(Problem(file.place(("models", number, "job")), told, fix))
        if one.compare and one.test_data is None and not (found.train == LOCAL and _has_test_data(job)):
            told = "`test_data` is missing: rows on which a new model is compared with what is served"
            fix = "name a file of rows with answers that no training sees, or write compare: false"
            problems.append(Problem(file.place(("models", number)), told, fix))
        models.append(one.model_copy(update={"experiment": experiment}))
    if problems:
        raise InputError.of(in_order(problems))
    return found.model_copy(update={"models": tuple(models)})


def _installed(found: PipelineSettings, file: Document, root: Path) -> Iterator[Problem]:
    """What is wrong with what pip shall install."""
    if found.wheel is not None and not (root / found.wheel).is_file():
        yield Problem(file.place(("install",)), f"`install`: there is no {shown(found.wheel)}", "name a wheel in here")
    if found.requirements is None:
        return
    where, path = file.place(("requirements",)), root / found.requirements
    if not path.is_file():
        yield Problem(where, f"`requirements`: there is no {shown(found.requirements)}", "make it, or remove it")
    elif b"--hash=" not in path.read_bytes():
        told = f"`requirements`: {shown(found.requirements)} has no hashes, without which pipelines install nothing"
        yield Problem(where, told, "lock it: uv pip compile --generate-hashes requirements.txt -o requirements.lock")


def begin(root: Path, *, job: str, **wishes: Any) -> tuple[PipelineSettings, str]:
    """A first `pipelines.yml` for one model: the settings, and the text of the file; nothing is written.

    Parameters
    ----------
    root: the project. job: the job file in it. wishes: ci, model, endpoint, and perhaps target, train, deploy,
        branch, test_data, metric, threshold.

    Raises InputError.
    """
    import templates
    from automl_jobs.spec import load_job

    train = wishes.get("train", "dev")
    local = train == LOCAL
    plain = {
        "ci": GITHUB,
        "branch": "main",
        "train": train,
        "deploy": [LOCAL] if local else ["test", "prod"],
        "target": LOCAL if local else MANAGED,
        "test_data": None,
        "metric": None,
        "threshold": 0.0,
    }
    path = Path(job).absolute()
    inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else job
    given = {**plain, **wishes, "job": inside}
    given["compare"] = bool(given["test_data"]) or (local and _has_test_data(load_job(path)))
    first = {key: given[key] for key in ("ci", "branch", "train")} | {"deploy": list(given["deploy"])}
    model = {"name": given["model"]} | {key: given[key] for key in ("job", "endpoint", "target", "compare")}
    model |= {key: given[key] for key in ("test_data", "metric", "threshold") if given[key]}
    homes = {"environments": {LOCAL: {"runner": ["self-hosted"], "home": "~/.forestay"}}} if local else {}
    settings = check(Document({**first, "models": [model], **homes}, {(): FILE}), root)
    return settings, templates.render("pipelines/pipelines.yml.j2", **given)


def _has_test_data(job: LoadedJob) -> bool:
    return bool(job.spec.test_data or job.spec.test_data_size)


def _experiment(job: LoadedJob) -> str:
    """The experiment that the job file names. Raises InputError where it names none."""
    name = job.spec.experiment_name
    if not name:
        fix = "give it one, by which the jobs of this model are found: experiment_name: churn"
        raise InputError("the job has no experiment_name", where=str(job.path), fix=fix)
    if not _WORD.fullmatch(name):
        fix = "use letters, digits, '-', '_' and '.', or say `experiment:` in pipelines.yml"
        raise InputError(f"{shown(name)!r} can't stand in a pipeline", where=job.where("experiment_name"), fix=fix)
    return name


def _belongs(path: KeyPath, model: type[BaseModel], document: Document) -> str:
    key = str(path[-1])
    home = home_of(model, key) if len(path) == 1 else None
    if home:
        return f"it belongs under `{home}:`"
    section = section_at(model, path[:-1])
    return suggest(key, list(keys(section)) if section else [], "valid here")


_EXAMPLES = {
    "models": "begin with `models:` and under it `- name: Churn`",
    "name": "add `name: Churn`, the model's name in the registry",
    "job": "add `job: jobs/churn/job.yml`",
    "endpoint": "add `endpoint: churn-api`",
}
_WORDING = Wording(_EXAMPLES, _belongs, lambda _: FILE, "see the settings' reference")
