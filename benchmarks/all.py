"""Every benchmark, one after the other, into a folder: a JSON file each, and tables.md with all tables.

    python benchmarks/all.py --out DIR [--device cpu] [--pretrained mobilenetv2_100_in1k.safetensors] [--tiny]
        [--real pets=DIR flowers-102=DIR]

A script that fails or takes too long is noted in tables.md; the others continue. On two idle cores everything takes
about an hour; `--only limit stages` runs a part.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
LONGEST = 900  # s, of one script
SHAPELESS = ("rows.py", "stores.py", "containers.py")  # have no batches


def main() -> None:
    """Run all benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for JSON files, tables.md and logs")
    parser.add_argument("--work", type=Path, help="folder for images and caches; default OUT/work")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pretrained", type=Path, help="weights of mobilenetv2_100, to fine-tune it as well")
    parser.add_argument(
        "--real", nargs="*", default=(), metavar="COMPETITION=DIR", help="real images to measure as well"
    )
    parser.add_argument("--tiny", action="store_true", help="a few images, small sizes: does everything work?")
    parser.add_argument("--only", nargs="*", default=(), help="names of benchmarks")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the running script, too
    asked.out.mkdir(parents=True, exist_ok=True)
    work = (asked.work or asked.out / "work").absolute()
    tables = asked.out / "tables.md"
    tables.write_text("# Benchmarks\n")
    began = time.perf_counter()
    for name, command in commands(asked, work).items():
        if not asked.only or name in asked.only:
            with tables.open("a") as file:
                file.write(section(asked.out, name, command))
    print(f"all in {(time.perf_counter() - began) / 60:.1f} min: {tables}")


def commands(asked: argparse.Namespace, work: Path) -> dict[str, list[str]]:
    """Return each benchmark's command line by its name."""
    common = ["--device", asked.device, "--work", str(work)]
    few = ["--tiny", "--runs", "1"] if asked.tiny else []
    shape = ["--size", "48", "--batch", "16"] if asked.tiny else []
    short = ["--seconds", "0.1" if asked.tiny else "3"]
    small = ["--model", "mobilenetv2_100", "--weights", str(asked.pretrained)] if asked.pretrained else []
    some = ["--numbers", "64", "128"] if asked.tiny else []
    given = {  # the first one makes images and weights
        "network": ["network.py"],
        "limit": ["limit.py", *short],
        "stages": ["stages.py", *short],
        "launches": ["launches.py", *short],
        "vs_fastai": ["vs_fastai.py"],
        "vs_timm": ["vs_timm.py"],
        "steps": ["steps.py", *short],
        "stores": ["stores.py"],
        "views": ["views.py"],
        "busy": ["busy.py"],
        "containers": ["containers.py", "--records", "5000"],
        "startup": ["startup.py"],
        "prompt": ["prompt.py"],
        "memory": ["memory.py"],
        "large": ["large.py", "--model", "vit_tiny_patch16_224"],
        "allocator": ["allocator.py", *short],
        "folded": ["folded.py", *short],
        "growth": ["growth.py", *some],
        "streaming": ["streaming.py"],
        "rows": ["rows.py"],
        "deterministic": ["deterministic.py"],
    }
    if small:
        for name in ("limit", "stages", "vs_fastai", "vs_timm"):
            given[f"{name}-mobilenetv2"] = [*given[name], *small]
    for one in asked.real:
        some_real = ["--data", one, *(["--images", "240"] if asked.tiny else [])]
        for name in ("vs_fastai", "stages", "stores"):
            network = small if name != "stores" else []
            given[f"{name}-{Path(one.partition('=')[0]).stem}"] = [*given[name], *network, *some_real]
    return {
        name: [
            *(sys.executable, str(HERE / script), *common, *few, *(() if script in SHAPELESS else shape)),
            *(*more, "--json", str(asked.out / f"{name}.json")),
        ]
        for name, (script, *more) in given.items()
    }


def section(out: Path, name: str, command: list[str]) -> str:
    """Run one benchmark and return its part of tables.md; its stderr goes to a log file."""
    words = " ".join(command[1:])
    print(f"{name}: {words}", flush=True)
    began = time.perf_counter()
    with (out / f"{name}.log").open("w") as log:
        said, failed = finished(command, log)
    if failed:
        failed = f"**{failed}**; see {name}.log\n\n"
    seconds = time.perf_counter() - began
    print(f"  {failed.strip() or 'done'} in {seconds:.0f} s", flush=True)
    return f"\n## {name}\n\n`{words}` ({seconds:.0f} s)\n\n{failed}{said}"


def finished(command: list[str], log: IO[str]) -> tuple[str, str]:
    """Run a command; return its output, and the error or an empty string."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=LONGEST)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        return "", f"stopped after {LONGEST} s"
    return said, f"failed with exit code {process.returncode}" if process.returncode else ""


if __name__ == "__main__":
    main()
