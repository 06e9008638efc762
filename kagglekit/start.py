"""Which kind of run a request asks for: one training, folds, all images, or repeats."""

from __future__ import annotations

from kagglekit.fold_runs import run_folds
from kagglekit.full import describe_full, full_plan, full_request
from kagglekit.plan import Plan, Request, make_plan
from kagglekit.progress import Display
from kagglekit.repeats import record_spread, repeated
from kagglekit.run_folder import Run
from kagglekit.runner import run_plan


def start(request: Request, display: Display) -> Run:
    """Carry out a request: plan, train, predict, combine, write and check the submission.

    Returns:
        The finished run; of repeats the last one.

    Raises:
        UserError: Something the user can mend.
    """
    if request.full:
        plan = full_plan(request if request.recipe else full_request(request), display.warn)
        assert plan.fitted_on is not None
        display.say(describe_full(plan, plan.fitted_on))
        return run_plan(plan, display)
    plan = make_plan(request, display.warn)
    if request.repeats < 2:
        return _run(plan, display)
    runs = [_run(again, display) for again in repeated(plan)]
    record_spread(plan, runs, display)
    return runs[-1]


def _run(plan: Plan, display: Display) -> Run:
    return run_folds(plan, display) if plan.recipe.folds else run_plan(plan, display)
