"""Competitions of a dozen tiny images with a plugin of their own, and commands on them, for tests of whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from kagglekit.cli import cli

TINY = (
    *("--arch", "test_resnet", "--set", "pretrained=false", "--size", "32", "--set", "tta=0", "--stages", "1"),
    *("--set", "stage.*.batch_size=8", "--preset", "quick", "--precision", "fp32", "--device", "cpu"),
    *("--set", "stage.1.solver=regression"),  # a stack of heads takes twice as long as all the rest of such a run
)
CALLS = {
    "folders": "labels_from_folders(data / 'train', test=data / 'test')",
    "csv": "labels_from_csv(data / 'labels.csv', images=data / 'train', suffix='.jpg', test=data / 'test')",
}
PLUGIN = """
from kagglekit import Competition, hookimpl, labels_from_csv, labels_from_folders, labels_from_list, labels_from_names

@hookimpl
def kagglekit_competition():
    return Competition(title="Tiny", slug="tiny", {facts})

@hookimpl
def kagglekit_labels(data):
    return {call}
"""


def draw(file: Path, kind: int) -> None:
    """Write an image of noise with the strong colour of its kind; the suffix says in which format."""
    file.parent.mkdir(parents=True, exist_ok=True)
    seed = [kind, *file.stem.encode(errors="surrogateescape")]
    pixels = np.random.default_rng(seed).integers(0, 60, (36, 40, 3)).astype(np.uint8)
    pixels[..., kind % 3] += 150
    pixels[: 5 * kind % 36 + 1] //= 2
    Image.fromarray(pixels).save(file)


def write_folders(
    data: Path, classes: Sequence[str] = ("ant", "bee"), n: int = 6, test: int = 4, suffix: str = ".jpg"
) -> Path:
    """Write train/CLASS/0.jpg, ... and test/0.jpg, ...; return the folder."""
    for kind, name in enumerate(classes):
        for number in range(n):
            draw(data / "train" / name / f"{name[:3]}{number}{suffix}", kind)
    for number in range(test):
        draw(data / "test" / f"{number}{suffix}", number % len(classes))
    return data


def write_table(
    data: Path, classes: Sequence[str] = ("ant", "bee"), n: int = 6, test: int = 4, suffix: str = ".jpg"
) -> Path:
    """Write labels.csv (id, label), train/im0_0.jpg, ... and test/t0.jpg, ...; return the folder."""
    rows = ["id,label"]
    for kind, name in enumerate(classes):
        for number in range(n):
            draw(data / "train" / f"im{kind}_{number}{suffix}", kind)
            rows.append(f"im{kind}_{number},{name}")
    for number in range(test):
        draw(data / "test" / f"t{number}{suffix}", number % len(classes))
    (data / "labels.csv").write_text("\n".join(rows) + "\n")
    return data


def write_plugin(folder: Path, kind: str = "folders", facts: str = "metric='log_loss'", call: str = "") -> str:
    """Write tiny.py for one of the two layouts, or with another call that returns the labels; return its path."""
    (folder / "tiny.py").write_text(PLUGIN.format(facts=facts, call=call or CALLS[kind]))
    return str(folder / "tiny.py")


def ask(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def csv_lines(out: Path) -> list[str]:
    """Return the lines of the newest run's submission.csv; none if there is none."""
    files = sorted(out.glob("*/*/submission.csv"))
    return files[-1].read_text(encoding="utf-8").splitlines() if files else []
