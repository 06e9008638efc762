"""A fresh environment that stands for Kaggle's image, and a machine with it that runs pushed kernels.

It has the distributions below, with what they need, and nothing else: not kagglekit, timm, pluggy or rich. They are
links to those of the tests, so that none is copied; whatever a kernel installs lands in an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from kaggle_kernels import Kernels, Outcome, Version
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IMAGE = ("torch", "torchvision", "pandas", "scikit-learn", "scipy", "opencv-python-headless", "pillow", "safetensors")
IMAGE += ("pydantic", "huggingface-hub", "requests", "matplotlib", "jinja2", "pip")


def make_image(place: Path, roots: Sequence[str] = IMAGE) -> Path:
    """Make the environment in a folder; return its Python."""
    links = place / "image"
    links.mkdir(parents=True)
    for name in closure(roots):
        found = distribution(name)
        for top in {each.parts[0] for each in found.files or [] if each.parts[0] not in ("..", "__pycache__")}:
            if not (links / top).exists() and not top.endswith(".pth"):
                (links / top).symlink_to(Path(str(found.locate_file(top))))
    venv.create(place / "env", with_pip=False, symlinks=True)
    (site,) = (place / "env").glob("lib/python*/site-packages")
    (site / "image.pth").write_text(f"{links}\n")
    return place / "env" / "bin" / "python"


def closure(roots: Sequence[str]) -> set[str]:
    """Return the names of installed distributions and of all that they need."""
    found: set[tuple[str, str]] = set()
    left = [(root, "") for root in roots]
    while left:
        name, extra = left.pop()
        if (key := (canonicalize_name(name), extra)) in found:
            continue
        try:
            needed = [Requirement(line) for line in distribution(name).requires or []]
        except PackageNotFoundError:  # of another platform
            continue
        found.add(key)
        for each in needed:
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                left += [(each.name, wanted) for wanted in ("", *each.extras)]
    return {name for name, _ in found}


@dataclass
class Machine:
    """Runs the versions of kernels with that environment, and what is attached, without a network.

    Attributes:
        python: Of the environment.
        place: Where it works.
        kernels: Has the datasets.
        competitions: The folders of data by slug.
        logs: What each version printed.
    """

    python: Path
    place: Path
    kernels: Kernels
    competitions: dict[str, Path]
    logs: list[str] = field(default_factory=list)

    def run(self, version: Version) -> Outcome:
        room = self.place / f"session-{len(self.logs) + 1}"
        working, attached = room / "working", room / "input"
        working.mkdir(parents=True)
        for ref in version.asked.get("datasetDataSources", []):
            dataset = self.kernels.datasets[ref.partition("/")[2]]
            (attached / dataset.slug).mkdir(parents=True)
            for name, content in dataset.files.items():
                (attached / dataset.slug / name).write_bytes(content)
        (attached / "competitions").mkdir()
        for slug in version.asked.get("competitionDataSources", []):
            (attached / "competitions" / slug).symlink_to(self.competitions[slug])
        (room / "script.py").write_text(version.text)
        nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
        own = {"HOME": str(working), "PATH": os.environ["PATH"], "KAGGLEKIT_INPUT": str(attached)}
        done = subprocess.run(
            [self.python, room / "script.py"],
            cwd=working,
            env={**own, **nowhere, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.logs.append(done.stdout)
        files = {path.relative_to(working).as_posix(): path.read_bytes() for path in written(working)}
        return Outcome(files, done.stdout.splitlines(), f"exit code {done.returncode}" if done.returncode else "")


def written(working: Path) -> list[Path]:
    """Return the files that a kernel leaves, without those of its home folder."""
    return [path for path in sorted(working.rglob("*")) if path.is_file() and ".cache" not in path.parts]
