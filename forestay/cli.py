"""The command tree: names, one line of help each, and where the code lies.

Nothing heavy is imported here, and a command's module only when that command runs, so that `--help` and usage
errors answer at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import click

from forestay import __version__
from forestay.console import Console, print_error, visible
from forestay.errors import ForestayError, InputError, OutsideError
from forestay.help import NoSuchCommand, Page, usage_error
from forestay.rooms import refuse_hidden


@dataclass(frozen=True)
class Lazy:
    """A command that is imported when it runs: `module:attribute`, and its line in the group's help."""

    target: str
    help: str


Entry: TypeAlias = "Lazy | tuple[str, dict[str, Entry]]"  # a command, or a group with its help

TREE: dict[str, Entry] = {
    "init": Lazy("forestay.commands.init:init", "A project of your own: stacks, jobs, pipelines; or update one."),
    "ship": Lazy("forestay.commands.ship:ship", "From a job file to an answering endpoint, in one command."),
    "studio": Lazy("forestay.commands.studio:studio", "Experiments, models and endpoints in a browser."),
    "doctor": Lazy("forestay.commands.doctor:doctor", "What is fit for work here, and in Azure, and what is not."),
    "completion": Lazy("forestay.commands.completion:completion", "Let bash, zsh or fish complete what is typed."),
    "man": Lazy("forestay.commands.man:man", "The manual page of a command, or all of them as files."),
    "gc": Lazy("forestay.commands.job_delete:gc", "Remove what nothing refers to any more."),
    "infra": (
        "The Azure estate: plan it, change it.\n\nExample: forestay infra plan --env dev",
        {
            "plan": Lazy("forestay.commands.infra:plan", "What a stack would make, cost and allow; no login."),
            "bootstrap": Lazy("forestay.commands.infra_state:bootstrap", "Make the place of the team's state."),
            "import": Lazy("forestay.commands.infra_state:import_", "Take over what is there already."),
            "preview": Lazy("forestay.commands.infra_operate:preview", "What `up` would change; changes nothing."),
            "up": Lazy("forestay.commands.infra_operate:up", "Make the stack what its file says."),
            "outputs": Lazy("forestay.commands.infra_operate:outputs", "The stack's outputs."),
            "refresh": Lazy("forestay.commands.infra_operate:refresh", "Write what is there into the state."),
            "destroy": Lazy("forestay.commands.infra_operate:destroy", "Delete what the stack owns."),
        },
    ),
    "data": (
        "Look at data before an experiment.\n\nExample: forestay data show sales.csv",
        {"show": Lazy("forestay.commands.data:show", "The columns: type, missing, distinct, examples, warnings.")},
    ),
    "job": (
        "Define, run and inspect AutoML jobs.\n\nExample: forestay job submit job.yml",
        {
            "new": Lazy("forestay.commands.job_new:new", "Write a job file and an MLTable for a data file."),
            "check": Lazy("forestay.commands.job_check:check", "Check a job file and its data; runs nothing."),
            "split": Lazy("forestay.commands.job_split:split", "Keep groups, or the past, together in folds."),
            "submit": Lazy("forestay.commands.job_submit:submit", "Train: here, or in Azure ML with --env."),
            "list": Lazy("forestay.commands.job:list_jobs", "The jobs, newest first."),
            "show": Lazy("forestay.commands.job:show", "One job: status, best trial, metrics."),
            "watch": Lazy("forestay.commands.job:watch", "Follow a job until it has ended."),
            "leaderboard": Lazy("forestay.commands.job:leaderboard", "The trials of a job, best first."),
            "explain": Lazy("forestay.commands.job_explain:explain", "Which columns a trial's score rests on."),
            "report": Lazy("forestay.commands.job_report:report", "What a job came to, as one file."),
            "compare": Lazy("forestay.commands.job_report:compare", "Two jobs side by side."),
            "trial": Lazy("forestay.commands.job:trial", "One trial: parameters, metrics, files."),
            "download": Lazy("forestay.commands.job:download", "Copy a trial's files, model.pkl among them."),
            "cancel": Lazy("forestay.commands.job:cancel", "Stop a running job."),
            "resume": Lazy("forestay.commands.job_resume:resume", "Go on with a job that was stopped or killed."),
            "rerun": Lazy("forestay.commands.job_rerun:rerun", "Run a job again, on its own data or on new."),
            "code": Lazy("forestay.commands.job_code:code", "A trial as a training script."),
            "delete": Lazy("forestay.commands.job_delete:delete", "Delete a job, its trials and their files."),
            "schedule": Lazy("forestay.commands.job_schedule:schedule", "Run a job in Azure again and again."),
        },
    ),
    "model": (
        "Register and look up models.\n\nExample: forestay model register latest --name CategorizeTransactions",
        {
            "register": Lazy("forestay.commands.model:register", "Register a trial, or a model file, as a version."),
            "list": Lazy("forestay.commands.model:list_models", "The registered models."),
            "show": Lazy("forestay.commands.model:show", "One model version and where it came from."),
            "download": Lazy("forestay.commands.model:download", "Copy a model version's files."),
            "predict": Lazy("forestay.commands.model_ask:predict", "What a model says of rows."),
            "evaluate": Lazy("forestay.commands.model_ask:evaluate", "How good it is on rows of yours, by slices too."),
            "compare": Lazy("forestay.commands.model_ask:compare", "Whether one version is better than another."),
            "alias": Lazy("forestay.commands.model_names:alias", "Give a version a name, such as champion."),
            "delete": Lazy("forestay.commands.model_names:delete", "Remove a version."),
        },
    ),
    "score": (
        "Generate, prove and serve scoring assets.\n\nExample: forestay score verify scoring",
        {
            "generate": Lazy("forestay.commands.score:generate", "Write score.py, conda_env.yaml and their company."),
            "verify": Lazy("forestay.commands.score:verify", "Prove a scoring folder in a clean environment."),
            "serve": Lazy("forestay.commands.score:serve", "Serve a scoring folder in the foreground."),
            "batch": Lazy("forestay.commands.score_batch:batch", "Score a file of any size."),
            "diff": Lazy("forestay.commands.score:diff", "What changes between two versions, and what breaks callers."),
            "prune": Lazy("forestay.commands.score:prune", "Remove environments that nothing uses any more."),
        },
    ),
    "image": (
        "Build images of proven scoring folders.\n\nExample: forestay image build scoring --tag churn:3",
        {
            "build": Lazy("forestay.commands.image:build", "Build the image of a proven scoring folder."),
            "push": Lazy("forestay.commands.image:push", "Push an image to its registry."),
        },
    ),
    "endpoint": (
        "Deploy proven models and call them.\n\nExample: forestay endpoint deploy churn-api --model Churn:3",
        {
            "deploy": Lazy("forestay.commands.endpoint:deploy", "Deploy a proven model version."),
            "list": Lazy("forestay.commands.endpoint:list_endpoints", "The endpoints."),
            "show": Lazy("forestay.commands.endpoint:show", "One endpoint: status, address, deployment."),
            "invoke": Lazy("forestay.commands.endpoint:invoke", "Send rows, print the answer."),
            "logs": Lazy("forestay.commands.endpoint:logs", "What the server wrote."),
            "rollback": Lazy("forestay.commands.endpoint:rollback", "Serve an earlier deployment again."),
            "traffic": Lazy("forestay.commands.endpoint_traffic:traffic", "Share callers among deployments."),
            "prune": Lazy("forestay.commands.endpoint_traffic:prune", "Remove deployments that nobody reaches."),
            "keys": (
                "The keys of an endpoint.\n\nExample: forestay endpoint keys show churn-api",
                {
                    "show": Lazy("forestay.commands.endpoint:show_keys", "Both keys."),
                    "rotate": Lazy("forestay.commands.endpoint:rotate_keys", "Make one key anew."),
                },
            ),
            "stop": Lazy("forestay.commands.endpoint:stop", "Serve nothing, and bill nothing, for a while."),
            "start": Lazy("forestay.commands.endpoint:start", "Serve again what was stopped."),
            "delete": Lazy("forestay.commands.endpoint:delete", "Stop and remove an endpoint."),
        },
    ),
    "pipeline": (
        "Pipelines for GitHub Actions and Azure DevOps.\n\nExample: forestay pipeline render --check",
        {"render": Lazy("forestay.commands.pipeline:render", "Write the pipelines of this project.")},
    ),
}


