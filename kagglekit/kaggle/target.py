"""Find the competition and the run or file that the user wants to submit, and check the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.location import existing_data
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import competition_names, load, load_for
from kagglekit.hooks.trust import UntrustedPlugin
from kagglekit.kaggle.ledger import record_of_file
from kagglekit.kaggle.submit import Package
from kagglekit.runs.folder import Run
from kagglekit.runs.info import RunInfo
from kagglekit.runs.lookup import all_runs, find_run
from kagglekit.system.display.console import Display
from kagglekit.system.errors import UsageError, UserError
from kagglekit.types.metric import title_of

if TYPE_CHECKING:
    from kagglekit.data.sample import Wanted


SUFFIXES = (".csv", ".zip", ".gz")  # of the files that Kaggle accepts and that can be checked here


@dataclass(frozen=True)
class Target:
    """A file and its competition.

    Attributes:
        plugin: The competition's name, or its plugin file.
        title: The competition's title.
        slug: Its name on Kaggle; None if it is not there.
        file: The CSV.
        run: The run that wrote the file; None if no run did.
        info: The run's run.json; without facts if no run wrote the file.
        sample: The sample submission that was asked for; None for the run's, or to look for one.
    """

    plugin: str
    title: str
    slug: str | None
    file: Path
    run: Run | None
    info: RunInfo = field(default_factory=RunInfo)
    sample: Path | None = None


def find_target(what: Sequence[str], out: Path) -> Target:
    """Resolve ``[COMPETITION] [RUN | FILE.csv]``.

    Args:
        what: At most two words.
        out: Folder of all runs.

    Raises:
        UsageError: A file without its competition.
        UserError: There is no such run, or it has no submission.
    """
    if not what:
        return latest_finished(out, None)
    first, rest = what[0], what[1:]
    if not is_competition(first):
        if rest:
            load(first)  # raises: unknown competition
        if _is_foreign_file(first):
            raise UsageError(f"no competition given for {first}", f"kagglekit submit COMPETITION {first}")
        return _named_target(first, out, None)
    if not rest:
        return _with_slug(first, latest_finished(out, first))
    if _is_foreign_file(rest[0]):
        return _of_file(first, Path(rest[0]))
    return _with_slug(first, _named_target(rest[0], out, _short_name(first)))


def is_competition(word: str) -> bool:
    """Return whether a word names an installed competition, or is a plugin file."""
    return word in competition_names() or word.endswith(".py")


def latest_finished(out: Path, competition: str | None) -> Target:
    """Return the submission of the latest finished run that has one of all test images.

    Args:
        out: Folder of all runs.
        competition: Its competition; None for any that is on Kaggle.

    Raises:
        UserError: There is none.
    """
    for run in reversed(all_runs(out, _short_name(competition) if competition else None)):
        target = _whole_target(run)
        if target and (competition or target.slug):
            return target
    whose = competition or "a Kaggle competition"
    raise UserError(
        f"no finished run of {whose} with a submission in {out.resolve()}",
        f"start one: kagglekit run {competition or 'COMPETITION'}, or name the folder of your runs: --out DIR",
    )


def _whole_target(run: Run) -> Target | None:
    """Return a run's submission if the run is readable and finished, and has predicted all test images."""
    try:
        target = target_of(run)
        return target if target.info.status == "finished" and not run.recipe().limit else None
    except UserError:
        return None


def check_target(target: Target, data: Path | None, message: str, display: Display) -> Package:
    """Check the file against sample_submission.csv; return it ready to submit.

    Args:
        target: The file and its competition.
        data: The folder with the sample; None for the run's data folder, or the competition's usual place.
        message: The description; empty for the run's name and valid score.
        display: Shows the result.

    Raises:
        UserError: Kaggle would refuse the file, or there is no sample.
    """
    from kagglekit.data.sample import find_sample
    from kagglekit.data.submission import check_file
    from kagglekit.tasks.built_in import loaded_task

    folder = data or _data_of(target)
    sample = find_sample(folder, *_wanted(target)) if folder else None
    if sample is None:
        raise UserError(
            f"no sample_submission.csv to check {target.file} against{f' in {folder}' if folder else ''}",
            f"pass the data folder with --data DIR, or download it: kagglekit download {target.plugin}",
        )
    task = loaded_task(target.info.task, target.info.classes, target.info.task_state) if target.run else None
    rows = check_file(target.file, sample.rows, sample.file.name, task is not None and task.may_be_blank)
    display.report(f"{target.file}: {rows:,} rows, checked against {sample.file.name}")
    slug = target.slug or ""
    record = target.run or record_of_file(slug, target.file)
    return Package(slug, target.file, message or _describe(target), record)


