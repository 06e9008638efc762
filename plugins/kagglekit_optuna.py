"""Samplers of a search over recipes, by Optuna: ``tpe`` and ``random``; its journal is in the sweep's folder."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from kagglekit import Provides, UserError, hookimpl

if TYPE_CHECKING:
    from kagglekit import Parameter, Sampler, Study

SAMPLERS = ("tpe", "random")
FIRST = 5  # trials at random before a model of the scores is used, and before a trial is compared with others


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the samplers' names."""
    return Provides(sampler=SAMPLERS)


@hookimpl
def kagglekit_sampler(name: str, study: Study) -> Sampler | None:
    """Return the sampler, in the state of the journal."""
    if name not in SAMPLERS:
        return None
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            f"a sweep needs the package optuna, which cannot be imported ({error})", "pip install 'kagglekit[sweep]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return OptunaSampler(name, study)


class OptunaSampler:
    """Asks and tells an Optuna study.

    Each trial is proposed with a seed of its own, so that a resumed search proposes what an undisturbed one would.

    Args:
        name: ``tpe`` (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization") or ``random``.
        study: What is varied, and where the journal is.
    """

    def __init__(self, name: str, study: Study) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend

        self._name, self._seed, self._space = name, study.seed, study.space
        self._study = optuna.create_study(
            storage=optuna.storages.JournalStorage(JournalFileBackend(study.file)),
            study_name="sweep",
            direction="maximize" if study.greater_is_better else "minimize",
            pruner=_pruner(study.pruner),
            load_if_exists=True,
        )
        self._reported: dict[int, int] = {}

    def ask(self) -> tuple[int, dict[str, float | int | str]]:
        """Return the next trial's number and values."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = _sampler(self._name, self._seed + number)
        trial = self._study.ask({each.key: _distribution(each) for each in self._space})
        return trial.number, dict(trial.params)

    def report(self, trial: int, step: int, score: float) -> bool:
        """Take the score after an epoch; return whether the trial should be stopped."""
        if step <= self._reported.get(trial, 0):
            return False
        self._reported[trial] = step
        own = self._trial(trial)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a step that was reported before a resumption
            own.report(score, step)
            return bool(own.should_prune())

    def tell(self, trial: int, score: float | None, pruned: bool = False) -> None:
        """Take a trial's result."""
        from optuna.trial import TrialState

        if score is not None:
            self._study.tell(trial, score)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)

    def running(self) -> dict[int, dict[str, float | int | str]]:
        """Return the trials that were asked for and never told."""
        from optuna.trial import TrialState

        trials = self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return {trial.number: dict(trial.params) for trial in trials}

    def importance(self) -> dict[str, float]:
        """Return each key's share of the variance of the scores (Hutter, Hoos and Leyton-Brown 2014, fANOVA)."""
        import optuna

        done = self._study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
        if len(done) < FIRST or len(self._space) < 2 or len({trial.value for trial in done}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {key: float(share) for key, share in found.items()}

    def _trial(self, number: int) -> Any:
        import optuna

        return optuna.Trial(self._study, self._study.get_trials(deepcopy=False)[number]._trial_id)


def _sampler(name: str, seed: int) -> Any:
    import optuna

    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST, multivariate=True, constant_liar=True)


def _pruner(name: str) -> Any:
    import optuna

    if name == "none":
        return optuna.pruners.NopPruner()
    if name == "asha":
        return optuna.pruners.SuccessiveHalvingPruner()
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=FIRST, n_warmup_steps=2)  # steps count from 1
    raise UserError(f"unknown pruner {name!r}", "choose from asha, median, none")


def _distribution(parameter: Parameter) -> Any:
    from optuna import distributions

    if parameter.kind == "choice":
        return distributions.CategoricalDistribution(parameter.choices)
    if parameter.kind == "int":
        return distributions.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
