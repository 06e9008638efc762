"""The parts of a kernel's folder: wheels, a packed run, and the program; none of them with a credential in it."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution, entry_points
from inspect import getsource
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from kagglekit.hooks.manager import disabled_in
from kagglekit.hooks.plugin import GROUPS, OWN
from kagglekit.hooks.trust import is_path
from kagglekit.kaggle.credentials import secrets
from kagglekit.kaggle.kernels import script
from kagglekit.kaggle.kernels.script import HUB
from kagglekit.kaggle.kernels.wheel import pack_wheel
from kagglekit.runs.info import RunInfo
from kagglekit.system.errors import UserError
from kagglekit.system.files import replacing

SAME_VERSION = ("timm",)  # which builds the networks
SHIPPED = (  # installed only where Kaggle's image has none, or one that is too old
    *("pluggy", "click", "rich", "markdown-it-py", "mdurl", "pygments"),
    *("platformdirs", "filelock", "packaging", "threadpoolctl"),
)
BINARY = (".safetensors", ".npz", ".bin")  # of weights and numbers


def pack_wheels(info: RunInfo, folder: Path) -> list[str]:
    """Write the wheels that a run needs on another machine; return the requirements that pip installs there.

    Raises:
        UserError: A plugin's distribution cannot be packed, or holds a credential.
    """
    return [_requirement(name, _packed(name, folder)) for name in _distributions(info)]


def pack_files(files: Mapping[str, Path], target: Path) -> None:
    """Write files into a tar, by their names in it, that is the same at each call.

    Raises:
        UserError: One of them holds a credential, or the disk is full.
    """
    with replacing(target) as part, tarfile.open(part, "w") as archive:
        for name, path in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            if path.suffix in BINARY:
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                text = path.read_bytes()
                refuse_secrets(str(path), text)
                archive.addfile(entry, io.BytesIO(text))


def hub_files(weights: str) -> dict[str, Path]:
    """Return pretrained weights in this machine's cache of the Hugging Face hub, by their paths in the packed files.

    Args:
        weights: Where they come from, as run.json has it: ``timm/resnet18.a1_in1k``, or several.

    Returns:
        All of them, laid out as the hub's client looks for them; nothing if one is not there.
    """
    from huggingface_hub import constants

    found: dict[str, Path] = {}
    for origin in weights.split(", "):
        repository, _, revision = origin.partition(" ")[0].partition("@")
        own = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
        ref = own / "refs" / (revision or "main")
        try:
            snapshot = own / "snapshots" / ref.read_text(encoding="utf-8").strip()
        except OSError:
            return {}
        files = sorted(snapshot.glob("*.safetensors")) or sorted(snapshot.glob("*.bin"))
        if not files:
            return {}
        found |= {f"{HUB}/{file.relative_to(own.parent).as_posix()}": file for file in (ref, *files)}
    return found


def program(manifest: Mapping[str, Any]) -> str:
    """Return the program of a kernel with its manifest."""
    source = getsource(script)
    line = next(line for line in source.splitlines() if line.startswith("MANIFEST: "))
    code = source.replace(line, f"MANIFEST: dict[str, Any] = json.loads({json.dumps(manifest, sort_keys=True)!r})")
    refuse_secrets("the program", code.encode())
    return code


def plugin_files(info: RunInfo) -> list[str]:
    """Return the paths of a run's plugin files."""
    return [file for file in (info.plugin, *info.plugin_files) if is_path(file)]


def refuse_secrets(name: str, content: bytes) -> None:
    """Check that no credential of this user is in a file.

    Raises:
        UserError: One is.
    """
    if any(secret.encode() in content for secret in secrets()):
        raise UserError(f"{name} contains one of your credentials: it is not uploaded", "remove it from the file")


def _distributions(info: RunInfo) -> Iterator[str]:
    """Yield the distributions that a kernel brings along: kagglekit, others' plugins, and what images may lack."""
    yield OWN
    disabled = disabled_in(info)
    entries = [entry for entry in entry_points(group=GROUPS["shared"]) if entry.name not in disabled]
    entries += [entry for entry in entry_points(group=GROUPS["competition"]) if entry.name == info.plugin]
    yield from sorted({entry.dist.name for entry in entries if entry.dist} - {OWN})
    yield from (*SAME_VERSION, *SHIPPED)


def _packed(name: str, folder: Path) -> Path:
    """Return a distribution's wheel in a folder; a plugin's author may have left a secret in its source."""
    wheel = pack_wheel(name, folder)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            refuse_secrets(f"{member} of {name}", archive.read(member))
    return wheel


def _requirement(name: str, wheel: Path) -> str:
    """Return the requirement that pip installs a wheel for, unless what is there will do."""
    if name not in SHIPPED:
        return f"{name}=={wheel.name.split('-')[1]}"
    needed = [Requirement(line) for line in distribution(OWN).requires or []]
    return next((f"{name}{each.specifier}" for each in needed if each.name == name), name)
