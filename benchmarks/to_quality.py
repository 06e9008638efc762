"""Seconds until a log loss that fastai, timm and scikit-learn reach, from image files to test predictions.

    python benchmarks/to_quality.py pets=DIR dog-breed=DIR --weights FILE --out OUT

All get mobilenetv2_100 with the same weights, and the same images: the competition's test images if their labels are
known, else a fifth of the labelled ones; of the others a sixth is for validation. The peers, each as documented:

- fastai presizes on the CPU, augments at 128 px, calls fine_tune(3, 2e-3), and predicts with its TTA.
- timm trains one epoch of the head and three of all layers at 128 px, with the parts of its training script, and
  predicts plain and under four training views.
- scikit-learn fits a logistic regression to pooled features at 160 px, by cross-validation, of the image and its mirror
  image, on all labelled images.

kagglekit runs each of its presets from the files to the checked CSV, with an empty image cache and no remembered
probe. For each peer the table names the fastest one whose log loss is not above the peer's. Imports do not count. Every
run has a process of its own. OUT/to_quality.json keeps what has finished: repeated, the command goes on with the rest.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from network import network, weights_file
from real import VALID, classes, drawn_by_class, link
from timing import Report, clock, elsewhere, fresh_cache, options
from versus import Scores, run_of_ours, scored

from kagglekit.data.splits import split_off
from kagglekit.data.table import check_table
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load

warnings.filterwarnings("ignore", module="torch|fastai|fastprogress|plum|sklearn")

PEERS = {"fastai, with TTA": "fastai", "timm's recipe": "timm", "regression on features": "regression"}
OURS: dict[str, dict[str, object]] = {  # name, and settings beside the preset of the name's first word
    "features": {},
    "features, one size": {"stage.1.stack_sizes": "[224]", "tta": 0},
    "features, regression at 160 px": {"stage.1.solver": "regression", "stage.1.size": 160, "stage.1.own_size": False},
    "auto": {},
}
EPOCHS, SIZE, REGRESSION_SIZE = 3, 128, 160
PLUGIN = '''"""Images linked for a benchmark, with the recipes of {module}."""

from {module} import kagglekit_recipe  # noqa: F401

from kagglekit import Competition, hookimpl, labels_from_folders


@hookimpl
def kagglekit_competition():
    return Competition(title="{module}", metric="log_loss", known_test_labels=True)


@hookimpl
def kagglekit_labels(data):
    return labels_from_folders(data / "train", valid=data / "valid", test=data / "test")
'''


def main() -> None:
    """Run what has not been run, and print the table."""
    parser = options(__doc__, without=("model", "size", "runs", "work", "json"))
    parser.add_argument("data", nargs="+", metavar="COMPETITION=DIR")
    parser.add_argument("--only", nargs="*", default=(), help="first words of contenders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--one", help="COMPETITION=DIR and contender as JSON: measured in this process")
    asked = parser.parse_args()
    asked.model, asked.size, asked.epochs, asked.runs = "mobilenetv2_100", SIZE, EPOCHS, 1
    asked.work, asked.json = asked.out, None
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.one:
        print(json.dumps(measured(asked, *json.loads(asked.one))))
        return
    file = asked.out / "to_quality.json"
    done: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    for given in asked.data:
        for who in (*PEERS.values(), *OURS):
            key = f"{given.partition('=')[0]}: {who}"
            if key not in done and (not asked.only or who.split(",")[0] in asked.only):
                done[key] = elsewhere("--one", json.dumps([given, who]))
                file.write_text(json.dumps(done, indent=1))
                print(f"{key}: {done[key]}", flush=True)
    report = Report("to_quality", asked, rows(done, [given.partition("=")[0] for given in asked.data]))
    report.notes.append("seconds without imports, one run each; log loss and accuracy of the same test images")
    report.finish()


def rows(done: dict[str, dict[str, Any]], names: list[str]) -> list[dict[str, Any]]:
    """Return a line for each competition and peer: the fastest of our presets that is as good."""
    lines = []
    for name in names:
        ours = {who: done[f"{name}: {who}"] for who in OURS if f"{name}: {who}" in done}
        for title, who in PEERS.items():
            peer = done.get(f"{name}: {who}")
            if not peer:
                continue
            good = {each: found for each, found in ours.items() if found["log_loss"] <= peer["log_loss"]}
            line = {"competition": name, "peer": title, **cells(peer)}
            if good:
                best = min(good, key=lambda each: good[each]["seconds"])
                line |= {
                    "kagglekit": best,
                    **cells(good[best], "our "),
                    "sooner": peer["seconds"] / good[best]["seconds"],
                }
            lines.append(line)
    return lines


def cells(found: dict[str, float], whose: str = "") -> dict[str, str]:
    """Return a contender's cells."""
    names = ("log_loss", "accuracy", "seconds")
    texts = (f"{found['log_loss']:.4f}", f"{found['accuracy']:.4f}", f"{found['seconds']:.1f}")
    return {f"{whose}{name.replace('_', ' ')}": text for name, text in zip(names, texts, strict=True)}


