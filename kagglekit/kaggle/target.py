"""What the user means to submit: which competition, which run or file; and whether the file is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.data.location import existing_data
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import competition_names, load
from kagglekit.kaggle.ledger import record_of_file
from kagglekit.kaggle.submit import Sending
from kagglekit.runs.folder import Run
from kagglekit.runs.lookup import find_run
from kagglekit.system.console import Display
from kagglekit.system.errors import UsageError, UserError

if TYPE_CHECKING:
    from kagglekit.data.sample import Wanted


@dataclass(frozen=True)
class Target:
    """A file and where it goes.

    Attributes:
        plugin: The competition's name, or its plugin file.
        title: As people know it.
        slug: On Kaggle; None if it is not there.
        file: The CSV.
        run: The run that wrote it; None for a file from elsewhere.
    """

    plugin: str
    title: str
    slug: str | None
    file: Path
    run: Run | None


def find_target(what: Sequence[str], out: Path) -> Target:
    """Find what ``[COMPETITION] [RUN | FILE.csv]`` means.

    Args:
        what: At most two words.
        out: Folder of all runs.

    Raises:
        UsageError: A file without its competition.
        UserError: There is no such run, or it has nothing to submit.
    """
    if not what:
        return target_of(latest_finished(out, None))
    first, rest = what[0], what[1:]
    if not is_competition(first):
        if rest:
            load(first)  # says what is unknown
        if _is_foreign_file(first):
            raise UsageError(f"{first} does not say where it goes", f"kagglekit submit COMPETITION {first}")
        return target_of(_named_run(first, out, None))
    if not rest:
        return _of_run(first, latest_finished(out, first))
    if _is_foreign_file(rest[0]):
        return _of_file(first, Path(rest[0]))
    return _of_run(first, _named_run(rest[0], out, _short_name(first)))


def is_competition(word: str) -> bool:
    """Whether a word names an installed competition, or is a plugin file."""
    return word in competition_names() or word.endswith(".py")


def latest_finished(out: Path, competition: str | None) -> Run:
    """Return the latest finished run with a submission of all test images.

    Args:
        out: Folder of all runs.
        competition: Whose; None for any that is on Kaggle.

    Raises:
        UserError: There is none.
    """
    name = _short_name(competition) if competition else "*"
    folders = sorted(out.glob(f"{name}/*/run.json"), key=lambda file: file.parent.name, reverse=True)
    for run in (Run(file.parent) for file in folders):
        if _is_whole(run) and (competition or run.info().get("slug")):
            return run
    whose = competition or "a Kaggle competition"
    raise UserError(
        f"there is no finished run of {whose} with a submission in {out.resolve()}",
        f"kagglekit run {competition or 'COMPETITION'}; runs elsewhere: --out DIR",
    )


def _is_whole(run: Run) -> bool:
    """Whether a run is finished, with a submission of all test images; one whose folder can't be read is not."""
    try:
        return run.info().get("status") == "finished" and run.submission.exists() and not run.recipe().limit
    except (UserError, ValueError):
        return False


def checked(target: Target, data: Path | None, message: str, display: Display) -> Sending:
    """Check the file against sample_submission.csv.

    Args:
        target: What is to be submitted.
        data: Where the sample is; None for the run's data folder, or the competition's usual place.
        message: For the description; empty for the run's name and valid score.
        display: Shows what was found.

    Raises:
        UserError: Kaggle would refuse the file, or there is nothing to check it against.
    """
    from kagglekit.data.sample import find_sample
    from kagglekit.data.submission import check_file

    folder = data or _data_of(target)
    sample = find_sample(folder, *_wanted(target)) if folder else None
    if sample is None:
        raise UserError(
            f"there is no sample_submission.csv to check {target.file} against{f' in {folder}' if folder else ''}",
            f"name the data folder with --data DIR, or fetch it: kagglekit download {target.plugin}",
        )
    rows = check_file(target.file, sample.rows, sample.file.name)
    display.report(f"{target.file}: {rows:,} rows, checked against {sample.file.name}")
    slug = target.slug or ""
    record = target.run or record_of_file(slug, target.file)
    return Sending(slug, target.file, message or _describe(target), record)


def _wanted(target: Target) -> tuple[Wanted | None, Path | None]:
    """Return what the sample submission must be about, by the file and its run, and the one that the run named."""
    from kagglekit.data.csv_file import read_csv
    from kagglekit.data.sample import Wanted

    rows, info = read_csv(target.file), target.run.info() if target.run else {}
    asked = info.get("request", {}).get("sample")
    images = [frozenset({image}) for image in rows.iloc[:, 0]] if len(rows.columns) else []
    classes = frozenset(info.get("classes", ()))
    columns = frozenset(map(str, rows.columns[1:]))
    return Wanted(images, classes, columns, itself=target.file), Path(asked) if asked else None


def target_of(run: Run) -> Target:
    """Return a run's submission.

    Raises:
        UserError: It has none.
    """
    info = run.info()
    if not run.submission.exists():
        raise UserError(
            f"{run.folder} has no submission.csv",
            f"its status is {info.get('status', 'unknown')}; to go on with it: kagglekit resume {run.folder}",
        )
    return Target(info["plugin"], info["title"], info["slug"], run.submission, run)


def _of_run(competition: str, run: Run) -> Target:
    """Return a run's submission; where its plugin had no slug yet, it goes where the plugin says now."""
    target = target_of(run)
    if target.slug:
        return target
    facts = Hooks(load(competition)).competition()
    return replace(target, title=facts.title, slug=facts.slug)


def _of_file(competition: str, file: Path) -> Target:
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    facts = Hooks(load(competition)).competition()
    return Target(competition, facts.title, facts.slug, file, None)


def _is_foreign_file(word: str) -> bool:
    """Whether a word is a CSV that is no run's own."""
    path = Path(word)
    return path.suffix == ".csv" and not _is_own(path)


def _is_own(file: Path) -> bool:
    """Whether a file is the submission of the run in whose folder it lies."""
    run = Run(file.parent)
    return run.recipe_file.exists() and file.name == run.submission.name


def _named_run(word: str, out: Path, competition: str | None) -> Run:
    path = Path(word)
    run = Run(path.parent) if path.suffix == ".csv" else find_run(word, out, competition)
    if competition and run.info().get("competition") != competition:
        raise UserError(f"{run.folder} is a run of {run.info().get('competition')}, not of {competition}")
    return run


def _short_name(competition: str) -> str:
    """Return the name of a competition's folder of runs."""
    return load(competition).competition


def _data_of(target: Target) -> Path | None:
    """Return the run's own data folder where it still exists, else the competition's usual place."""
    if target.run and Path(own := target.run.info().get("data", "")).is_dir() and own:
        return Path(own)
    plugins = load(target.plugin)
    return existing_data(Hooks(plugins).competition(), plugins.competition)


def _describe(target: Target) -> str:
    if target.run is None:
        return target.file.name
    scores = target.run.info().get("scores") or [{}]
    metric = target.run.info().get("metric")
    valid = scores[-1].get(f"valid_{metric}")
    return f"{target.run.name}, valid {metric} {valid[0]:.4f}" if valid else target.run.name
