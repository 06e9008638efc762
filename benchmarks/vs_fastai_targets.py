"""Several labels, and a number, in fastai (MultiCategoryBlock, RegressionBlock) and in kagglekit, on drawn images.

    python benchmarks/vs_fastai_targets.py --model mobilenetv2_100 --weights FILE --runs 3

Both get the same network with the same weights, one epoch with a frozen body and `--epochs` of all layers in steps of
`--batch`, then predict the test images plain and under four augmented views. Each uses its own augmentation, rates and
loss for the kind. Scores are those of the test images, the mean over seeds with its standard deviation.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pictures
import torch
from network import network, settings
from numpy.typing import NDArray
from timing import Report, fresh_cache, interleaved, median_of, options
from versus import with_deviation, with_usual_allocator

from kagglekit import api
from kagglekit.system.display.console import for_people
from kagglekit.types.predictions import load_predictions

warnings.filterwarnings("ignore", module="torch|fastai|fastprogress|plum")

NAMES = tuple(f"kind{i}" for i in range(6))
SIZES = {"train": 320, "valid": 64, "test": 400}
SIDE = 160
PLUGIN = """
import pandas as pd
from kagglekit import Competition, Recipe, Stage, hookimpl

FROZEN = Stage(name="frozen", size=128, freeze_to=-1, lr=5e-3)
FULL = Stage(name="full", size=128, lr=1e-3, body_factor=3, snapshots=True)


@hookimpl
def kagglekit_competition():
    return Competition(title="Drawn targets", {facts})


@hookimpl
def kagglekit_labels(data):
    table = pd.read_csv(data / "images.csv", dtype={{"id": str}})
    table.loc[table["split"] == "test", {targets}] = None
    return table[["id", "path", "split", *{targets}]]


@hookimpl
def kagglekit_recipe(preset):
    return Recipe(arch="resnet18", stages=(FROZEN, FULL))
