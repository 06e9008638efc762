"""Makes docs/pictures from runs of kagglekit on data that it draws: ``python docs/_pictures.py [NAME ...]``.

It needs Chromium, no network and no data, and takes a few minutes. Each group is run in an empty folder. Names of
groups, such as ``demo``, make those pictures alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from _shots import plot, screenshot, sections, terminal

PICTURES = Path(__file__).parent / "pictures"
DEMO = "kagglekit run shapes"
FIRST, EPOCHS = 14, 2  # lines of the demo's output that are shown: at its beginning, and of its last epochs
HIDDEN = ("valid mean per class accuracy", "test mean per class accuracy")  # columns of the output
MOST_BYTES, MOST_OF_ALL = 100_000, 700_000
CELL = "<!doctype html><meta charset='utf-8'><body style='font:14px system-ui,sans-serif;margin:16px'>{}</body>"


def main(names: Sequence[str]) -> None:
    """Make the pictures of the groups named, or all of them."""
    for name in names or GROUPS:
        with tempfile.TemporaryDirectory() as folder:
            GROUPS[name](Path(folder))
    size = sum(file.stat().st_size for file in PICTURES.iterdir())
    if size > MOST_OF_ALL:
        raise ValueError(f"the pictures have {size:,} bytes: at most {MOST_OF_ALL:,}")


def demo(folder: Path) -> None:
    """Show the demo's output and report; its run in a notebook; and what can be done after it."""
    output = run(folder, DEMO)
    write("terminal.svg", terminal(DEMO, excerpt(without_columns(output.splitlines())), "demo"))
    report = only(folder, "submissions/shapes/*/report.html")
    shown = ["", "scores", "curves", "panel1"]
    write("report.png", sections(report, shown, width=1120, parts=["Loss"], texts=False, cards=4))
    write("where-it-looks.png", sections(report, ["where-it-looks"], width=900, cards=3))
    cell(folder, "notebook.png", f"kagglekit.Run.of({str(report.parent)!r})", 960)
    images = [f"data/shapes/images/shape-{number}.png" for number in (1007, 1033)]
    cell(folder, "predictions.png", f"kagglekit.predict('latest', {images}, top=3)", 960)
    run(folder, f"{DEMO} --limit 400 --name fewer")
    run(folder, "kagglekit history --html")
    write("history.png", screenshot(folder / "submissions" / "history.html", width=1280))
    first, second = sorted(path.parent for path in folder.glob("submissions/shapes/*/report.html"))
    run(folder, f"kagglekit report {first} {second}")
    page = folder / "submissions" / "comparison.html"
    write("comparison.png", sections(page, ["scores", "settings", "curves"], width=1000, parts=["Loss", "Valid loss"]))


def views(folder: Path) -> None:
    """Show an image as each stage sees it."""
    run(folder, "kagglekit look shapes --set 'stage.4.augment=trivial-augment+random-erasing(p=0.25)'")
    write("views.png", plot(folder / "pictures" / "shapes" / "views.png"))


def leaves(folder: Path) -> None:
    """Show the leaves of the tutorial."""
    code = "from kagglekit_shapes.leaves import draw_leaves; draw_leaves('data/leaves')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    run(folder, "kagglekit look ./data/leaves/")
    write("leaves.png", plot(only(folder, "pictures/*/samples.png")))


def folds(folder: Path) -> None:
    """Show the losses of three folds."""
    run(folder, f"{DEMO} --folds 3 --limit 600")
    page = only(folder, "submissions/shapes/*/report.html")
    write("folds.png", sections(page, ["curves"], width=1000, parts=["Loss"], texts=False))


def rates(folder: Path) -> None:
    """Show the range test of a stage."""
    run(folder, "kagglekit lr-find shapes --stage 3")
    write("lr-find.png", plot(only(folder, "pictures/shapes/lr-find-*-loss.png")))


def schedule(folder: Path) -> None:
    """Show the learning rate of the page's own schedule, step by step."""
    file = folder / "kagglekit_warm_restarts.py"
    file.write_text(python_of("how-to/schedule.md")[0], encoding="utf-8")
    own = (
        f"--plugin ./{file.name} --set stage.4.schedule=warm-restarts --set stage.4.cycles=3 --set stage.3.cycle_len=8"
    )
    run(folder, f"{DEMO} {own} --limit 600 --set tta=0")
    page = only(folder, "submissions/shapes/*/report.html")
    write("schedule.png", sections(page, ["curves"], width=1000, parts=["Learning rate"], texts=False))


def decisions(folder: Path) -> None:
    """Show the metric against each threshold, for more of the page's leaves, whose spots are less clear."""
    more = {
        "range(48)": "range(720)",
        "< 36": "< 600",
        ">= 36": ">= 600",
        "+ 150 * has": "+ random.uniform(0, 60, 3) + 30 * has",
    }
    page = trained(folder, "how-to/several-labels.md", "spots", more)
    write("thresholds.png", sections(page, ["thresholds"], width=1000))


