"""The program of a kernel: it runs on Kaggle's machine, with nothing but Python and what is attached.

`kagglekit.kaggle.kernels.folder` writes a copy of this file with its own MANIFEST. It installs wheels without a network
and unpacks a run. Then the run predicts the test images, or does its trainings and writes what they have made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

MANIFEST: dict[str, Any] = json.loads("{}")  # written by kagglekit
INPUT = Path("/kaggle/input")
RUN = "run.bin"
HUB = "hub"  # the folder of pretrained weights among the packed files
BLOCK = 1 << 20
SAVING = 600.0  # s before the limit at which trainings are asked to save their work and to end
TICK = 1.0  # s between two looks at the trainings


def main(place: Path) -> int:
    """Do what the manifest says with what is attached below `place`; return the exit code."""
    began = time.monotonic()
    attached = find_attached(place)
    install(attached)
    data = find_data(place)
    with tempfile.TemporaryDirectory(prefix="kagglekit-") as scratch:
        runs = Path(scratch) / "runs"
        with tarfile.open(attached / RUN) as archive:
            archive.extractall(runs, filter="data")
        print("data:", data, flush=True)
        environment = {**os.environ, "KAGGLEKIT_CACHE": str(Path(scratch) / "cache")}
        if (runs / HUB).is_dir():
            environment |= {"HF_HUB_CACHE": str(runs / HUB), "HF_HUB_OFFLINE": "1"}
        for path, name in MANIFEST["named"].items():
            put(runs / name, Path(path))
        if MANIFEST["jobs"]:
            code = train(runs / MANIFEST["run"], data, environment, began)
        else:
            code = predict(runs, data, environment)
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
    free = {**os.environ, "PIP_BREAK_SYSTEM_PACKAGES": "1"}  # the machine is thrown away afterwards
    subprocess.run([*pip, *offline, *MANIFEST["requirements"]], env=free, check=True)


def put(file: Path, place: Path) -> None:
    """Make a file available under the path that it has on the machine of the user: the run names it so."""
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)


def predict(runs: Path, data: Path, environment: dict[str, str]) -> int:
    """Write submission.csv; return the exit code."""
    command = [sys.executable, "-m", "kagglekit", "predict", str(runs / MANIFEST["run"])]
    command += ["--submission", str(Path.cwd() / "submission.csv"), "--data", str(data)]
    command += ["--sample", MANIFEST["sample"]] if MANIFEST["sample"] else []
    for plugin in MANIFEST["plugins"]:
        command += ["--plugin", str(runs / plugin)]
    return subprocess.run(command, env={**environment, "HF_HUB_OFFLINE": "1"}, check=False).returncode


def train(root: Path, data: Path, environment: dict[str, str], began: float) -> int:
    """Do the trainings side by side, one for each share of the GPUs; write what they have made, and how each ended.

    Shortly before the limit, they are asked to save their work. Then the next kernel resumes them.
    """
    gpus = gpu_names()
    share = max(1, int(MANIFEST["gpus"]))
    free = [",".join(gpus[k : k + share]) for k in range(0, len(gpus) - share + 1, share)] or [""]
    waiting: list[dict[str, Any]] = list(MANIFEST["jobs"])
    running: list[Any] = []
    codes: dict[str, int] = {}
    end = began + 3600 * float(MANIFEST["hours"]) - SAVING
    shown: dict[Path, int] = {}
    stopping = False
    while running or (waiting and not stopping):
        while waiting and free and not stopping:
            job, devices = waiting.pop(0), free.pop()
            process, log = start(job, root, data, environment, devices)
            running.append((job, devices, process, log))
        time.sleep(TICK)
        for each in list(running):
            job, devices, process, log = each
            show_new_lines(log, shown)
            if process.poll() is not None:
                running.remove(each)
                free.append(devices)
                codes[job["name"]] = process.returncode
        if not stopping and time.monotonic() > end:
            stopping = True
            print("the time is nearly over: the trainings save their work", flush=True)
            for _, _, process, _ in running:
                process.send_signal(signal.SIGTERM)
    write_output(root, codes)
    return 0


def start(job: dict[str, Any], root: Path, data: Path, environment: dict[str, str], devices: str) -> Any:
    """Start a training; return its process and the file of what it prints."""
    log = root / job["folder"] / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(root / word[5:]) if word.startswith("ROOT/") else word for word in job["words"]]
    own = {"CUDA_VISIBLE_DEVICES": devices} if devices else {}
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kagglekit", *words, "--data", str(data)],
            env={**environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, log


def show_new_lines(log: Path, shown: dict[Path, int]) -> None:
    """Print what was added to a file since the last call."""
    with log.open("rb") as content:
        content.seek(shown.get(log, 0))
        lines = content.read().rpartition(b"\n")[0]
    if lines:
        shown[log] = shown.get(log, 0) + len(lines) + 1
        for line in lines.decode("utf-8", "replace").splitlines():
            print(f"{log.parent.name}: {line}", flush=True)


def gpu_names() -> list[str]:
    """Return the numbers of the GPUs."""
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def write_output(root: Path, codes: dict[str, int]) -> None:
    """Write the folders of the trainings, and their exit codes with the SHA-256 of that file."""
    with tarfile.open(RUN, "w") as archive:
        for job in MANIFEST["jobs"]:
            for file in sorted((root / job["folder"]).rglob("*")):
                is_lock = file.parent.name == "checkpoint" and file.name in ("lock", "leader")
                if file.is_file() and not is_lock and file.suffix != ".part":
                    archive.add(file, file.relative_to(root).as_posix())
    facts = {"codes": codes, "sha256": digest(Path(RUN))}
    Path("ended.json").write_text(json.dumps(facts), encoding="utf-8")


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