def measured(asked: argparse.Namespace, given: str, who: str) -> dict[str, float]:
    """Time a contender in this process."""
    name, data = prepared(asked, given)
    work: Callable[[], Scores]
    if who in OURS:
        work = ours(asked, name, data, who)
    else:
        work = {"fastai": fastai, "timm": timm, "regression": regression}[who](asked, data)
    with clock() as taken:
        scores = work()
    return {"seconds": taken.wall, "cpu_seconds": taken.cpu, **vars(scores)}


def prepared(asked: argparse.Namespace, given: str) -> tuple[str, Path]:
    """Link the images by split and class, unless they are there; return the competition's name and their folder."""
    name, _, source = given.partition("=")
    place = asked.out.absolute() / "pictures" / f"{name}{'-tiny' if asked.tiny else ''}"
    if not (place / "complete").exists():
        hooks = Hooks(load(name))
        with fresh_cache(asked.out):  # archives are unpacked there
            link(
                drawn_by_class(hooks, Path(source).absolute(), 400) if asked.tiny else split(hooks, Path(source)), place
            )
        (place / "complete").touch()
    return name, place


def split(hooks: Hooks, source: Path) -> pd.DataFrame:
    """Return the table of all images with labels, split into train, valid and test."""
    table, _ = check_table(hooks.labels(source.absolute()), source.absolute())
    table = table[table["label"].notna()]
    if not hooks.competition().known_test_labels:
        table = split_off(table[table["split"] != "test"].assign(split="train"), "test", 1 / 5, 0)
    test, labelled = table[table["split"] == "test"], table[table["split"] != "test"].assign(split="train")
    return pd.concat([split_off(labelled.reset_index(drop=True), "valid", VALID / (4 / 5), 0), test])


def ours(asked: argparse.Namespace, name: str, data: Path, who: str) -> Callable[[], Scores]:
    """Return a run with one of our presets."""
    plugin = asked.out / f"{name.replace('-', '_')}_linked.py"
    plugin.write_text(PLUGIN.format(module=f"kagglekit_{name.replace('-', '_')}"))
    settings = {"arch": asked.model, "weights": str(weights_file(asked)), **OURS[who]}
    return lambda: run_of_ours(asked, str(plugin.absolute()), data, who.split(",")[0], settings, keep_formats=False)


def fastai(asked: argparse.Namespace, data: Path) -> Callable[[], Scores]:
    """Return fastai's documented recipe."""
    from vs_fastai import learner, loaders

    fv: Any = import_module("fastai.vision.all")
    network(asked, len(classes(data)))  # imports what both need

    def run() -> Scores:
        fv.set_seed(0)
        dls = loaders(asked, data, "presizing")
        learn = learner(asked, dls, "presizing", 0)
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(asked.epochs, 2e-3)
            files = fv.get_image_files(data / "test")
            chances, _ = learn.tta(dl=dls.test_dl(files))
        return scored(chances.numpy(), [dls.vocab.o2i[file.parent.name] for file in files])

    return run


def timm(asked: argparse.Namespace, data: Path) -> Callable[[], Scores]:
    """Return the recipe of timm's training script."""
    from vs_timm import timm_loop

    loop = timm_loop(asked, data, tuned=False)
    network(asked, len(classes(data)))
    return lambda: loop(0)


def regression(asked: argparse.Namespace, data: Path) -> Callable[[], Scores]:
    """Return scikit-learn's logistic regression on frozen features."""
    from features_baseline import best_strength, extract, fitted

    body = network(asked, len(classes(data))).body.eval()

    def run() -> Scores:
        names, parts = classes(data), {}
        for part, folders in (("labelled", ("train", "valid")), ("test", ("test",))):
            files = [file for folder in folders for file in sorted((data / folder).glob("*/*"))]
            plain, mirrored = extract(body, [str(file) for file in files], REGRESSION_SIZE)
            parts[part] = plain, mirrored, np.array([names.index(file.parent.name) for file in files])
        plain, mirrored, truth = parts["labelled"]
        head = fitted(best_strength(plain, truth), np.concatenate([plain, mirrored]), np.tile(truth, 2))
        plain, mirrored, truth = parts["test"]
        return scored((head.predict_proba(plain) + head.predict_proba(mirrored)) / 2, truth)

    return run


if __name__ == "__main__":
    main()