"""
FACTS = {
    "labels": f"task='multi-label', targets={NAMES}, metric='log_loss'",
    "number": "task='regression', targets=('area',), metric='rmse'",
}
Scores = dict[str, float]


def main() -> None:
    """Compare both on both kinds."""
    parser = options(__doc__)
    parser.add_argument("--epochs", type=int, default=3, help="of all layers, after one with a frozen body")
    asked = parser.parse_args()
    data = drawn(asked.work.absolute() / "targets", dict.fromkeys(SIZES, 32) if asked.tiny else SIZES)
    report = Report("vs_fastai_targets", asked)
    for kind in FACTS:
        contenders = {
            "fastai": with_usual_allocator(fastai(asked, data, kind)),
            "kagglekit": ours(asked, data, kind),
        }
        for who, runs in interleaved(contenders, asked.runs).items():
            cells = {"target": kind, "contender": who, "seconds": median_of(runs)}
            names = runs[0].answer
            report.rows.append(cells | {name: with_deviation([run.answer[name] for run in runs]) for name in names})
    report.finish()


def drawn(folder: Path, sizes: dict[str, int]) -> Path:
    """Draw the images, unless they are there, and images.csv with their targets; return the folder."""
    place = folder / "-".join(map(str, sizes.values()))
    if not (place / "images.csv").exists():
        rows = []
        for split, n in sizes.items():
            (place / split).mkdir(parents=True, exist_ok=True)
            for i in range(n):
                random = np.random.default_rng((len(rows), n))
                picture, targets = draw(random)
                name = f"{split}{i:04}"
                cv2.imwrite(str(place / split / f"{name}.jpg"), picture)
                rows.append({"id": name, "path": f"{split}/{name}.jpg", "split": split, **targets})
        table = pd.DataFrame(rows)
        table["area"] = (table["area"] - table["area"].mean()) / table["area"].std()  # the loss of each needs it
        table.to_csv(place / "images.csv", index=False)
    return place


def draw(random: np.random.Generator) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """Draw polygons of some of six colours on clutter; return the image, the colours and the share of their area."""
    picture = pictures._clutter(random, SIDE, SIDE)
    has = random.random(len(NAMES)) < 0.35
    covered = np.zeros((SIDE, SIDE), bool)
    for kind in np.flatnonzero(has):
        mask = pictures._shape(random, 3 + int(kind) % 4, SIDE, SIDE)
        picture[mask] = pictures._colour(
            30 * kind + random.normal(0, 4), random.uniform(120, 200), random.uniform(140, 255)
        )
        covered |= mask
    noisy = (picture + random.normal(0, 9, (SIDE, SIDE, 1))).clip(0, 255).astype(np.uint8)
    return noisy, {**dict(zip(NAMES, has.astype(int).tolist(), strict=True)), "area": float(covered.mean())}


def targets_of(kind: str) -> list[str]:
    """Return the columns of a kind."""
    return list(NAMES) if kind == "labels" else ["area"]


def ours(asked: argparse.Namespace, data: Path, kind: str) -> Callable[[int], Scores]:
    """Return kagglekit as a contender, with an empty store each time."""
    file = asked.work.absolute() / f"drawn_{kind}.py"
    file.write_text(PLUGIN.format(facts=FACTS[kind], targets=targets_of(kind)))

    def run(seed: int) -> Scores:
        with fresh_cache(asked.work, True) as place:
            done = api.run(
                str(file),
                data=data,
                settings=settings(asked, seed=seed, **{"stage.full.cycle_len": asked.epochs}),
                preset="quick",
                device=asked.device,
                out=place / "runs",
                display=for_people(json_output=True),
            )
            table = load_predictions(done.predictions("ensemble", "test"))
        return scores(kind, data, table)

    return run


def fastai(asked: argparse.Namespace, data: Path, kind: str) -> Callable[[int], Scores]:
    """Return fastai as a contender, with its own number of workers."""
    from fastai.vision import all as fv

    table = pd.read_csv(data / "images.csv", dtype={"id": str})
    columns = targets_of(kind)
    labelled, test = table[table["split"] != "test"], table[table["split"] == "test"]
    block = fv.MultiCategoryBlock(encoded=True, vocab=columns) if kind == "labels" else fv.RegressionBlock(n_out=1)

    def run(seed: int) -> Scores:
        fv.set_seed(seed)
        dls = fv.DataBlock(
            blocks=(fv.ImageBlock, block),
            get_x=lambda row: data / row["path"],
            get_y=lambda row: row[columns].to_numpy(dtype=np.float32) if kind == "labels" else float(row["area"]),
            splitter=lambda rows: tuple(np.flatnonzero(rows["split"] == s).tolist() for s in ("train", "valid")),
            batch_tfms=[*fv.aug_transforms(size=asked.size), fv.Normalize.from_stats(*fv.imagenet_stats)],
        ).dataloaders(labelled, bs=asked.batch, device=torch.device(asked.device))
        model = network(asked, len(columns), seed).to(asked.device)
        groups = lambda m: [fv.params(m.body), fv.params(m.head)]  # noqa: E731 (as fastai splits timm's networks)
        learn = fv.Learner(dls, model, splitter=groups, path=asked.work)
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(asked.epochs)
            found, _ = learn.tta(dl=dls.test_dl(test))
        return scores(kind, data, pd.DataFrame(found.numpy().reshape(len(test), -1), index=test["id"], columns=columns))

    return run


def scores(kind: str, data: Path, predictions: pd.DataFrame) -> Scores:
    """Score predictions of the test images."""
    from sklearn.metrics import r2_score, roc_auc_score

    table: Any = pd.read_csv(data / "images.csv", dtype={"id": str}).set_index("id").loc[predictions.index]
    truth, found = table[targets_of(kind)].to_numpy(float), predictions.to_numpy(float)
    if kind == "number":
        return {"RMSE": float(np.sqrt(((found - truth) ** 2).mean())), "R2": float(r2_score(truth, found))}
    right = np.where(truth == 1, found, 1 - found).clip(1e-7)
    return {"log loss": float(-np.log(right).mean()), "mean AUC": float(roc_auc_score(truth, found, average="macro"))}


if __name__ == "__main__":
    main()