def numbers(folder: Path) -> None:
    """Show predicted and actual numbers, for more of the page's pastures."""
    page = trained(
        folder, "how-to/numbers.md", "pasture", {"range(48)": "range(480)", "< 36": "< 400", ">= 36": ">= 400"}
    )
    write("numbers.png", sections(page, ["predicted-and-actual"], width=1000))


def mistakes(folder: Path) -> None:
    """Show the likely label errors of the demo's images after some training labels were changed to the next class."""
    run(folder, "kagglekit look shapes --no-pictures")  # draws them
    file = folder / "data" / "shapes" / "train.txt"
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    kinds = sorted({kind for _, kind in lines})
    for line in lines[::25]:
        line[1] = kinds[(kinds.index(line[1]) + 1) % len(kinds)]
    file.write_text("".join(f"{' '.join(line)}\n" for line in lines), encoding="utf-8")
    run(folder, DEMO)
    page = only(folder, "submissions/shapes/*/report.html")
    write("label-errors.png", sections(page, ["Likely label errors"], width=1000, cards=6))


def grades(folder: Path) -> None:
    """Show samples of each grade, for the page's eyes."""
    script, plugin = python_of("how-to/grades.md")[:2]
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    (folder / "eyes.py").write_text(plugin, encoding="utf-8")
    run(folder, "kagglekit look ./eyes.py --data data/eyes")
    write("grades.png", plot(only(folder, "pictures/*/samples.png")))


GROUPS: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (demo, views, leaves, folds, rates, schedule, decisions, numbers, mistakes, grades)
}


def python_of(page: str) -> list[str]:
    """Return the blocks of Python of a page."""
    text = (Path(__file__).parent / page).read_text(encoding="utf-8")
    return re.findall(r"^```python[^\n]*\n(.*?)^```$", text, re.M | re.S)


def trained(folder: Path, page: str, name: str, changed: dict[str, str]) -> Path:
    """Draw a page's data, with changes of its script, and run all stages of its plugin; return the report."""
    script, plugin = python_of(page)[:2]
    for old, new in changed.items():
        script = script.replace(old, new)
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    (folder / f"{name}.py").write_text(plugin, encoding="utf-8")
    run(folder, f"kagglekit run ./{name}.py --data data/{name} --set 'stage.*.batch_size=32' --precision fp32")
    return only(folder, f"submissions/{name}/*/report.html")


def run(folder: Path, command: str) -> str:
    """Run a command in a folder; return what it prints."""
    words = command.replace("kagglekit", f"{sys.executable} -m kagglekit", 1)
    environment = {**os.environ, "KAGGLEKIT_CACHE": str(folder / "cache")}
    done = subprocess.run(words, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.replace(f"{folder}/", "")


def cell(folder: Path, name: str, code: str, width: int) -> None:
    """Make a picture of a value as a notebook shows it."""
    page = folder / "cell.html"
    environment = {**os.environ, "KAGGLEKIT_CACHE": str(folder / "cache")}
    script = f"import kagglekit; print(({code})._repr_html_())"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    page.write_text(CELL.format(done.stdout), encoding="utf-8")
    write(name, screenshot(page, width=width))


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a pattern."""
    (file,) = folder.glob(pattern)
    return file


def excerpt(lines: list[str]) -> list[str]:
    """Return the beginning, the last epochs, and all from the scores to the report.

    The last line is left out: its time is that of a machine that does other things, too.
    """
    epochs = [line for line in lines if " epoch " in line][-EPOCHS:]
    scores = next(i for i, line in enumerate(lines) if line.startswith("member "))
    return [*lines[:FIRST], "...", *epochs, "...", *lines[scores:-1]]


def without_columns(lines: list[str]) -> list[str]:
    """Return the output without the hidden columns of its table of scores, the last one in it."""
    header = next(i for i, line in enumerate(lines) if line.startswith("member "))
    end = next(i for i in range(header, len(lines)) if "±" not in lines[i] and i > header)
    for title in reversed(HIDDEN):
        start = lines[header].index(title)
        after = lines[header][start + len(title) :]
        stop = len(lines[header]) - len(after.lstrip()) if after.strip() else None
        for i in range(header, end):
            lines[i] = (lines[i][:start] + (lines[i][stop:] if stop else "")).rstrip()
    return lines


def write(name: str, content: bytes) -> None:
    """Write a picture.

    Raises:
        ValueError: It is too large for the repository.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"{name} has {len(content):,} bytes: at most {MOST_BYTES:,}")
    (PICTURES / name).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
