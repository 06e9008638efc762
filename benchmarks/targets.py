"""Other targets on real images: pets as several labels, with labels missing, and the side of dogs' images as a number.

``python benchmarks/targets.py --pets DIR --dogs DIR --weights FILE --work DIR``. Each line is one run; runs that are
there are not run again. Errors are standard errors over images; differences are paired.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit import Run
from kagglekit.types.predictions import load_predictions

ARCH = "mobilenetv2_100"
MISSING = 0.1
PETS = '''
from pathlib import Path

import numpy as np
import pandas as pd
import kagglekit_pets
from kagglekit import Competition, hookimpl, image_keys

KIND, KEPT = "{kind}", {kept}


@hookimpl
def kagglekit_competition():
    facts = kagglekit_pets.kagglekit_competition()
    if KIND == "single-label":
        return facts.model_copy(update={{"metric": "log_loss"}})
    breeds = tuple(sorted(set(LABELS["label"])))
    return Competition(title=facts.title, url=facts.url, licence=facts.licence, known_test_labels=True,
                       task="multi-label", targets=(*breeds, "species=cat", "species=dog"), metric="log_loss")


@hookimpl
def kagglekit_labels(data: Path):
    table = read(data)
    if KIND == "single-label":
        return table[table["known"]].drop(columns="known")
    breeds = sorted(set(table["label"]))
    hot = pd.DataFrame({{name: (table["label"] == name).astype(float) for name in breeds}})
    hot.loc[~table["known"]] = np.nan
    cat = table["label"].str[0].str.isupper().astype(float)
    species = pd.DataFrame({{"species=cat": cat, "species=dog": 1 - cat}})
    return pd.concat([table.drop(columns=["label", "known"]), hot, species], axis=1)


def read(data):
    """The table of pets, and which of the labels are known: all of the test images, and a share of the others."""
    table = kagglekit_pets.kagglekit_labels(data)
    keys = image_keys([str(image) for image in table["id"]], "missing", 0).astype(float) / 2.0**64
    return table.assign(known=(table["split"] == "test") | (keys < KEPT)).reset_index(drop=True)


LABELS = read(Path("{data}"))


@hookimpl
def kagglekit_recipe(preset):
    return kagglekit_pets.kagglekit_recipe(preset)
'''
DOGS = """
from pathlib import Path

import kagglekit_dog_breed
from PIL import Image
from kagglekit import Competition, hookimpl


@hookimpl
def kagglekit_competition():
    return Competition(title="the longer side of dogs' images, px", task="regression", targets=("side",), metric="r2")


@hookimpl
def kagglekit_labels(data: Path):
    table = kagglekit_dog_breed.kagglekit_labels(data)
    table = table[table["split"] != "test"].reset_index(drop=True)
    sides = [float(max(Image.open(Path(data) / path).size)) for path in table["path"]]
    return table.drop(columns="label").assign(side=sides)


@hookimpl
def kagglekit_recipe(preset):
    return kagglekit_dog_breed.kagglekit_recipe(preset)
"""


def main() -> None:
    """Run what is missing; print the scores as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pets", type=Path)
    parser.add_argument("--dogs", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--size", type=int)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    if asked.pets:
        pets(asked)
    if asked.dogs:
        show_scores("side of dogs' images", run(asked, "dog-side", DOGS, asked.dogs))


def pets(asked: argparse.Namespace) -> None:
    """Compare breeds as one label and as several, with all labels and with some missing."""
    for kept in (1.0, 1 - MISSING):
        runs = {}
        for kind in ("single-label", "multi-label"):
            text = PETS.format(kind=kind, kept=kept, data=asked.pets.absolute())
            runs[kind] = run(asked, f"pets-{kind}-{kept:g}", text, asked.pets)
        right, nats = zip(*(breeds(each) for each in runs.values()), strict=True)
        for name, each, loss in zip(runs, right, nats, strict=True):
            print(f"pets, {kept:.0%} of the breeds known, {name}: accuracy {shown(each)}, log loss {shown(loss)}")
        print(f"  several labels less one: accuracy {shown(right[1] - right[0])}, log loss {shown(nats[1] - nats[0])}")


def run(asked: argparse.Namespace, name: str, plugin: str, data: Path) -> Run:
    """Return the finished run of a plugin, which is run if it is not there."""
    file, out = asked.work / f"{name.replace('-', '_').replace('.', '_')}.py", asked.work / f"{name}-{asked.preset}"
    file.write_text(plugin)
    if not (found := finished(out)):
        command = ["run", f"./{file.name}", "--data", data.absolute(), "--out", out.absolute(), "--arch", ARCH]
        command += ["--preset", asked.preset, "--set", f"weights={asked.weights.absolute()}"]
        command += ["--size", asked.size] if asked.size else []
        if data == asked.dogs:  # a centre crop does not show the side; the sample submission asks for breeds
            command += ["--set", "stage.*.plain=squash", "--no-submission"]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "kagglekit", *map(str, command)], check=True, cwd=asked.work)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        found = finished(out)
    return found[0]


def finished(out: Path) -> list[Run]:
    """Return the finished runs in a folder."""
    return [
        Run(file.parent)
        for file in sorted(out.glob("*/*/run.json"))
        if json.loads(file.read_text())["status"] == "finished"
    ]


def breeds(of: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each test image, whether its likeliest breed is right, and -log of its share of the breeds, nats."""
    table = load_predictions(of.predictions("ensemble", "test"))
    table = table[[name for name in table.columns if not name.startswith("species=")]].sort_index()
    truth = table.columns.get_indexer(pd.Index([name.rpartition("_")[0] for name in table.index]))
    values = table.to_numpy(np.float64)
    share = values[np.arange(len(truth)), truth] / values.sum(axis=1)
    return (values.argmax(axis=1) == truth).astype(float), -np.log(share.clip(1e-15))


def show_scores(title: str, of: Run) -> None:
    """Print the scores of a run's final predictions."""
    print(f"{title}: " + ", ".join(f"{key} {score}" for key, score in of.info().ensemble_scores.items()))


def shown(of_images: np.ndarray) -> str:
    """Return a mean with its standard error."""
    return f"{of_images.mean():.4f} ± {of_images.std() / np.sqrt(len(of_images)):.4f}"


if __name__ == "__main__":
    main()
