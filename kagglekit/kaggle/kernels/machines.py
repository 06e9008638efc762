"""Kaggle's machines as an executor: all jobs of a run in one kernel, which is pushed once, and waited for.

The kernel's folder lies in the run's until its output is back. So the same command finds a kernel that runs on after
Ctrl-C or a kill, and adopts it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from kagglekit.kaggle.follow import TIMEOUT, connected
from kagglekit.kaggle.kernels.calls import Session, Watch, fetch_output, log_of
from kagglekit.kaggle.kernels.code_submission import (
    check_before_push,
    push_folder,
    refuse_strict,
    strict_licences,
)
from kagglekit.kaggle.kernels.folder import (
    METADATA,
    KernelFolder,
    KernelOptions,
    chosen_accelerator,
    clear,
    finish_folder,
    slug_on_kaggle,
)
from kagglekit.kaggle.kernels.parts import hub_files, pack_files, pack_wheels
from kagglekit.kaggle.kernels.script import RUN
from kagglekit.runs.archive import LEFT_OUT, unpack_folder
from kagglekit.runs.folder import Run
from kagglekit.system.display.console import for_people
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text
from kagglekit.types.executor import Ended, Job, Need

HOURS = 9.0  # Kaggle ends a session after 12 h
MOST = 1000  # jobs in a kernel
JOBS = "jobs.json"
NAMED = "named"  # the folder of the files that the run names by their paths here


class KaggleMachines:
    """Runs jobs on Kaggle's machines.

    Args:
        need: What each job needs: GPUs, the accelerator, and the limit of a session, h.
    """

    runs_on = True  # after this process has ended

    def __init__(self, need: Need) -> None:
        self._need = need
        self._accelerator = chosen_accelerator(need.accelerator)
        self._hours = need.hours or HOURS
        self.workers = MOST
        machine = self._accelerator or "CPUs"
        self.title = f"one kernel on Kaggle's machines, {machine}, at most {self._hours:g} h"
        self._display = for_people(json_output=True)  # apart from the table of jobs
        self._kaggle = connected(TIMEOUT, self._display)
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._watch: Watch | None = None
        self._next_look = self._began = 0.0

    def submit(self, job: Job) -> None:
        """Take note of a job; the next call of `ended` pushes a kernel with all of them."""
        self._waiting.append(job)

    def ended(self, wait: float) -> list[Ended]:
        """Return the jobs of the kernel once it has ended and its output is here."""
        if self._watch is None:
            if not self._waiting:
                return []
            self._watch = self._begin()
        if time.monotonic() < self._next_look:
            time.sleep(min(wait, max(0.0, self._next_look - time.monotonic())))
            return []
        session = self._watch.look()
        self._next_look = time.monotonic() + self._watch.pause
        return self._take(self._watch, session) if session.is_over else []

    def stop(self, name: str) -> bool:
        """Return False: the kernel runs on."""
        return False

    def close(self) -> None:
        """Say how to continue if the kernel runs on."""
        if self._watch:
            ref = self._watch.version.ref
            self._display.report(
                f"the kernel runs on: https://www.kaggle.com/code/{ref}; the same command waits for it"
            )

    def _begin(self) -> Watch:
        """Push the kernel for the jobs of a run, or adopt the one that an earlier command has pushed."""
        root = self._waiting[0].root
        folder, jobs = Run(root).on_kaggle, [job for job in self._waiting if job.root == root]
        if (folder / METADATA).is_file():
            names = json.loads((folder / JOBS).read_text(encoding="utf-8"))
            jobs = [job for job in jobs if job.name in names] or jobs
            written = KernelFolder.read(folder)
        else:
            with self._display.status(f"packing {root.name}"):
                written = self._write(root, folder, jobs)
        self._running = jobs
        self._waiting = [job for job in self._waiting if job not in jobs]
        check_before_push(self._kaggle, written, self._display)
        version = push_folder(self._kaggle, written, root.name, self._display)
        self._began = time.monotonic()
        return Watch(self._kaggle, version, self._display)

    def _write(self, root: Path, folder: Path, jobs: Sequence[Job]) -> KernelFolder:
        run = Run(root)
        info, recipe = run.info(), run.recipe()
        if info.from_run or info.full_of:
            what = f"{root.name} starts from {info.from_run or info.full_of}, which Kaggle's machines do not have"
            raise UserError(what, "train it on this machine: leave out --on kaggle")
        if recipe.weights and strict_licences([recipe.licence or "unknown"]) and not self._need.yes_licence:
            what = f"the licence of {recipe.weights} is {recipe.licence or 'unknown'}: it is not uploaded"
            raise UserError(what, "if it permits that, name it: --set licence=Apache-2.0; or add --yes-licence")
        begun = [Run(job.folder) for job in jobs if Run(job.folder).checkpoints.is_dir()]  # with weights
        refuse_strict(root.name, [each.info().licence for each in begun], self._need.yes_licence)
        clear(folder)
        named = [Path(file).absolute() for file in (recipe.weights, info.sample_file) if file]
        files = {f"{root.name}/{name}": file for name, file in _files(root, jobs).items()}
        files |= {f"{NAMED}/{number}-{file.name}": file for number, file in enumerate(named)}
        internet = recipe.pretrained and not recipe.weights  # the weights come from the hub, unless they go along
        if internet and not recipe.zoo and (self._need.yes_licence or not strict_licences([info.licence])):
            hub = hub_files(info.weights)
            files, internet = {**files, **hub}, not hub
        requirements = pack_wheels(info, folder / "dataset")
        pack_files(files, folder / "dataset" / RUN)
        manifest = {
            "run": root.name,
            "requirements": requirements,
            "slug": slug_on_kaggle(info.slug, info.title),
            "sample": "",
            "plugins": [],
            "jobs": [self._described(job) for job in jobs],
            "gpus": self._need.gpus or 1,
            "hours": self._hours,
            "named": {str(file): f"{NAMED}/{number}-{file.name}" for number, file in enumerate(named)},
        }
        options = KernelOptions(self._kaggle.user, self._accelerator, internet=internet, hours=self._hours)
        write_text(folder / JOBS, json.dumps([job.name for job in jobs]) + "\n")
        return finish_folder(folder, "train", info.competition, manifest, options, salt=uuid4().hex)

    def _described(self, job: Job) -> dict[str, Any]:
        """Return a job for the kernel: its command in the places of that machine."""
        words = [_moved(word, job.root) for word in job.argv[3:]]  # without python -m kagglekit
        if "--device" in words:
            words[words.index("--device") + 1] = "auto" if self._accelerator else "cpu"
        return {"name": job.name, "folder": job.folder.relative_to(job.root).as_posix(), "words": words}

    def _take(self, watch: Watch, session: Session) -> list[Ended]:
        """Bring the output into the run's folder; return how each job has ended."""
        root, seconds = self._running[0].root, time.monotonic() - self._began
        folder = Run(root).on_kaggle
        codes: dict[str, int | None] = dict.fromkeys((job.name for job in self._running), 1)
        place = folder / "output"
        facts = fetch_output(self._kaggle, watch.version, "ended.json", place, self._display)
        packed = fetch_output(self._kaggle, watch.version, RUN, place, self._display)
        if facts and packed:
            found = json.loads(facts.read_text(encoding="utf-8"))
            unpack_folder(packed.read_bytes(), found["sha256"], root)
            codes |= {name: found["codes"].get(name) for name in codes}
        else:
            lines = [*log_of(self._kaggle, watch.version), f"the kernel has failed: {session.failure or session.state}"]
            for job in self._running:
                with job.log.open("a", encoding="utf-8") as log:
                    log.write("".join(f"{line}\n" for line in lines))
        shutil.rmtree(folder)
        ended = [Ended(job, codes[job.name], seconds, "Kaggle") for job in self._running]
        self._watch, self._running, self._next_look = None, [], 0.0
        return ended


def _files(root: Path, jobs: Sequence[Job]) -> dict[str, Path]:
    """Return the files that the jobs of a run read, by their paths in its folder."""
    tops = [*(file for file in root.iterdir() if file.is_file()), Run(root).plugin_copies]
    tops += [job.folder for job in jobs if job.folder != root]
    if any(job.folder == root for job in jobs):
        tops += [folder for folder in root.iterdir() if folder.is_dir() and folder != Run(root).on_kaggle]
    found = {file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()}
    is_lock = {file for file in found if file.parent.name == "checkpoint" and file.name in LEFT_OUT}
    return {file.relative_to(root).as_posix(): file for file in found - is_lock if file.suffix != ".part"}


def _moved(word: str, root: Path) -> str:
    """Return a word of a command with ``ROOT/`` for the run's folder on the other machine."""
    if word == str(root):
        return "ROOT/"
    if word.endswith(".py") and (Run(root).plugin_copies / Path(word).name).is_file():
        return f"ROOT/plugins/{Path(word).name}"
    return word
