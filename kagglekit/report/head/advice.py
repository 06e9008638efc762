"""What to try next, a line each with its reason, from what the run has shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagglekit.report import panels
from kagglekit.report.label_errors import knows
from kagglekit.report.panels import Judged
from kagglekit.report.worsened import shorten
from kagglekit.tasks.single_label import SingleLabel
from kagglekit.types.metric import TITLES, greater_is_better

if TYPE_CHECKING:
    from kagglekit.report.predicted import Predicted
    from kagglekit.report.trainings import StageEnd
    from kagglekit.report.worsened import Worsened
    from kagglekit.runs.info import RunInfo
    from kagglekit.runs.loaded import LoadedRun

MOST = 5
FEW_RIGHT = 0.5  # recall of a class that is worth a look, if all classes together are better
FEW_IMAGES = 5  # of a class: its recall says little


@dataclass(frozen=True)
class Advice:
    """Something to try, and why."""

    do: str
    why: str


def advice(
    loaded: LoadedRun, ends: Sequence[StageEnd], worse: Worsened | None, seen: Predicted | None, n_suspects: int
) -> list[Advice]:
    """Return at most `MOST` pieces of advice, those about training first.

    Args:
        loaded: The run.
        ends: The ends of its stages.
        worse: How its last stage ended worse than an earlier epoch; None if it did not.
        seen: Its final valid predictions; None without any.
        n_suspects: Rows of label-errors.csv.
    """
    found = [
        _of_end(worse) or _of_training(ends, seen),
        _of_views(loaded.info),
        _of_labels(n_suspects, seen),
        _of_classes(seen),
    ]
    found.append(_of_folds(loaded))
    return [each for each in found if each][:MOST]


def _of_end(worse: Worsened | None) -> Advice | None:
    return Advice(_sentence(worse.remedy), _sentence(worse.what)) if worse else None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _of_training(ends: Sequence[StageEnd], seen: Predicted | None) -> Advice | None:
    judged = [end for end in ends if end.verdict in ("over-fitting", "under-fitting", "fitting")]
    if not judged:
        return None
    last = judged[-1]
    name, train, valid = last.stage.name, float(last.last["train_loss"]), float(last.last["valid_loss"])
    if last.verdict == "over-fitting":
        return Advice(
            _sentence(shorten(last.number, last.stage)),
            f"Its valid loss rose to {valid:.3f} at the end while the training loss kept falling, to {train:.3f}.",
        )
    if last.verdict == "under-fitting":
        return Advice(
            "Train longer: --epochs N.",
            f"In stage {name} the valid loss, {valid:.3f}, still fell in the last epoch, below the training loss of "
            f"{train:.3f}.",
        )
    if seen is not None and len(seen.ids) and not knows(seen):
        return Advice(
            "Train longer (--epochs N), or at another learning rate: kagglekit lr-find suggests one.",
            "The valid predictions are not clearly better than the shares of the classes alone.",
        )
    return Advice(
        "Try a larger network (--arch) or larger images (--size).",
        f"Stage {name} has settled: training loss {train:.3f}, valid loss {valid:.3f}.",
    )


def _of_views(info: RunInfo) -> Advice | None:
    """Return advice against augmented views if the ensemble without them is better."""
    key, better = f"valid_{info.metric}", greater_is_better(info.metric)
    rows = [row for row in info.scores if row.get("member") == "ensemble" and isinstance(row.get(key), tuple)]
    if len(rows) != 2 or better is None:
        return None
    plain, both = (float(row[key][0]) for row in rows)
    if (plain > both) != better or plain == both:
        return None
    title = TITLES.get(info.metric, info.metric)
    return Advice(
        "Predict without augmented views: --set tta=0.",
        f"On the valid images {title} is {plain:.4f} without them and {both:.4f} with them.",
    )


def _of_labels(n_suspects: int, seen: Predicted | None) -> Advice | None:
    if not n_suspects or seen is None:
        return None
    labels = "label" if n_suspects == 1 else f"{n_suspects} labels"
    look = f"Look at the {labels} in label-errors.csv"
    if seen.out_of_fold:
        why = "The images are confidently predicted otherwise than labelled."
        return Advice(f"{look}; leave wrong ones out of training with --drop FILE.", why)
    return Advice(
        f"{look}, and correct wrong ones.",
        "These valid images are confidently predicted otherwise than labelled. Correcting labels changes the scores, "
        "not the training: --folds 5 finds errors among all labelled images, which --drop can leave out of training.",
    )


def _of_classes(seen: Predicted | None) -> Advice | None:
    if seen is None or not isinstance(seen.task, SingleLabel) or not len(seen.ids) or not knows(seen):
        return None
    judged = Judged(seen.ids, seen.task.columns, seen.truth, seen.values)
    overall, worst = float(judged.correct.mean()), panels.class_scores(judged)[0]
    if worst.n < FEW_IMAGES or worst.recall >= FEW_RIGHT or overall <= worst.recall or worst.mistaken_for is None:
        return None
    names = judged.classes
    return Advice(
        f"Look at the images of {names[worst.number]}, and add some if you can.",
        f"Of its {worst.n} valid images {worst.recall:.0%} are right, of all {overall:.0%}; it is most often predicted "
        f"as {names[worst.mistaken_for]}.",
    )


def _of_folds(loaded: LoadedRun) -> Advice | None:
    info, score = loaded.info, loaded.info.ensemble_scores.get(f"valid_{loaded.info.metric}")
    n = info.images.get("valid", 0)
    if score is None or not n or info.folds or info.blend_of or loaded.recipe.folds:
        return None
    known = f"so the score is only known to ± {score.error:.4f}" if score.error else "which says little"
    why = f"One split has {n:,} valid images, {known}; five folds score all labelled images, and average five networks."
    return Advice("Train folds: --folds 5.", why)
