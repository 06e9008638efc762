"""Write the folder of a kernel that predicts with a finished run, offline: a program, its metadata, and a dataset."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import distribution, entry_points
from inspect import getsource
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from kagglekit.hooks.manager import disabled_in
from kagglekit.hooks.plugin import GROUPS, OWN
from kagglekit.hooks.trust import is_path
from kagglekit.kaggle import kernel_script
from kagglekit.kaggle.credentials import secrets
from kagglekit.runs.inference import Predictor
from kagglekit.runs.info import RunInfo
from kagglekit.system.errors import UserError
from kagglekit.system.files import replacing, write_text
from kagglekit.system.wheel import pack_wheel

MAX_TITLE = 50  # characters; Kaggle makes the slug of the title
NO_USER = "INSERT_YOUR_USER_NAME"
METADATA, DATASET_METADATA = "kernel-metadata.json", "dataset-metadata.json"
SAME_VERSION = ("timm",)  # which builds the networks
SHIPPED = (  # installed only where Kaggle's image has none, or one that is too old
    *("pluggy", "click", "rich", "markdown-it-py", "mdurl", "pygments"),
    *("platformdirs", "filelock", "packaging", "threadpoolctl"),
)


@dataclass(frozen=True)
class KernelOptions:
    """How the kernel runs.

    Attributes:
        user: The owner's name on Kaggle; empty if unknown.
        accelerator: Kaggle's name of it, such as ``NvidiaTeslaT4``; empty for none.
        notebook: Write a notebook instead of a script.
    """

    user: str = ""
    accelerator: str = "NvidiaTeslaT4"
    notebook: bool = False


@dataclass(frozen=True)
class KernelFolder:
    """A folder that was written.

    Attributes:
        folder: Its path; the dataset is in `dataset`.
        competition: The competition's slug.
        metadata: Of the kernel, as in kernel-metadata.json.
        dataset_metadata: Of the dataset, as in dataset-metadata.json.
    """

    folder: Path
    competition: str
    metadata: Mapping[str, Any]
    dataset_metadata: Mapping[str, Any]

    @property
    def dataset(self) -> Path:
        """The folder of the dataset."""
        return self.folder / "dataset"

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
    info = part.info
    if not info.slug:
        hint = "give its name in Kaggle's addresses as slug= in the plugin"
        raise UserError(f"{info.title or info.competition} is not on Kaggle: there is nothing to push to", hint)
    _clear(folder)
    dataset = folder / "dataset"
    wheels = [_packed(name, dataset) for name in _distributions(info)]
    _pack_runs(part, dataset / kernel_script.RUN)
    digests = {file.name: kernel_script.digest(file) for file in sorted(dataset.iterdir())}
    name = f"{info.competition} {part.run.name.partition('-')[2].partition('-')[2]}"
    title = title_of("run", name, _token(digests))
    manifest = {
        "dataset": slug_of(title),
        "run": part.run.name,
        "files": digests,
        "requirements": [_requirement(wheel) for wheel in wheels],
        "slug": info.slug,
        "sample": info.sample_file.name if info.sample_file else "",
        "plugins": [f"{part.run.name}/plugins/{Path(file).name}" for file in plugin_files(info)],
    }
    code = program(manifest)
    facts = {"code": code, "accelerator": options.accelerator, "notebook": options.notebook}
    owner = options.user or NO_USER
    written = KernelFolder(
        folder,
        info.slug,
        _kernel_metadata(title_of("predict", name, _token(facts)), slug_of(title), info.slug, owner, options),
        {"title": title, "id": f"{owner}/{slug_of(title)}", "licenses": [{"name": "other"}]},
    )
    write_text(folder / written.metadata["code_file"], _notebook(code) if options.notebook else code)
    write_text(dataset / DATASET_METADATA, json.dumps(written.dataset_metadata, indent=1) + "\n")
    write_text(folder / METADATA, json.dumps(written.metadata, indent=1) + "\n")
    return written


def title_of(kind: str, name: str, token: str) -> str:
    """Return a title of at most `MAX_TITLE` characters with a token at its end: its words make the slug."""
    words = " ".join(re.findall("[a-z0-9]+", f"kagglekit {kind} {name}".lower()))
    return f"{words[: MAX_TITLE - len(token) - 1].strip()} {token}"


def slug_of(title: str) -> str:
    """Return the slug that Kaggle makes of a title of `title_of`."""
    return title.replace(" ", "-")


def plugin_files(info: RunInfo) -> list[str]:
    """Return the paths of a run's plugin files."""
    return [file for file in (info.plugin, *info.plugin_files) if is_path(file)]