# What an extra brings: module -> extra. The core works without.
EXTRAS = {
    **dict.fromkeys(("pulumi", "pulumi_azure_native", "pulumi_kubernetes", "pulumi_policy"), "infra"),
    **dict.fromkeys(("azure", "azureml", "marshmallow"), "azure"),
}


def console(context: click.Context) -> Console:
    """The console of this call, shared by the root, its groups and its commands."""
    found: Console = context.ensure_object(Console)
    return found


def _set_output(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        console(context).output = value


def _set_flag(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        setattr(console(context), str(parameter.name), True)


def _common_options() -> list[click.Parameter]:
    """`--output`, `--quiet`, `--verbose`: accepted before and after a command's name."""
    return [
        click.Option(
            ["--output", "-o"],
            type=click.Choice(["table", "json"]),
            expose_value=False,
            callback=_set_output,
            help="What to print on stdout.",
        ),
        click.Option(
            ["--quiet", "-q"], is_flag=True, expose_value=False, callback=_set_flag, help="No progress on stderr."
        ),
        click.Option(
            ["--verbose", "-v"], is_flag=True, expose_value=False, callback=_set_flag, help="Details on stderr."
        ),
    ]


class Command(Page):
    """A command that also takes the common options, but those that it has itself; every command is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = {word for parameter in self.params for word in parameter.opts}
        self.params += [option for option in _common_options() if own.isdisjoint(option.opts)]


class LazyGroup(Page, click.Group):
    """A group that knows its commands by name and help, and imports one only to run it."""

    def __init__(self, *args: Any, commands_by_name: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_common_options()]
        self.commands_by_name = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.commands_by_name.get(cmd_name)
        if entry is None:
            return None
        if isinstance(entry, Lazy):
            return click.Command(cmd_name, help=entry.help, short_help=entry.help)
        text, commands = entry
        line = text.partition("\n")[0]  # click cuts a group's by itself
        return LazyGroup(cmd_name, help=text, short_help=line, commands_by_name=commands, no_args_is_help=True)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, *rest = args
        entry = self.commands_by_name.get(name)
        if isinstance(entry, Lazy):
            return name, load(entry), rest
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            raise NoSuchCommand(name, ctx, self.commands_by_name, (path for path, _ in leaves()))
        return name, command, rest


def leaves(entries: dict[str, Entry] = TREE) -> Iterator[tuple[str, Lazy]]:
    """Every command with its path, `job new`."""
    for name, entry in entries.items():
        if isinstance(entry, Lazy):
            yield name, entry
        else:
            yield from ((f"{name} {below}", command) for below, command in leaves(entry[1]))


def load(entry: Lazy) -> click.Command:
    """Import a command."""
    module, attribute = entry.target.split(":")
    loaded: click.Command = getattr(importlib.import_module(module), attribute)
    if os.environ.get("_FORESTAY_COMPLETE"):
        from forestay.completion import complete_names

        complete_names(loaded.params)
    return loaded


@click.version_option(__version__, prog_name="forestay")
@click.pass_context
def _root(context: click.Context) -> None:
    """Forestay: from a CSV to a proven endpoint, with Azure AutoML job files, here or in Azure.

    Example: forestay ship job.yml --model CategorizeTransactions --endpoint categorize-transactions
    """
    console(context)


root = LazyGroup(
    "forestay",
    callback=_root,
    help=_root.__doc__,
    params=list(getattr(_root, "__click_params__", [])),
    commands_by_name=TREE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    no_args_is_help=True,
)


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and exit with its code (see forestay.errors)."""
    # A stream that the caller closed (`>&-`) is None: what would go there goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the process's life
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal's encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    settings = Console()
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments, settings)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nobody is left to tell.
        _discard_stdout()
        code = 0
    sys.exit(code)


def _discard_stdout() -> None:
    """Let what stdout still holds go nowhere, so that the interpreter does not fail on it while it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str], settings: Console) -> int:
    """Run a command line; every error becomes a message and an exit code, except a reader that went away."""
    instruction = os.environ.get("_FORESTAY_COMPLETE")
    if instruction:
        from forestay.completion import answer

        return answer(root, settings, instruction)
    try:
        refuse_hidden()
        # Not root.main(): it turns a closed pipe into a failure.
        with root.make_context("forestay", list(arguments), obj=settings) as context:
            root.invoke(context)
            sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
        return 0
    except ForestayError as error:
        print_error(error)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        what, fix = usage_error(error)
        print_error(InputError(what, fix=fix))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _internal(error, settings)
        where = str(error.filename or "")
        print_error(OutsideError("the disk is full", where=where, fix="free some space, then run this again"))
        _discard_stdout()
        return OutsideError.exit_code
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing not in EXTRAS:
            return _internal(error, settings)
        fix = f"pip install 'forestay[{EXTRAS[missing]}]', or make setup-dev in the repository"
        print_error(InputError(f"this command needs {missing}, which is not installed", fix=fix))
        return InputError.exit_code
    except Exception as error:  # noqa: BLE001
        return _internal(error, settings)


def _internal(error: Exception, settings: Console) -> int:
    """Tell of a fault of ours."""
    if settings.verbose:
        raise error
    sys.stderr.write(visible(f"error: internal: {type(error).__name__}: {error}\n"))
    sys.stderr.write("  this is a fault of forestay; run again with --verbose for the whole story\n")
    return 1
