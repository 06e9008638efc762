"""The finished run that a recipe's targets come from: found and checked before anything is downloaded or trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kagglekit.runs.loaded import LoadedRun
from kagglekit.runs.lookup import find_run
from kagglekit.system.errors import UsageError, UserError
from kagglekit.types.predictions import difference

if TYPE_CHECKING:
    from kagglekit.planning.plan import Plan
    from kagglekit.planning.request import Request
    from kagglekit.types.competition import Competition
    from kagglekit.types.recipe import Recipe


def with_teacher(recipe: Recipe, request: Request, name: str, competition: Competition) -> Recipe:
    """Return the recipe with the path of its teacher in place of what the user typed.

    Raises:
        UsageError: Targets and teacher are not both given.
        UserError: There is no such run, it is not finished, or it is of another competition or kind of target.
    """
    if (recipe.targets == "labels") != (not recipe.teacher):
        missing = "a teacher: --set teacher=RUN" if recipe.teacher == "" else "targets: --set targets=distil"
        given = f"targets={recipe.targets}" if recipe.teacher == "" else f"teacher={recipe.teacher}"
        raise UsageError(f"{given} needs {missing}", "or leave out both: targets=labels, and teacher empty")
    if not recipe.teacher:
        return recipe
    teacher = LoadedRun.read(find_run(recipe.teacher, request.out, name))
    folder, info = teacher.run.folder, teacher.info
    if info.fold:
        raise UserError(f"{folder} is one fold of a run", f"its teacher is the whole run: {folder.parent}")
    if info.status != "finished":
        raise UserError(
            f"the teacher {folder} is not finished (status: {info.status})", f"finish it: kagglekit resume {folder}"
        )
    if info.competition != name:
        raise UserError(f"the teacher {folder} is a run of {info.competition}, not of {name}", "choose a run of it")
    if info.task != competition.task:
        raise UserError(f"the teacher {folder} predicts a {info.task} target, not {competition.task}", "train it again")
    return recipe.model_copy(update={"teacher": str(folder.absolute())})


def check_teacher(plan: Plan) -> None:
    """Refuse a teacher of other classes.

    Raises:
        UserError: Its classes differ from those of the data.
    """
    if not plan.recipe.teacher:
        return
    teacher = LoadedRun.read(find_run(plan.recipe.teacher))
    if teacher.info.classes != plan.classes:
        how = difference(teacher.info.classes, plan.classes) or "their order differs"
        raise UserError(
            f"the teacher {teacher.run.folder} was trained on other classes than those in {plan.data}: {how}",
            "choose a run of these data, or pass its data folder with --data DIR",
        )