def _wanted(target: Target) -> tuple[Wanted | None, Path | None]:
    """Return what the sample submission must be about, by the file and its run, and the one that was named."""
    from kagglekit.data.csv_file import read_csv
    from kagglekit.data.sample import Wanted

    hint = "save it as a CSV file like the sample submission"
    rows, info = read_csv(target.file, hint), target.info
    images = [frozenset({image}) for image in rows.iloc[:, 0]] if len(rows.columns) else []
    classes = frozenset(info.classes)
    columns = frozenset(map(str, rows.columns[1:]))
    return Wanted(images, classes, columns, itself=target.file), target.sample or info.sample_file


def target_of(run: Run) -> Target:
    """Return a run's submission.

    Raises:
        UserError: It has none.
    """
    info = run.info()
    if not run.submission.exists():
        raise UserError(
            f"{run.folder} has no submission.csv; its status is {info.status or 'unknown'}",
            f"resume it: kagglekit resume {run.folder}",
        )
    return Target(info.plugin, info.title, info.slug, run.submission, run, info)


def _with_slug(competition: str, target: Target) -> Target:
    """Return a run's submission; if its plugin had no slug then, use the plugin's current one."""
    if target.slug:
        return target
    facts = Hooks(load(competition)).competition()
    return replace(target, title=facts.title, slug=facts.slug)


def _of_file(competition: str, file: Path) -> Target:
    if not file.is_file():
        raise UserError(f"there is no file {file}", "check its path")
    if file.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot submit {file}: Kaggle accepts {', '.join(SUFFIXES)}", "save it as a CSV file")
    facts = Hooks(load(competition)).competition()
    return Target(competition, facts.title, facts.slug, file, None)


def _is_foreign_file(word: str) -> bool:
    """Return whether a word names a file other than a run's own submission; a missing one is known by its suffix."""
    path = Path(word)
    return (path.is_file() or path.suffix.lower() in SUFFIXES) and not path.is_dir() and not _is_own(path)


def _is_own(file: Path) -> bool:
    """Return whether a file is the submission of the run in its folder."""
    run = Run(file.parent)
    return run.recipe_file.exists() and file.name == run.submission.name


def _named_target(word: str, out: Path, competition: str | None) -> Target:
    path = Path(word)
    run = Run(path.parent) if _is_own(path) else find_run(word, out, competition)
    target = target_of(run)
    if competition and target.slug and (own := target.info.competition) != competition:
        raise UserError(
            f"{run.folder} is a run of {own}, not {competition}", f"submit it: kagglekit submit {own} {run.name}"
        )
    return target


def _short_name(competition: str) -> str:
    """Return the name of a competition's folder of runs."""
    return load(competition).competition


def _data_of(target: Target) -> Path | None:
    """Return the run's own data folder if it still exists, else the competition's usual place.

    None where the plugin file of a run may not be imported, since only the plugin knows that place.
    """
    if target.run and (own := target.info.data_folder):
        return own
    try:
        plugins = load_for(target.info) if target.run else load(target.plugin)
    except UntrustedPlugin:
        return None
    return existing_data(Hooks(plugins).competition(), plugins.competition)


def _describe(target: Target) -> str:
    if target.run is None:
        return target.file.name
    info = target.info
    valid = info.ensemble_scores.get(f"valid_{info.metric}")
    return f"{target.run.name}, {title_of(f'valid_{info.metric}')} {valid.value:.4f}" if valid else target.run.name