def program(manifest: Mapping[str, Any]) -> str:
    """Return the program of the kernel with its manifest."""
    source = getsource(kernel_script)
    line = next(line for line in source.splitlines() if line.startswith("MANIFEST: "))
    code = source.replace(line, f"MANIFEST: dict[str, Any] = json.loads({json.dumps(manifest, sort_keys=True)!r})")
    _refuse_secrets("the program", code.encode())
    return code


def _clear(folder: Path) -> None:
    """Remove a folder that was written here before.

    Raises:
        UserError: It holds something else, or cannot be removed.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "dataset").is_dir():
        raise UserError(f"{folder} holds other files", "choose another folder with --to DIR")
    try:
        for part in (folder / "dataset", *folder.glob("predict.*"), folder / METADATA):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "choose a writable folder with --to DIR"
        raise UserError(f"cannot write into {folder}: {error.strerror or error}", hint) from error


def _distributions(info: RunInfo) -> Iterator[str]:
    """Yield the distributions that the kernel brings along: kagglekit, plugins of others, and what images may lack."""
    yield OWN
    entries = [entry for entry in entry_points(group=GROUPS["shared"]) if entry.name not in disabled_in(info)]
    entries += [entry for entry in entry_points(group=GROUPS["competition"]) if entry.name == info.plugin]
    yield from sorted({entry.dist.name for entry in entries if entry.dist} - {OWN})
    yield from (*SAME_VERSION, *SHIPPED)


def _packed(name: str, folder: Path) -> Path:
    """Return a distribution's wheel in a folder; a plugin's author may have left a secret in its source."""
    wheel = pack_wheel(name, folder)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            _refuse_secrets(f"{member} of {name}", archive.read(member))
    return wheel


def _requirement(wheel: Path) -> str:
    """Return the requirement that pip installs a wheel for, unless what is there will do."""
    name, version = wheel.name.split("-")[:2]
    plain = name.replace("_", "-")
    if plain in SHIPPED:
        needed = [Requirement(line) for line in distribution(OWN).requires or []]
        return next((f"{plain}{each.specifier}" for each in needed if each.name == plain), plain)
    return f"{plain}=={version}"


def _pack_runs(part: Predictor, file: Path) -> None:
    """Write the run, with all runs that predict for it, as a tar that is the same at each call.

    Its name has no suffix of an archive, since Kaggle unpacks those.
    """
    with replacing(file) as target, tarfile.open(target, "w") as archive:
        for name, path in sorted(part.files(part.run.folder.parent).items()):
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            if path.suffix in (".safetensors", ".npz"):
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                text = path.read_bytes()
                _refuse_secrets(str(path), text)
                archive.addfile(entry, io.BytesIO(text))


def _refuse_secrets(name: str, content: bytes) -> None:
    """Check that no credential of this user is in a file.

    Raises:
        UserError: One is.
    """
    if any(secret.encode() in content for secret in secrets()):
        raise UserError(f"{name} contains one of your credentials: it is not uploaded", "remove it from the file")


def _token(facts: Mapping[str, Any]) -> str:
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]


def _kernel_metadata(title: str, dataset: str, slug: str, owner: str, options: KernelOptions) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": f"{owner}/{slug_of(title)}",
        "title": title,
        "code_file": "predict.ipynb" if options.notebook else "predict.py",
        "language": "python",
        "kernel_type": "notebook" if options.notebook else "script",
        "is_private": True,
        "enable_gpu": bool(options.accelerator),
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": [f"{owner}/{dataset}"],
        "competition_sources": [slug],
        "kernel_sources": [],
        "model_sources": [],
    }
    return {**facts, **({"machine_shape": options.accelerator} if options.accelerator else {})}


def _notebook(code: str) -> str:
    """Return a notebook with one cell."""
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": code}
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}, indent=1) + "\n"
