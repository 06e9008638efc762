"""Describe a sweep: its table, the best recipe, and how much of its gain was luck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kagglekit.runs.sweep_folder import Sweep, SweepInfo, Trial
from kagglekit.system.display.console import Display
from kagglekit.types.metric import TITLES


def describe_sweep(sweep: Sweep, info: SweepInfo, display: Display) -> None:
    """Print trials, best first, what mattered, the best recipe and the verdict on its gain."""
    display.table(("trial", "state", _title(info), "settings"), list(_rows(info)))
    if info.importance:
        ranked = sorted(info.importance.items(), key=lambda pair: -pair[1])
        display.report("importance: " + ", ".join(f"{key} {share:.0%}" for key, share in ranked))
    for line in _verdict(info):
        display.report(line)
    if (best := info.best) is not None:
        display.report(
            f"best: trial {best}: " + " ".join(f"--set {_quoted(text)}" for text in info.trials[best].settings)
        )
        display.report(f"use it by name: kagglekit run {info.competition} --preset {sweep.name}")


def _title(info: SweepInfo) -> str:
    return f"valid {TITLES.get(info.metric, info.metric)}"


def _rows(info: SweepInfo) -> Iterator[tuple[str, ...]]:
    sign = -1 if info.greater_is_better else 1
    order = sorted(info.trials, key=lambda n: (info.trials[n].score is None, sign * (info.trials[n].score or 0), n))
    for number in order:
        trial = info.trials[number]
        yield str(number), trial.state, _score(trial), " ".join(trial.settings)
    if info.base:
        yield "none", info.base.state, _score(info.base), "(the unchanged recipe)"


def _score(trial: Trial) -> str:
    if trial.score is None:
        return ""
    return f"{trial.score:.4f}" + (f" ± {trial.error:.4f}" if trial.error else "")


def _verdict(info: SweepInfo) -> Iterator[str]:
    """Yield what the best trial gained in the search, and on other folds, where it was not chosen."""
    best = None if info.best is None else info.trials[info.best]
    gained = info.gain(best, info.base)
    if gained is None:
        return
    if gained <= 0:
        yield "no trial is better than the unchanged recipe"
        return
    yield f"the best of {len(info.trials)} trials is {gained:.4f} better than the unchanged recipe, in the search"
    again = info.gain(info.fresh.get("best"), info.fresh.get("base"))
    if again is None:
        yield "a gain in the search is optimistic: the best of many is partly the luckiest"
        return
    scores = " against ".join(_score(info.fresh[which]) for which in ("best", "base"))
    luck = 1 - again / gained
    if luck <= 0:
        yield f"on other folds, with another seed, it is {again:.4f} better ({scores}): none of the gain was luck"
    elif luck >= 1:
        yield f"on other folds, with another seed, it is not better ({scores}): the gain was luck"
    else:
        yield f"on other folds, with another seed, it is {again:.4f} better ({scores}): {luck:.0%} of the gain was luck"


def _quoted(text: str) -> str:
    return f"'{text}'" if any(letter in text for letter in '*()[]{};&|<> "$') else text


def draw_sweep(sweep: Sweep, info: SweepInfo) -> Path | None:
    """Plot scores by trial, and by the value of each key; return the file, or None if nothing has finished."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    scored = {number: trial for number, trial in sorted(info.trials.items()) if trial.score is not None}
    if not scored:
        return None
    keys = [parameter.key for parameter in info.space]
    with mpl.rc_context({"svg.hashsalt": "kagglekit"}):
        figure = Figure(figsize=(3.2 * (1 + len(keys)), 3), layout="constrained")
        first, *others = figure.subplots(1, 1 + len(keys), sharey=True, squeeze=False)[0]
        scores = [trial.score for trial in scored.values()]
        first.plot(list(scored), scores, "o")
        first.set_xlabel("trial")
        first.set_ylabel(_title(info))
        if info.base and info.base.score is not None:
            first.axhline(info.base.score, color="grey", linestyle=":", label="unchanged recipe")
            first.legend()
        for axes, parameter in zip(others, info.space, strict=True):
            values = [trial.values[parameter.key] for trial in scored.values()]
            axes.plot([str(value) for value in values] if parameter.choices else values, scores, "o")
            axes.set_xlabel(parameter.key)
            if parameter.log:
                axes.set_xscale("log")
        figure.savefig(sweep.plots, dpi=110, metadata={"Software": None})
    return sweep.plots
