"""Write the folder of a kernel that predicts with a finished run, offline: a program, its metadata, and a dataset."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from kagglekit.kaggle.kernels.parts import pack_files, pack_wheels, plugin_files, program
from kagglekit.kaggle.kernels.script import RUN, digest
from kagglekit.runs.inference import Predictor
from kagglekit.system.errors import UserError
from kagglekit.system.files import write_text

MAX_TITLE = 50  # characters; Kaggle makes the slug of the title
NO_USER = "INSERT_YOUR_USER_NAME"
METADATA, DATASET_METADATA = "kernel-metadata.json", "dataset-metadata.json"


ACCELERATOR = "NvidiaTeslaT4"  # two of them


def chosen_accelerator(name: str) -> str:
    """Return Kaggle's name of the accelerator that `name` asks for: the default if empty, nothing if ``none``."""
    return "" if name.lower() == "none" else name or ACCELERATOR


@dataclass(frozen=True)
class KernelOptions:
    """How the kernel runs.

    Attributes:
        user: The owner's name on Kaggle; empty if unknown.
        accelerator: Kaggle's name of it, such as ``NvidiaTeslaT4``; empty for none.
        notebook: Write a notebook instead of a script.
        internet: Let it use the internet.
        hours: Limit of its session; None for Kaggle's own.
    """

    user: str = ""
    accelerator: str = ACCELERATOR
    notebook: bool = False
    internet: bool = False
    hours: float | None = None


@dataclass(frozen=True)
class KernelFolder:
    """A folder that was written.

    Attributes:
        folder: Its path; the dataset is in `dataset`.
        metadata: Of the kernel, as in kernel-metadata.json.
        dataset_metadata: Of the dataset, as in dataset-metadata.json.
    """

    folder: Path
    metadata: Mapping[str, Any]
    dataset_metadata: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder that was written before.

        Raises:
            UserError: It is damaged.
        """
        try:
            texts = [
                file.read_text(encoding="utf-8") for file in (folder / METADATA, folder / "dataset" / DATASET_METADATA)
            ]
            return cls(folder, *map(json.loads, texts))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} is damaged: {error}", "remove the folder, and run the command again") from error

    @property
    def dataset(self) -> Path:
        """The folder of the dataset."""
        return self.folder / "dataset"

    @property
    def competition(self) -> str:
        """The competition's slug."""
        return str(self.metadata["competition_sources"][0])

    @property
    def uses_gpu(self) -> bool:
        """True if it asks for a GPU."""
        return bool(self.metadata["enable_gpu"])

    @property
    def hours(self) -> float:
        """The limit of its session; 0 for Kaggle's own."""
        return float(self.metadata.get("session_timeout_seconds", 0)) / 3600

    @property
    def code(self) -> str:
        """The program."""
        return (self.folder / str(self.metadata["code_file"])).read_text(encoding="utf-8")

    @property
    def files(self) -> list[Path]:
        """The files of the dataset."""
        return sorted(file for file in self.dataset.iterdir() if file.name != DATASET_METADATA)


def write_kernel(part: Predictor, folder: Path, options: KernelOptions) -> KernelFolder:
    """Write a kernel that predicts with a finished run.

    The same run, versions and options give the same files, and therefore the same titles.

    Args:
        part: The run.
        folder: The folder to write; one that this function wrote before is replaced.
        options: How the kernel runs.

    Raises:
        UserError: The run's competition is not on Kaggle, a plugin cannot be packed, a secret would be uploaded, or the
            folder cannot be written.
    """
    info, name = part.info, part.run.name
    slug = slug_on_kaggle(info.slug, info.title or info.competition)
    clear(folder)
    requirements = pack_wheels(info, folder / "dataset")
    pack_files(part.files(part.run.folder.parent), folder / "dataset" / RUN)
    manifest = {
        "run": name,
        "requirements": requirements,
        "slug": slug,
        "sample": info.sample_file.name if info.sample_file else "",
        "plugins": [f"{name}/plugins/{Path(file).name}" for file in plugin_files(info)],
        "jobs": [],
        "named": {},
    }
    titled = f"{info.competition} {name.partition('-')[2].partition('-')[2]}"
    return finish_folder(folder, "predict", titled, manifest, options)


