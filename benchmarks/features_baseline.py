"""The baseline every recipe must beat: logistic regression on frozen pooled features, on a run's own split.

    python benchmarks/features_baseline.py RUN --data DIR --weights FILE

It shares nothing with kagglekit's training: Pillow reads the images, scikit-learn fits the regression (its
strength by cross-validation), the plain view and its mirror image are averaged. Only the split is the run's, so that
both have seen the same training images.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load
from kagglekit.runs.lookup import find_run
from kagglekit.types.predictions import load_predictions

STRENGTHS = np.logspace(-4.5, 1.5, 13)


def main() -> None:
    """Print the baseline's scores as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--size", type=int, default=160)
    options = parser.parse_args()
    run = find_run(options.run)
    info, recipe = run.info(), run.recipe()
    data = options.data.absolute()
    table, _ = check_table(Hooks(load(info.competition)).labels(data), data)
    valid_ids = set(load_predictions(run.predictions("ensemble", "valid")).index)
    labelled = table[table["split"] != "test"]
    held = labelled["id"].isin(valid_ids)
    parts = {"train": labelled[~held], "valid": labelled[held], "test": table[table["split"] == "test"]}
    started = time.perf_counter()
    model = timm.create_model(
        recipe.arch,
        pretrained=True,
        num_classes=0,
        pretrained_cfg_overlay={"file": options.weights} if options.weights else None,
    ).eval()
    features = {name: extract(model, part["path"], options.size) for name, part in parts.items() if len(part)}
    extracted = time.perf_counter()
    numbers = {name: number for number, name in enumerate(info.classes)}
    truth = {name: part["label"].map(numbers).to_numpy() for name, part in parts.items()}
    plain, mirrored = features["train"]
    strength = best_strength(plain, truth["train"].astype(int))
    head = fitted(strength, np.concatenate([plain, mirrored]), np.tile(truth["train"].astype(int), 2))
    result = {"strength": float(strength), "extract_s": extracted - started, "fit_s": time.perf_counter() - extracted}
    for name in ("valid", "test"):
        if name in features and not np.isnan(truth[name].astype(float)).any():
            result[name] = score(head, features[name], truth[name].astype(int))
    print(json.dumps(result, indent=1))


@torch.no_grad()
def extract(model: torch.nn.Module, paths: list[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pooled features (N, F) of the centre crop and of its mirror image."""
    config = timm.data.resolve_data_config({}, model=model)
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    plain, mirrored = [], []
    paths = list(paths)
    for start in range(0, len(paths), 64):
        batch = torch.from_numpy(np.stack([square(path, size) for path in paths[start : start + 64]]))
        images = (batch.permute(0, 3, 1, 2).float() / 255 - mean) / std
        plain.append(model(images).numpy())
        mirrored.append(model(images.flip(3)).numpy())
    return np.concatenate(plain), np.concatenate(mirrored)


def square(path: str, size: int) -> np.ndarray:
    """Read an image, reduce its short side to `size`, px, and cut out the centre."""
    image = Image.open(path).convert("RGB")
    scale = size / min(image.size)
    image = image.resize([max(size, round(side * scale)) for side in image.size], Image.Resampling.BILINEAR)
    left, top = ((side - size) // 2 for side in image.size)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def fitted(strength: float, features: np.ndarray, labels: np.ndarray):
    """Fit standardisation and regression."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300)).fit(features, labels)


def best_strength(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the C of the best cross-validated log loss, increasing it until the loss gets worse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with fewer images than folds
        folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(features, labels))
    losses: list[float] = []
    for strength in STRENGTHS:
        losses.append(float(np.mean([held_out_loss(strength, features, labels, *fold) for fold in folds])))
        if len(losses) > 1 and losses[-1] > losses[-2]:
            break
    return float(STRENGTHS[int(np.argmin(losses))])


def held_out_loss(strength, features, labels, train, held) -> float:
    """Return the log loss of one fold; a class that the fold never saw has probability 0, clipped."""
    head = fitted(strength, features[train], labels[train])
    table = np.zeros((len(held), labels.max() + 1))
    table[:, head.classes_] = head.predict_proba(features[held])
    return float(-np.log(np.clip(table[np.arange(len(held)), labels[held]], 1e-6, 1)).mean())


def score(head, features: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> dict[str, list[float]]:
    """Return log loss and accuracy with standard errors, of the mean over both views."""
    table = sum(head.predict_proba(each) for each in features) / 2
    losses = -np.log(np.clip(table[np.arange(len(labels)), labels], 1e-15, 1))
    right = table.argmax(1) == labels
    root = np.sqrt(len(labels))
    return {
        "log_loss": [float(losses.mean()), float(losses.std() / root)],
        "accuracy": [float(right.mean()), float(right.std() / root)],
    }


if __name__ == "__main__":
    main()
