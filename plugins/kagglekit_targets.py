"""The built-in targets: distillation, pseudo-labels, and weights of doubtful labels, all by a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit import NotForTask, Provides, Recipe, UsageError, UserError, hookimpl

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kagglekit import Targets, Task, Teacher

OPTIONS: dict[str, Any] = {
    "distil_share": 0.5,
    "distil_temperature": 2.0,
    "distil_trained": True,
    "pseudo_confidence": 0.9,
    "pseudo_soft": True,
    "noise_weight": 0.0,
}


@hookimpl
def kagglekit_provides() -> Provides:
    """Return the names of the targets, and their options."""
    return Provides(targets=("distil", "pseudo", "weights"), options=OPTIONS)


@hookimpl
def kagglekit_targets(recipe: Recipe, task: Task, labels: pd.Series, teacher: Teacher) -> Targets | None:
    """Return the targets of this name."""
    options = {**OPTIONS, **recipe.options}
    if recipe.targets == "distil":
        return distilled(options, task, len(labels), teacher)
    if recipe.targets == "pseudo":
        return pseudo_labelled(options, task, teacher)
    return weighted(options, task, labels, teacher) if recipe.targets == "weights" else None


def distilled(options: dict[str, Any], task: Task, n: int, teacher: Teacher) -> Targets:
    """Return the teacher's predictions of the training images.

    Hinton, Vinyals and Dean 2015, arXiv:1503.02531. Where models did not train on an image, their predictions are
    taken. The others were trained to repeat its label, which a temperature above 1 makes up for.
    """
    import pandas as pd
    import torch

    from kagglekit import Targets

    share = _within("distil_share", options, 0, 1)
    temperature = _within("distil_temperature", options, 0.1, 100)
    task.soft_targets(torch.from_numpy(task.placeholder(1)), temperature)  # refuses a temperature of numbers
    tables = [teacher.held_out] + ([teacher.of_trained()] if options["distil_trained"] else [])
    soft = pd.concat([table for table in tables if len(table)] or tables[:1])
    if not len(soft):
        raise UserError(
            f"{teacher.name} predicted no training image that it was not trained on",
            "set options.distil_trained=true, or use a teacher with folds",
        )
    text = (
        f"{len(soft):,} of {n:,} training images learn from {teacher.name} (share {share:g}, temperature "
        f"{temperature:g}); it did not train on {len(teacher.held_out):,} of them"
    )
    return Targets(text, soft=soft, share=share, temperature=temperature)


def pseudo_labelled(options: dict[str, Any], task: Task, teacher: Teacher) -> Targets:
    """Return the test images that the teacher is confident about.

    Pseudo-labels: Lee 2013, "Pseudo-Label", ICML workshop on challenges in representation learning. Soft ones: Xie et
    al. 2020, arXiv:1911.04252, section 2.
    """
    from kagglekit import Targets

    least = _within("pseudo_confidence", options, 0, 1)
    sure = confidence(task, teacher.test.to_numpy()) >= least
    if not sure.any():
        raise UserError(
            f"{teacher.name} predicts none of {len(sure):,} test images with a confidence of {least:g}",
            "set a lower options.pseudo_confidence",
        )
    kind = "soft" if options["pseudo_soft"] else "hard"
    text = f"{sure.sum():,} of {len(sure):,} test images join with {kind} pseudo-labels from {teacher.name}"
    return Targets(text, added=teacher.test[sure], added_soft=bool(options["pseudo_soft"]))


def confidence(task: Task, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N,) the probability of each image's most probable class, or of its least certain label's value.

    Raises:
        NotForTask: Predictions are no probabilities.
    """
    from kagglekit import MultiLabel, SingleLabel

    if isinstance(task, SingleLabel):
        return np.asarray(values.max(axis=1))
    if isinstance(task, MultiLabel):
        return np.asarray(np.maximum(values, 1 - values).min(axis=1))
    what = f"targets=pseudo chooses images by their probabilities, which a {task.kind} target lacks"
    raise NotForTask(what, "use targets=distil")


def weighted(options: dict[str, Any], task: Task, labels: pd.Series, teacher: Teacher) -> Targets:
    """Return lower weights for training images whose label is probably wrong, see `label_errors`.

    With weight 0 they are left out, as in confident learning (Northcutt et al. 2021, arXiv:1911.00068, section 3.2).

    Raises:
        UserError: No model of the teacher is unbiased on training images.
    """
    import pandas as pd

    from kagglekit import SingleLabel, Targets, label_errors

    if not isinstance(task, SingleLabel):
        raise NotForTask(f"targets=weights compares one class an image, not a {task.kind} target", "use --drop FILE")
    weight = _within("noise_weight", options, 0, 1)
    judged = teacher.held_out
    if not len(judged):
        raise UserError(
            f"every model of {teacher.name} that saw no valid image was trained on all training images: it repeats "
            "their labels",
            "train a teacher with --folds 5 --drop RUN/valid.csv, where RUN holds out the same images, or use --full",
        )
    truth = task.encode(labels.loc[judged.index].tolist())
    wrong = judged.index[label_errors(truth, judged.to_numpy())]
    what = "left out" if weight == 0 else f"given a weight of {weight:g}"
    text = (
        f"{len(wrong):,} of {len(judged):,} training images that {teacher.name} confidently predicts otherwise {what}"
    )
    return Targets(text, weights=pd.Series(weight, index=wrong, dtype="float64"))


def _within(name: str, options: dict[str, Any], low: float, high: float) -> float:
    value = float(options[name])
    if not low <= value <= high:
        raise UsageError(f"options.{name}={value:g} is not within {low:g} and {high:g}")
    return value
