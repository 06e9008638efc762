"""The program of a kernel that predicts: it runs on Kaggle's machine, with nothing but Python and what is attached.

`kagglekit.kaggle.kernel_folder` writes a copy of this file with its own MANIFEST. It installs wheels without a network,
unpacks the run, and lets it predict the test images.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

MANIFEST: dict[str, Any] = json.loads("{}")  # written by kagglekit kernel
INPUT = Path("/kaggle/input")
RUN = "run.bin"
BLOCK = 1 << 20


def main(place: Path) -> int:
    """Predict the test images below `place`; return the exit code."""
    began = time.monotonic()
    attached = find_attached(place)
    install(attached)
    data = find_data(place)
    with tempfile.TemporaryDirectory(prefix="kagglekit-") as scratch:
        runs = Path(scratch) / "runs"
        with tarfile.open(attached / RUN) as archive:
            archive.extractall(runs, filter="data")
        command = [sys.executable, "-m", "kagglekit", "predict", str(runs / MANIFEST["run"])]
        command += ["--submission", str(Path.cwd() / "submission.csv"), "--data", str(data)]
        command += ["--sample", MANIFEST["sample"]] if MANIFEST["sample"] else []
        for plugin in MANIFEST["plugins"]:
            command += ["--plugin", str(runs / plugin)]
        print("test images in", data, flush=True)
        quiet = {"HF_HUB_OFFLINE": "1", "KAGGLEKIT_CACHE": str(Path(scratch) / "cache")}
        code = subprocess.run(command, env={**os.environ, **quiet}, check=False).returncode
    print(f"exit code {code} after {time.monotonic() - began:.0f} s", flush=True)
    return code


def find_attached(place: Path) -> Path:
    """Return the folder with this kernel's own dataset: any other one has other files."""
    wanted = MANIFEST["files"]
    for file in sorted(place.rglob(RUN)):
        if digest(file) == wanted[RUN]:
            damaged = ", ".join(name for name in wanted if digest(file.with_name(name)) != wanted[name])
            if damaged:
                sys.exit(f"error: {damaged} in {file.parent} is missing or damaged: upload the dataset again")
            return file.parent
    sys.exit(f"error: the dataset {MANIFEST['dataset']} is not attached: there is no {RUN} of this run below {place}")


def find_data(place: Path) -> Path:
    """Return the folder of the competition's data."""
    slug, sample = str(MANIFEST["slug"]), MANIFEST["sample"] or "sample_submission.csv"
    folders = [place / "competitions" / slug, place / slug]
    folders += [file.parent for file in sorted(place.rglob(sample)) if slug in file.parts]
    for folder in folders:
        if folder.is_dir():
            return folder
    sys.exit(f"error: the data of {slug} are not attached: no folder of that name below {place}")


def install(wheels: Path) -> None:
    """Install kagglekit, and what this machine lacks of the rest, from files alone; torch is never touched."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--root-user-action=ignore"]
    offline = ["--no-index", "--no-deps", "--find-links", str(wheels)]
    subprocess.run([*pip, *offline, *MANIFEST["requirements"]], check=True)


def digest(file: Path) -> str:
    """Return the SHA-256 of a file; empty if there is none."""
    if not file.is_file():
        return ""
    found = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    code = main(Path(os.environ.get("KAGGLEKIT_INPUT", INPUT)))
    if code:  # a notebook shows every SystemExit as an error
        sys.exit(code)
