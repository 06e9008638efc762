"""What only a GPU can show, in a few minutes, without a network: `benchmarks/gpu.sh`, which starts this, says how.

Each part is a process of its own with a limit of time, so that a part that fails or hangs does not hide the others.
The result is OUT/gpu.json; its form is in docs/performance.md. The exit code is 1 if a part failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FORM = 1
PACKAGES = ("torch", "torchvision", "timm", "triton", "numpy", "opencv-python-headless")
IMPORTED = {"opencv-python-headless": "cv2", "pillow": "PIL", "scikit-learn": "sklearn"}  # others by their own names
UNUSED = ("kaggle", "six")  # only for talking to Kaggle


@dataclass(frozen=True)
class Part:
    """A process: its name, its command, its longest time, s, of eight minutes, and what reads its result."""

    name: str
    command: list[str]
    limit: float
    read: Callable[[Path], Any]


def main() -> None:
    """Prepare the surroundings, carry out the parts, write the JSON."""
    began = time.monotonic()
    asked = arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    surroundings = prepared(asked)
    missing = missing_packages(surroundings)
    result: dict[str, Any] = {"form": FORM, "command": sys.argv[1:], "tiny": asked.tiny, "missing": missing}
    result["machine"] = machine(asked.device, surroundings)
    if missing:
        print(f"missing packages: {' '.join(missing)}\nhint: bring them along as wheels: --wheels DIR", file=sys.stderr)
    parts = [] if missing else list(parts_of(asked))
    done: list[dict[str, Any]] = []
    result["parts"] = done
    for part in [*parts, None]:
        result["seconds"] = round(time.monotonic() - began, 1)
        (asked.out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")
        if part:
            done.append(carried_out(part, asked, surroundings, began))
    print(f"{asked.out / 'gpu.json'}: {result['seconds']:.0f} s")
    sys.exit(1 if missing or any(part["status"] in ("failed", "timeout") for part in done) else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json, logs and caches")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu to see whether the parts work")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to use beside the installed packages")
    parser.add_argument("--data", metavar="COMPETITION=DIR", help="data for the whole run: pets=DIR; else shapes")
    parser.add_argument("--weights", help="weights for the whole run of --data, a file; else random ones")
    parser.add_argument("--minutes", type=float, default=8.0, help="the longest time that all parts take")
    parser.add_argument("--tiny", action="store_true", help="little of everything: does it work?")
    parser.add_argument("--only", nargs="*", default=(), help="names of parts")
    asked = parser.parse_args()
    asked.out = asked.out.absolute()
    return asked


def prepared(asked: argparse.Namespace) -> dict[str, str]:
    """Return the environment of the parts: kagglekit importable from this checkout, with its entry points."""
    site = asked.out / "site"
    write_entry_points(site)
    if asked.wheels:
        wheels = sorted(map(str, asked.wheels.glob("*.whl")))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
        subprocess.run([*pip, "--target", str(asked.out / "wheels"), *wheels], check=True)
    folders = [site, ROOT, ROOT / "plugins", ROOT / "competitions", asked.out / "wheels"]
    path = os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "KAGGLEKIT_CACHE": str(asked.out / "cache"),
        "KAGGLEKIT_DATA": str(asked.out / "data"),
        "KAGGLEKIT_TEST_DEVICE": asked.device,
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
    }


def write_entry_points(site: Path) -> None:
    """Write what an installation would leave of kagglekit: its metadata, by which plugins are found."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    number = (ROOT / "kagglekit" / "_version.py").read_text().partition('"')[2].partition('"')[0]
    info = site / f"kagglekit-{number}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kagglekit\nVersion: {number}\n")
    groups = "\n".join(
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in points.items())
        for group, points in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text(groups)