def slug_on_kaggle(slug: str | None, title: str) -> str:
    """Return a competition's slug.

    Raises:
        UserError: It has none.
    """
    if not slug:
        hint = "give its name in Kaggle's addresses as slug= in the plugin"
        raise UserError(f"{title} is not on Kaggle: there is nothing to push to", hint)
    return slug


def clear(folder: Path) -> None:
    """Remove a folder that was written before, but for what was fetched into it.

    Raises:
        UserError: It holds something else, or cannot be removed.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "dataset").is_dir():
        raise UserError(f"{folder} holds other files", "choose another folder with --folder DIR")
    try:
        for part in (folder / METADATA, *folder.glob("main.*"), folder / "dataset"):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "choose a writable folder with --folder DIR"
        raise UserError(f"cannot write into {folder}: {error.strerror or error}", hint) from error


def finish_folder(
    folder: Path, kind: str, name: str, manifest: Mapping[str, Any], options: KernelOptions, salt: str = ""
) -> KernelFolder:
    """Write the program and the metadata of a folder whose dataset is complete.

    Args:
        folder: The folder.
        kind: What the kernel does, in a word: a part of its title.
        name: What it is about: a part of the titles.
        manifest: What the program is to do.
        options: How it runs.
        salt: Makes the titles different from those of the same content; empty for the same ones.
    """
    digests = {file.name: digest(file) for file in sorted((folder / "dataset").iterdir())}
    title = title_of("run", name, token_of({"files": digests, "salt": salt}))
    code = program({**manifest, "files": digests, "dataset": slug_of(title)})
    facts = {"code": code, "accelerator": options.accelerator, "notebook": options.notebook, "hours": options.hours}
    owner = options.user or NO_USER
    metadata = _metadata(title_of(kind, name, token_of({**facts, "salt": salt})), owner, options)
    metadata |= {"dataset_sources": [f"{owner}/{slug_of(title)}"], "competition_sources": [manifest["slug"]]}
    dataset = {"title": title, "id": f"{owner}/{slug_of(title)}", "licenses": [{"name": "other"}]}
    write_text(folder / metadata["code_file"], _notebook(code) if options.notebook else code)
    write_text(folder / "dataset" / DATASET_METADATA, json.dumps(dataset, indent=1) + "\n")
    write_text(folder / METADATA, json.dumps(metadata, indent=1) + "\n")
    return KernelFolder(folder, metadata, dataset)


def title_of(kind: str, name: str, token: str) -> str:
    """Return a title of at most `MAX_TITLE` characters with a token at its end: its words make the slug."""
    words = " ".join(re.findall("[a-z0-9]+", f"kagglekit {kind} {name}".lower()))
    return f"{words[: MAX_TITLE - len(token) - 1].strip()} {token}"


def slug_of(title: str) -> str:
    """Return the slug that Kaggle makes of a title of `title_of`."""
    return title.replace(" ", "-")


def token_of(facts: Mapping[str, Any]) -> str:
    """Return a token of some facts."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]


def _metadata(title: str, owner: str, options: KernelOptions) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": f"{owner}/{slug_of(title)}",
        "title": title,
        "code_file": "main.ipynb" if options.notebook else "main.py",
        "language": "python",
        "kernel_type": "notebook" if options.notebook else "script",
        "is_private": True,
        "enable_gpu": bool(options.accelerator),
        "enable_tpu": False,
        "enable_internet": options.internet,
        "kernel_sources": [],
        "model_sources": [],
    }
    facts |= {"machine_shape": options.accelerator} if options.accelerator else {}
    return {**facts, **({"session_timeout_seconds": int(3600 * options.hours)} if options.hours else {})}


def _notebook(code: str) -> str:
    """Return a notebook with one cell."""
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": code}
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}, indent=1) + "\n"
