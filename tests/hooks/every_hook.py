"""A competition that answers every hook, each so that the output of a run shows whether the answer was used."""

from __future__ import annotations

import os

import numpy as np

from kagglekit import (
    Augmentation,
    Competition,
    DataConfig,
    Decision,
    Ensemble,
    Metric,
    Provides,
    Recipe,
    Schedule,
    Score,
    Stage,
    View,
    hookimpl,
)

COLOURS = {"amber": (255, 191, 0), "blue": (0, 0, 255), "crimson": (220, 20, 60)}
SIDE = 16


@hookimpl
def kagglekit_provides():
    return Provides(
        views=["corner"],
        augment=["talking"],
        plain=["corner"],
        schedule=["five-steps"],
        optimizer=["talking"],
        loss=["plus-seven"],
        ensemble=["first-only"],
        metric=["percent"],
        task=["one-colour"],
        decision=["as-is"],
        options={"greeting": "hello"},
    )


@hookimpl
def kagglekit_competition():
    return Competition(title="Every Hook Cup", metric="percent", task="one-colour")


@hookimpl
def kagglekit_download(competition, folder):
    """Draw pictures in a format of our own: only the top left corner has the class's colour."""
    place = folder / "drawn"
    place.mkdir(parents=True)
    for i in range(48):
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[: SIDE // 4, : SIDE // 4] = list(COLOURS.values())[i % 3]
        (place / f"{i}.ownformat").write_bytes(picture.tobytes())
    return place


@hookimpl
def kagglekit_labels(data):
    import pandas as pd

    names = list(COLOURS)
    rows = [
        {
            "id": f"image-{i}",
            "path": data / f"{i}.ownformat",
            "label": names[i % 3] if i < 36 else None,
            "split": "train" if i < 36 else "test",
        }
        for i in range(48)
    ]
    return pd.DataFrame(rows)


@hookimpl
def kagglekit_task(name):
    from kagglekit import SingleLabel

    class OneColour(SingleLabel):
        kind = "one-colour"

        def describe(self):
            return f"{len(self.columns)} colours"

    return OneColour if name == "one-colour" else None


@hookimpl
def kagglekit_recipe(preset):
    stage = Stage(
        name="own-stage",
        size=8,
        batch_size=9,
        lr=0.5,
        schedule="five-steps",
        optimizer="talking",
        views="corner",
        augment="talking(word=paint)",
        plain="corner",
        snapshots=True,
    )
    return Recipe(
        arch="mean-colour",
        stages=(stage,),
        groups=2,
        tta=1,
        loss="plus-seven",
        ensemble="first-only",
        decision="as-is",
        options={"greeting": "good evening"},
    )


@hookimpl
def kagglekit_read_image(path, size):
    if path.suffix != ".ownformat":
        return None
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(SIDE, SIDE, 3)


@hookimpl
def kagglekit_views(recipe, stage, mode, data_config):
    """Look at the top left corner only."""
    corner = np.array([[0.25, 0, -0.75], [0, 0.25, -0.75]], np.float32)
    return View(maps=lambda keys, aspects, turn: np.tile(corner, (len(keys), 1, 1)))


@hookimpl
def kagglekit_augment(name, settings):
    def pixels(images, keys, pass_number):
        print(f"{settings['word']}: {tuple(images.shape)} in epoch {pass_number}")
        return images

    return Augmentation(pixels=pixels)


@hookimpl
def kagglekit_check_model(recipe):
    print(f"checked {recipe.arch}")
    return True


@hookimpl
def kagglekit_model(recipe, n_classes):
    import torch
    from torch import nn

    class MeanColour(nn.Module):
        data_config = DataConfig((0.5,) * 3, (0.5,) * 3, licence="every-licence", weights="every-weights")

        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 3)
            self.head = nn.Linear(3, n_classes)
            nn.init.eye_(self.body.weight)

        def forward(self, x):
            return self.head(self.body(x.mean((2, 3))))

    torch.manual_seed(0)
    print(f"greeting: {recipe.options['greeting']}")
    return MeanColour()


@hookimpl
def kagglekit_layer_groups(model, recipe):
    return [["body.weight", "body.bias"], ["head.weight", "head.bias"]]


@hookimpl
def kagglekit_optimizer(model, groups, stage):
    import torch

    class Talking(torch.optim.SGD):
        def step(self, closure=None):
            print(f"optimizer step at lr {self.param_groups[0]['lr']:.3f} for {len(groups)} groups")
            return super().step(closure)

    return Talking(model.parameters(), lr=stage.lr, momentum=0.9)


@hookimpl
def kagglekit_loss(recipe):
    from torch.nn.functional import cross_entropy

    bad = float("nan") if os.environ.get("EVERY_HOOK_FAILS") else 7.0
    return lambda logits, targets: cross_entropy(logits, targets) + bad


@hookimpl
def kagglekit_metric(competition):
    if competition.metric != "percent":
        return None
    return Metric("percent", lambda truth, table: Score(100 * float((table.argmax(1) == truth).mean()), 0.5), True)


@hookimpl
def kagglekit_schedule(stage, steps_per_epoch):
    rates = np.array([0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.5, 0.25, 0.125])
    return Schedule(rates, np.full(9, 0.9), (3, 6, 9))


@hookimpl
def kagglekit_ensemble(members, labels, groups, recipe):
    first = members[0]
    print(f"ensemble: the first of {len(members)} members, {len(labels)} labels")
    return Ensemble(first.valid, first.test, {"taken": first.name})


@hookimpl
def kagglekit_decision(recipe, competition, task):
    if recipe.decision != "as-is":
        return None
    return Decision(
        "as-is", apply=lambda found, values: values, fit=lambda truth, values, score: {"score": score(truth, values)}
    )


@hookimpl
def kagglekit_submission(competition, predictions, sample):
    import pandas as pd

    return pd.DataFrame({"picture": predictions.index, "colour": predictions.idxmax(axis=1).to_numpy()})


@hookimpl
def kagglekit_run_start(run, recipe):
    print(f"watch: run of {recipe.arch} starts in {run.folder.parent.name}")


@hookimpl
def kagglekit_stage_start(run, stage):
    print(f"watch: {stage.name} starts")


@hookimpl
def kagglekit_epoch_end(run, stage, row):
    print(f"watch: epoch {row['epoch']} of {stage.name} ended at step {row['step']}")


@hookimpl
def kagglekit_stage_end(run, stage):
    print(f"watch: {stage.name} ended with {len(list((run.folder / 'snapshots').iterdir()))} snapshots")


@hookimpl
def kagglekit_run_end(run, scores):
    print(f"watch: run ended with {scores['valid_percent'].value:.0f} percent")


@hookimpl
def kagglekit_run_failed(run, error):
    print(f"watch: run failed with {type(error).__name__}")
