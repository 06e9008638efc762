"""A fresh environment that stands for Kaggle's image, and a machine that runs pushed kernels with it.

It has the distributions below, with what they need, and nothing else: not kagglekit, timm, pluggy or rich. They are
links to those of the tests, so that none is copied; whatever a kernel installs lands in an environment of its own.
Where that is not the point, a machine with the tests' own environment takes seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import forks
from kaggle_kernels import Kernels, Outcome, Version
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IMAGE = ("torch", "torchvision", "pandas", "scikit-learn", "scipy", "opencv-python-headless", "pillow", "safetensors")
IMAGE += ("pydantic", "huggingface-hub", "requests", "matplotlib", "jinja2", "pip")
NOTEBOOKS = ("ipykernel", "nbclient")  # in Kaggle's image, too, with packages that a kernel else brings along
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
try:
    nbclient.NotebookClient(notebook, timeout=None, kernel_name="python3").execute()
finally:
    print("".join(each.get("text", "") for each in notebook.cells[0].outputs))
"""


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
        launcher: What runs a script; empty for Python itself.
        variables: More of the environment.
        logs: What each version printed.
    """

    python: Path
    place: Path
    kernels: Kernels
    competitions: Mapping[str, Path]
    launcher: Sequence[Path] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)

    @classmethod
    def of_tests(cls, place: Path, kernels: Kernels, competitions: Mapping[str, Path]) -> Machine:
        """Return a machine with the tests' own environment: what a program starts of kagglekit is forked."""
        forks.ensure_server()
        launcher = Path(__file__).with_name("run_kernel.py")
        own = {name: value for name, value in os.environ.items() if not name.startswith("KAGGLE")}
        return cls(Path(sys.executable), place, kernels, competitions, (launcher,), {**own, **forks.SET})

    def run(self, version: Version) -> Outcome:
        room = self.place / f"session-{len(self.logs) + 1}"
        working, attached = room / "working", room / "input"
        working.mkdir(parents=True)
        (room / "home").mkdir()
        self._attach(version, attached)
        is_notebook = version.asked["kernelType"] == "notebook"
        program = room / ("main.ipynb" if is_notebook else "script.py")
        program.write_text(version.text)
        done = subprocess.run(
            [self.python, *(("-c", EXECUTE) if is_notebook else self.launcher), program],
            cwd=working,
            env=self._environment(room, attached),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.logs.append(done.stdout)
        written = [path for path in sorted(working.rglob("*")) if path.is_file()]
        files = {path.relative_to(working).as_posix(): path.read_bytes() for path in written}
        return Outcome(files, done.stdout.splitlines(), f"exit code {done.returncode}" if done.returncode else "")

    def _attach(self, version: Version, attached: Path) -> None:
        for ref in version.asked.get("datasetDataSources", []):
            dataset = self.kernels.datasets[ref.partition("/")[2]]
            (attached / dataset.slug).mkdir(parents=True)
            for name, content in dataset.files.items():
                (attached / dataset.slug / name).write_bytes(content)
        (attached / "competitions").mkdir()
        for slug in version.asked.get("competitionDataSources", []):
            (attached / "competitions" / slug).symlink_to(self.competitions[slug])

    def _environment(self, room: Path, attached: Path) -> dict[str, str]:
        nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
        own = {"HOME": str(room / "home"), "PATH": os.environ["PATH"], "KAGGLEKIT_INPUT": str(attached)}
        return {**self.variables, "OMP_NUM_THREADS": "1", **own, **nowhere}
