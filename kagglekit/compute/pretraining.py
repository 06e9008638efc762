"""Pretrained models of timm: size, licence, and the data in the tag of their name."""

from __future__ import annotations

import difflib
import fnmatch
from dataclasses import dataclass
from typing import Any, Literal

from kagglekit.system.errors import UserError

MOST_COUNTED = 24  # architectures; counting parameters means building the network


IMAGENET = {"in1k": "ImageNet-1k", "in12k": "ImageNet-12k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k"}
IMAGENET["inw21k"] = "ImageNet-21k (2021)"
OTHERS = {  # part of a tag: (images, annotation of each)
    "laion2b": ("LAION-2B", "captions"),
    "laion400m": ("LAION-400M", "captions"),
    "laiona": ("LAION-Aesthetic", "captions"),
    "openai": ("OpenAI's CLIP data", "captions"),
    "webli": ("WebLI", "captions"),
    "dfn2b": ("DFN-2B", "captions"),
    "dfn5b": ("DFN-5B", "captions"),
    "dfndr2b": ("DFNDR-2B", "captions"),
    "datacompxl": ("DataComp-1B", "captions"),
    "datacomp1b": ("DataComp-1B", "captions"),
    "metaclip": ("MetaCLIP data", "captions"),
    "metaclip2": ("MetaCLIP data", "captions"),
    "merged2b": ("LAION-2B and COYO", "captions"),
    "yfcc15m": ("YFCC-15M", "captions"),
    "cc12m": ("CC-12M", "captions"),
    "ig1b": ("Instagram-1B", "hashtags"),
    "swag": ("Instagram-3.6B", "hashtags"),
    "seer": ("Instagram", "no labels"),
    "yfcc100m": ("YFCC-100M", "labels guessed by an ImageNet model"),
    "jft": ("JFT-300M", "labels guessed by an ImageNet model"),
    "lvd142m": ("LVD-142M", "no labels"),
    "lvd1689m": ("LVD-1689M", "no labels"),
    "sat493m": ("SAT-493M", "no labels"),
    "m30m": ("Merged-30M", "no labels"),
    "m38m": ("Merged-38M", "no labels"),
    "sa1b": ("SA-1B", "masks"),
}
SELF_SUPERVISED = {"mae", "fcmae", "mim", "ijepa", "dino"}  # methods that learn from images alone
IMPLIED = {"mae": "in1k", "fcmae": "in1k", "dino": "in1k"}  # their images, if the tag names none
MASKED = ("beit_", "beitv2_", "eva_")  # networks whose first training is of that kind, though the tag does not say so


@dataclass(frozen=True)
class Exposure:
    """The data that weights were trained on.

    Attributes:
        trained_on: Data sets in order, each with the annotation of its images; ``unknown`` if the tag names none.
        imagenet_labels: Whether ImageNet's images were seen with their labels: ``yes``, ``none named`` if the tag
            names other data only, or ``unknown``.
    """

    trained_on: str
    imagenet_labels: Literal["yes", "none named", "unknown"]


def exposure(name: str) -> Exposure:
    """Read the tag of a timm model name; fine-tuning on the same data at another size is not a separate step.

    Teachers in distillation and data that the tag does not name are missing, so the weights may have seen more.

    Args:
        name: ``arch.tag``, for example ``convnext_tiny.in12k_ft_in1k``.
    """
    arch, _, tag = name.partition(".")
    steps = [step.split("_") for step in f"_{tag}_".replace("_ft_", "_|_").strip("_").split("_|_")]
    alone = bool(SELF_SUPERVISED.intersection(tag.split("_"))) or (len(steps) > 1 and arch.startswith(MASKED))
    steps[1:] = [parts for parts in steps[1:] if not all(part.isdigit() or part == "soup" for part in parts)]
    seen = [data for number, step in enumerate(steps) for data in _step(step, alone and number == 0)]
    parts = list(dict.fromkeys(seen))  # once each, in order
    if any(part.endswith("(labels)") for part in parts):
        return Exposure(", then ".join(parts), "yes")
    return Exposure(", then ".join(parts), "unknown" if "unknown" in parts else "none named")


def _step(tags: list[str], without_labels: bool) -> list[str]:
    """Describe the data of one step of training: before, between or after the fine-tunings."""
    if not any(tag in IMAGENET or tag in OTHERS for tag in tags):
        tags = [IMPLIED[tag] for tag in tags if tag in IMPLIED]
    parts = []
    for tag in tags:
        if tag in IMAGENET:
            parts.append(f"{IMAGENET[tag]} ({'no labels' if without_labels else 'labels'})")
        elif tag in OTHERS:
            parts.append("{} ({})".format(*OTHERS[tag]))
    return parts or ["unknown"]


@dataclass(frozen=True)
class Listed:
    """One line of `kagglekit models`.

    Attributes:
        model: Name for `--arch`.
        parameters: Number of parameters, classifier included; None if too many models matched to count.
        size: Side of its training images, px.
        licence: Licence of the weights, as timm states it.
        imagenet_labels: See `Exposure`.
        trained_on: See `Exposure`.
    """

    model: str
    parameters: int | None
    size: int
    licence: str
    imagenet_labels: str
    trained_on: str


def find_models(pattern: str) -> list[Listed]:
    """Describe timm's pretrained models whose name contains or matches a pattern.

    Raises:
        UserError: No name does; the message has similar names.
    """
    import timm

    return describe(matching(pattern, timm.list_pretrained()))


def matching(pattern: str, names: list[str]) -> list[str]:
    """Return the names that contain a pattern, or match it if it has wildcards; case is ignored.

    Raises:
        UserError: No name matches; the message lists close ones.
    """
    wanted = pattern.lower()
    if any(wildcard in wanted for wildcard in "*?["):
        found = [name for name in names if fnmatch.fnmatchcase(name.lower(), wanted)]
    else:
        found = [name for name in names if wanted in name.lower()]
    if not found:
        near = difflib.get_close_matches(wanted.strip("*"), {*names, *(n.partition(".")[0] for n in names)}, 5, 0.5)
        raise UserError(
            f"no timm model with pretrained weights matches {pattern!r}",
            f"similar: {', '.join(near)}" if near else "list all: kagglekit models",
        )
    return found


def describe(names: list[str]) -> list[Listed]:
    """Look up each model; count parameters if few match."""
    import timm

    archs = {name.partition(".")[0] for name in names}
    counts = {name: _count(name) for name in names} if len(archs) <= MOST_COUNTED else {}
    listed = []
    for name in names:
        cfg: Any = timm.get_pretrained_cfg(name)
        seen = exposure(name)
        listed.append(
            Listed(
                name,
                counts.get(name),
                max(cfg.input_size[-2:]),
                cfg.license or "unknown",
                seen.imagenet_labels,
                seen.trained_on,
            )
        )
    return listed


def _count(name: str) -> int:
    """Count the parameters of a network on the meta device."""
    import timm
    import torch

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(name, pretrained=False).parameters())
