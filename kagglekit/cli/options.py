"""Every option that two commands or more have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagglekit.cli.sections import DATA, FOLDS, JOBS, KAGGLE, MACHINE, OUTPUT, RECIPE, SectionOption

if TYPE_CHECKING:
    from kagglekit.types.executor import JobOptions

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


def option(section: str, *names: str, **attributes: Any) -> Decorator:
    """Add an option, listed in `section` of the commands that have sections."""
    return click.option(*names, cls=SectionOption, section=section, **attributes)


def data_option(text: str) -> Decorator:
    """Add ``--data DIR``."""
    return option(DATA, "--data", type=click.Path(path_type=Path), metavar="DIR", help=text)


def top_option(default: int, metavar: str, text: str) -> Decorator:
    """Add ``--top``: how many to show."""
    return click.option(
        "--top", type=click.IntRange(min=1), default=default, show_default=True, metavar=metavar, help=text
    )


def _bytes(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    from kagglekit.data.archive.budget import parse_size

    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def max_unpacked_option() -> Decorator:
    """Add ``--max-unpacked SIZE``."""
    text = "What a download may unpack to: 20GB; default 100 times its size."
    return option(DATA, "--max-unpacked", callback=_bytes, metavar="SIZE", help=text)


def size_option(name: str, text: str) -> Decorator:
    """Add an option for an amount of bytes, such as 20GB."""
    return click.option(name, callback=_bytes, metavar="SIZE", help=text)


def sample_option() -> Decorator:
    """Add ``--sample FILE``."""
    text = "Sample submission, if the data have several or none."
    return option(DATA, "--sample", type=click.Path(path_type=Path), metavar="FILE", help=text)


def plugin_option() -> Decorator:
    """Add ``--plugin FILE``, for a run that exists."""
    return _plugin_option("plugin", "Plugin file to use for RUN, if its own was edited or comes from elsewhere.")


def further_plugins_option() -> Decorator:
    """Add ``--plugin FILE``, for plugins besides the competition's."""
    return _plugin_option("plugins", "Load a plugin file besides the competition's.")


def _plugin_option(name: str, text: str) -> Decorator:
    return option(RECIPE, "--plugin", name, multiple=True, metavar="FILE", help=f"{text} Repeatable.")


def pictures_option(what: str) -> Decorator:
    """Add ``--pictures DIR``, where `what` is drawn to."""
    text = f"Folder for {what}; default pictures/COMPETITION."
    return option(OUTPUT, "--pictures", type=click.Path(path_type=Path), metavar="DIR", help=text)


def preset_option(text: str) -> Decorator:
    """Add ``--preset NAME``."""
    return option(RECIPE, "--preset", default="auto", show_default=True, metavar="NAME", help=text)


def settings_option() -> Decorator:
    """Add ``--set KEY=VALUE``."""
    text = "Set any recipe field: stage.2.size=299. Repeatable."
    return option(RECIPE, "--set", "settings", multiple=True, metavar="KEY=VALUE", help=text)


def disable_option() -> Decorator:
    """Add ``--disable PLUGIN``."""
    return option(RECIPE, "--disable", multiple=True, metavar="PLUGIN", help="Disable a shared plugin. Repeatable.")


def device_option() -> Decorator:
    """Add ``--device NAME``."""
    text = "auto, cpu, cuda, cuda:1 or mps."
    return option(MACHINE, "--device", default="auto", show_default=True, metavar="NAME", help=text)


def _number_or_auto(context: click.Context, parameter: click.Parameter, text: str) -> int | str:
    if text == "auto" or (text.isdecimal() and int(text)):
        return text if text == "auto" else int(text)
    raise click.BadParameter(f"{text!r} is neither auto nor a number from 1", context, parameter)