def missing_packages(surroundings: dict[str, str]) -> list[str]:
    """Return the packages of pyproject.toml that cannot be found."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [line.partition(">")[0].partition("[")[0].strip() for line in project["dependencies"]]
    names = [name for name in names if name not in UNUSED]
    looked = [*sys.path, *surroundings["PYTHONPATH"].split(os.pathsep)]
    before, sys.path[:] = sys.path[:], looked
    try:
        return [name for name in names if not importlib.util.find_spec(IMPORTED.get(name, name.replace("-", "_")))]
    finally:
        sys.path[:] = before


def machine(device: str, surroundings: dict[str, str]) -> dict[str, Any]:
    """Describe where this was measured; the GPU in a process of its own, so that this one holds none of its memory."""
    code = "import torch; print(torch.cuda.get_device_name(), torch.cuda.mem_get_info()[1], torch.version.cuda)"
    ask = [sys.executable, "-c", code]
    gpu = subprocess.run(ask, capture_output=True, text=True, env=surroundings).stdout.strip()
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    return {
        "device": device,
        "gpu": gpu or "none",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": commit.stdout.strip(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def parts_of(asked: argparse.Namespace) -> Iterator[Part]:
    """Yield the parts, the most telling ones first."""
    python, device = sys.executable, ["--device", asked.device]
    ini = [*("-o", "addopts=--import-mode=importlib"), *("-o", "filterwarnings=default"), "--confcutdir=tests/cuda"]
    report = asked.out / "tests.xml"
    tests = [python, "-m", "pytest", "-q", "-ra", "-m", "cuda", *ini, f"--junitxml={report}", "tests/cuda"]
    every = [Part("tests", tests, 180, _tests)]
    few = [*(["--tiny", "--runs", "1"] if asked.tiny else ["--runs", "1"]), "--work", str(asked.out / "work")]
    sizes = {"resnet18": 32, "resnet50": 32} if asked.tiny else {"resnet18": 128, "resnet50": 224}
    shape = ["--batch", "16"] if asked.tiny else ["--batch", "64"]
    for model, size in sizes.items():
        name = f"{model} at {size} px"
        common = [
            *device,
            *few,
            *shape,
            "--model",
            model,
            "--size",
            str(size),
            "--seconds",
            "0.1" if asked.tiny else "0.7",
        ]
        compiled = ["--compile"] if asked.device != "cpu" and model == "resnet18" else []
        for script, limit, more in (("launches", 90, compiled), ("stages", 100, []), ("limit", 60, [])):
            to = asked.out / f"{script}-{model}.json"
            command = [python, str(HERE / f"{script}.py"), *common, *more, "--json", str(to)]
            every.append(Part(f"{script}: {name}", command, limit, _rows))
    yield from (part for part in [*every[:4], run_of(asked), *every[4:]] if not asked.only or part.name in asked.only)


def run_of(asked: argparse.Namespace) -> Part:
    """Return the part that makes a whole run of the given data, else of shapes."""
    competition, _, data = (asked.data or "shapes").partition("=")
    command = [sys.executable, "-m", "kagglekit", "run", competition, "--device", asked.device]
    command += ["--out", str(asked.out / "runs"), "--json", *(["--data", str(Path(data).absolute())] if data else [])]
    if data:
        weights = ["weights=" + str(Path(asked.weights).absolute())] if asked.weights else ["pretrained=false"]
        command += ["--preset", "quick", "--set", *weights]
    if asked.tiny:
        command += ["--limit", "60", "--set", "stage.*.size=32", "--set", "tta=1"]
        if not data:
            command += ["--set", "stage.*.cycle_len=1"]
    return Part(f"run: {competition}", command, 150, _run)


def carried_out(part: Part, asked: argparse.Namespace, surroundings: dict[str, str], began: float) -> dict[str, Any]:
    """Carry out a part in the time that is left; return its entry in the JSON."""
    left = 60 * asked.minutes - (time.monotonic() - began)
    entry: dict[str, Any] = {"name": part.name, "command": part.command[1:], "status": "skipped", "seconds": 0.0}
    if part.name == "tests" and not importlib.util.find_spec("pytest"):
        return {**entry, "reason": "pytest is not installed"}
    if left < 10:
        return {**entry, "reason": f"the {asked.minutes:g} minutes are over"}
    started, log = (
        time.monotonic(),
        asked.out / f"{part.name.partition(':')[0]}-{len(list(asked.out.glob('*.log')))}.log",
    )
    print(f"{part.name} ...", flush=True)
    with log.open("w") as file:
        process = subprocess.Popen(
            part.command, cwd=ROOT, env=surroundings, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(timeout=min(part.limit * asked.minutes / 8, left))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too
            process.wait()
            code = None
    entry["seconds"], entry["log"] = round(time.monotonic() - started, 1), log.name
    entry["status"] = "timeout" if code is None else "failed" if code else "passed"
    try:
        entry["result"] = part.read(_output(part, log))
    except (OSError, ValueError, LookupError) as error:
        entry |= {"status": entry["status"] if code != 0 else "failed", "reason": f"no result: {error}"}
    print(f"  {entry['status']} in {entry['seconds']:.0f} s", flush=True)
    return entry


def _output(part: Part, log: Path) -> Path:
    """Return the file that a part wrote its result to: that of an option, else its log."""
    for word, following in zip(part.command, [*part.command[1:], ""], strict=True):
        if word.startswith("--junitxml="):
            return Path(word.partition("=")[2])
        if word == "--json" and following.endswith(".json"):
            return Path(following)
    return log


def _tests(file: Path) -> dict[str, Any]:
    """Return the number of tests by outcome, and the message of each one that did not pass."""
    counts, messages = {"passed": 0, "failed": 0, "skipped": 0}, {}
    for case in ElementTree.parse(file).iter("testcase"):
        found = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if found is None else "skipped" if found.tag == "skipped" else "failed"
        counts[outcome] += 1
        if found is not None:
            messages[case.get("name", "")] = f"{outcome}: {found.get('message', '')[:500]}"
    return {**counts, "messages": messages}


def _rows(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text())
    return {"rows": found["rows"], "notes": found["notes"]}


def _run(log: Path) -> dict[str, Any]:
    """Return what run.json says of the run whose command printed a line of JSON."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    info = json.loads((Path(json.loads(lines[-1])["run"]) / "run.json").read_text())
    keys = ("status", "seconds", "device", "train_format", "infer_format", "formats", "predict_batch", "compiled")
    return {key: info.get(key) for key in (*keys, "stage_seconds", "decode_seconds", "scores")}


if __name__ == "__main__":
    main()