def file_option(help_text: str) -> Decorator:
    """Add ``--file FILE``, which is written."""
    return click.option("--file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help=help_text)


def store_option() -> Decorator:
    """Add ``--store PLACE``."""
    return option(
        MACHINE,
        "--store",
        type=click.Choice(["auto", "device", "ram", "map", "stream"]),
        default="auto",
        show_default=True,
        metavar="PLACE",
        help="Where to keep decoded images: auto, device, ram, map, or stream (test images block by block).",
    )


def places_of_job(command: Function) -> Function:
    """Add the hidden options by which a job is told its device, empty for the run's, and where to keep images."""
    store = option(MACHINE, "--store", default="auto", metavar="PLACE", hidden=True, help="For jobs.")
    return option(MACHINE, "--device", default="", metavar="NAME", hidden=True, help="For jobs.")(store(command))


def threads_option() -> Decorator:
    """Add ``--threads auto|N``."""
    text = "Threads that compute on the CPU: a number, or auto for the fastest beside what else runs."
    how: dict[str, Any] = {"default": "auto", "show_default": True, "metavar": "N", "help": text}
    return option(MACHINE, "--threads", callback=_number_or_auto, **how)


def out_option() -> Decorator:
    """Add ``--out DIR``."""
    folder = click.Path(path_type=Path, file_okay=False)
    text = "Folder of all runs."
    return option(
        OUTPUT, "--out", type=folder, default=Path("submissions"), show_default=True, metavar="DIR", help=text
    )


def name_option(text: str, default: str = "") -> Decorator:
    """Add ``--name TEXT``, which ends the name of a run's folder."""
    return option(OUTPUT, "--name", default=default, show_default=bool(default), metavar="TEXT", help=text)


def json_option(text: str = "Print the result as JSON; everything else goes to stderr.") -> Decorator:
    """Add ``--json``."""
    return option(OUTPUT, "--json", "as_json", is_flag=True, help=text)


def message_option(text: str) -> Decorator:
    """Add ``--message TEXT``, the description of a submission."""
    return option(KAGGLE, "-m", "--message", default="", metavar="TEXT", help=text)


def submit_option(text: str) -> Decorator:
    """Add ``--submit``."""
    return option(KAGGLE, "--submit", is_flag=True, help=text)


def yes_option(text: str) -> Decorator:
    """Add ``--yes``."""
    return option(KAGGLE, "--yes", is_flag=True, help=text)


def accelerator_option(text: str) -> Decorator:
    """Add ``--accelerator NAME``, of Kaggle's machines."""
    return option(JOBS, "--accelerator", default="", metavar="NAME", help=text)


def yes_licence_option(text: str) -> Decorator:
    """Add ``--yes-licence``."""
    return option(JOBS, "--yes-licence", is_flag=True, help=text)


def timeout_option(without: str) -> Decorator:
    """Add ``--timeout S``: how long to go on `without` something."""
    text = f"Give up after this many seconds without {without}."
    at_least = click.FloatRange(min=1)
    return option(KAGGLE, "--timeout", type=at_least, default=300.0, show_default=True, metavar="S", help=text)


_RECIPE_OPTIONS = (
    click.argument("competition", required=False, default=""),
    option(
        DATA,
        "--limit",
        type=click.IntRange(1),
        metavar="N",
        help="Use at most N labelled and N test images, stratified.",
    ),
    option(
        DATA,
        "--group-duplicates",
        is_flag=True,
        help="Keep near-duplicates together: in train or in valid, and in one fold.",
    ),
    preset_option("auto, features, quick, standard, best, zoo or lesson."),
    option(RECIPE, "--arch", metavar="NAME", help="timm model; short for --set arch=NAME."),
    option(
        RECIPE, "--zoo", type=click.IntRange(1), metavar="N", help="Train and pool the first N of several networks."
    ),
    option(RECIPE, "--size", type=click.IntRange(8), metavar="PX", help="Largest image size; scales the others."),
    option(RECIPE, "--epochs", type=click.IntRange(1), metavar="N", help="One cycle of N epochs in the last stage."),
    option(RECIPE, "--stages", default="", metavar="A-B", help="Run only these stages: 3, 2-3 or 3-."),
    settings_option(),
    option(RECIPE, "--seed", type=click.IntRange(0), metavar="N", help="Seed of the split and of all randomness."),
    option(RECIPE, "--from", "from_run", default="", metavar="RUN", help="Start from RUN's recipe and weights."),
    further_plugins_option(),
    disable_option(),
    device_option(),
    threads_option(),
    option(FOLDS, "--folds", type=click.IntRange(2), metavar="K", help="K-fold cross-validation."),
    out_option(),
)


def recipe_options(command: Function) -> Function:
    """Add the competition and the options that choose and change its recipe."""
    for decorate in reversed(_RECIPE_OPTIONS):
        command = decorate(command)
    return command


def _workers(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    if text is None or text == "auto":
        return 0 if text else None
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is not a number of at least 1, nor auto", context, parameter)
    return int(text)


_JOB_OPTIONS = (
    option(JOBS, "--on", default="", metavar="NAME", help="Where to train: local (processes), ray or kaggle."),
    option(
        JOBS,
        "-n",
        "--workers",
        callback=_workers,
        metavar="N",
        help="Trainings side by side, or auto: one per GPU; on CPUs one.",
    ),
    option(
        JOBS,
        "--gpus",
        type=click.IntRange(0),
        metavar="N",
        help="GPUs that share each training, one process each; with --device cpu, processes that do. Default 1; "
        "resume: as before.",
    ),
    option(
        JOBS,
        "--retries",
        type=click.IntRange(0),
        default=2,
        show_default=True,
        metavar="N",
        help="How often a training is resumed whose process or machine was lost.",
    ),
    option(JOBS, "--maxfail", type=click.IntRange(1), metavar="N", help="Start no more trainings after N have failed."),
    option(JOBS, "-x", "first_failure", is_flag=True, help="Short for --maxfail 1."),
    accelerator_option("On Kaggle: NvidiaTeslaT4 (default), or none."),
    option(
        JOBS, "--hours", type=click.FloatRange(0.25, 12), metavar="H", help="On Kaggle: limit of a session; default 9."
    ),
    yes_licence_option("On Kaggle: upload weights even if their licence may forbid sharing them."),
)


def job_options(command: Function) -> Function:
    """Add the options that say how several trainings are run."""
    for decorate in reversed(_JOB_OPTIONS):
        command = decorate(command)
    return command


def chosen_jobs(options: dict[str, Any]) -> JobOptions:
    """Take the options of `job_options` out of `options`."""
    from kagglekit.types.executor import JobOptions

    names = ("on", "workers", "gpus", "retries", "maxfail", "accelerator", "hours", "yes_licence")
    given = {key: options.pop(key) for key in names}
    first, workers = options.pop("first_failure"), given.pop("workers")
    on = given.pop("on") or ("local" if workers == 0 else "")
    return JobOptions(on, workers or None, **{**given, "maxfail": 1 if first else given["maxfail"]})


def shorthand_settings(options: dict[str, Any]) -> tuple[str, ...]:
    """Turn ``--arch``, ``--limit``, ``--seed``, ``--folds`` into settings that precede those of ``--set``."""
    given = {key: options.pop(key) for key in ("arch", "limit", "seed", "folds")}
    short = [f"{key}={value}" for key, value in given.items() if value is not None]
    short += ["group_duplicates=true"] if options.pop("group_duplicates") else []
    return (*short, *options.pop("settings"))
