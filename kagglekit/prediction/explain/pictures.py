"""Pictures that a run leaves for its report: what training saw, and where a network looks on the worst images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from kagglekit.compute.heads.stacked_head import for_split
from kagglekit.prediction.explain.attention import attention_maps
from kagglekit.prediction.finish import size_of
from kagglekit.prediction.members import network_of
from kagglekit.system.files import replacing, write_text
from kagglekit.types.predictions import load_predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kagglekit.prediction.members import Predicted
    from kagglekit.training.context import RunContext, Snapshot

TRAINED = 6  # images of a stage
EPOCHS = 2  # of each of them
WORST = 8  # images
AT_ONCE = 4  # images of a backward pass
STRIP, SIDE = 96, 128  # px
HEAT = np.array([255.0, 70.0, 0.0])  # red, green, blue of the places that count
QUALITY, METHOD = 70, 2  # of WebP


def leave_pictures(context: RunContext, snapshots: Sequence[Snapshot], predicted: Sequence[Predicted]) -> None:
    """Write the pictures and what they show into the run's folder; warn if this fails: the run is complete."""
    try:
        facts = {"augmented": _augmented(context), "attention": _attention(context, snapshots, predicted)}
        if any(facts.values()):
            write_text(context.run.pictures / "pictures.json", json.dumps(facts, indent=1) + "\n")
    except Exception as error:  # no picture may fail a finished run
        context.display.warn(f"the report lacks some pictures ({type(error).__name__}: {error})")


def _augmented(context: RunContext) -> list[dict[str, Any]]:
    """Draw some training images of each stage: plain, then as training saw them in its first epochs."""
    facts = []
    rows = context.images.rows("train")[:TRAINED]
    for number in context.stages if len(rows) else ():
        stage = context.stage(number)
        if stage.precompute:  # its head is trained on features of plain images
            continue
        view = context.hooks.views(context.recipe, stage, "train", context.config)
        try:
            plain = context.images.loader("labelled", context.plain_view(stage), stage.size)
            trained = context.images.loader("labelled", view, stage.size, salt=(number, "train"))
        except KeyError:  # the run was resumed after this stage, whose images were not needed again
            continue
        batches = [plain.batch(rows, 0), *(trained.batch(rows, epoch) for epoch in range(EPOCHS))]
        seen = [[_small(image, STRIP) for image in _pixels(context, batch)] for batch in batches]
        name = f"augmented-{number}.webp"
        _save(context, name, np.concatenate([np.concatenate(row, axis=1) for row in seen]))
        facts.append({"file": name, "stage": stage.name, "size": stage.size, "images": len(rows), "epochs": EPOCHS})
    return facts


def _attention(
    context: RunContext, snapshots: Sequence[Snapshot], predicted: Sequence[Predicted]
) -> list[dict[str, Any]]:
    """Draw where the best single network looks on the valid images with the highest loss of the run."""
    rows, file = context.images.rows("valid"), context.run.predictions("ensemble", "valid")
    if not len(rows) or not file.exists() or not predicted:
        return []
    ids, truth = context.images.ids("valid"), context.images.truth("valid")
    losses = context.task.losses(truth, load_predictions(file).loc[ids].to_numpy())
    worst = np.argsort(-losses, kind="stable")[:WORST]
    own = [float(context.task.losses(truth, each.plain_valid.loc[ids].to_numpy()).mean()) for each in predicted]
    best = predicted[int(np.argmin(own))].member.name
    snapshot = next((each for each in snapshots if each.name == best), None)
    if snapshot is None:
        return []
    size = size_of(context.recipe, context.record.info, best, snapshot.stage)
    network = for_split(network_of(context, snapshot, size), valid=True).eval()
    loader = context.images.loader("labelled", context.plain_view(snapshot.stage), size)
    facts: list[dict[str, Any]] = []
    for start in range(0, len(worst), AT_ONCE):
        places = worst[start : start + AT_ONCE]
        images = loader.batch(rows[places], 0)
        found = attention_maps(network, images)
        if found is None:
            return []
        maps = interpolate(found[0][:, None], size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        pixels = _pixels(context, images)
        for place, heat, shown, number in zip(places, maps.cpu().numpy(), pixels, found[1].tolist(), strict=True):
            name = f"attention-{len(facts) + 1}.webp"
            _save(context, name, _small(_heated(shown, heat), SIDE))
            facts.append({"file": name, "id": ids[place], "explains": context.task.columns[number], "member": best})
    return facts


def _heated(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    share = 0.65 * heat[..., None]
    grey = image.mean(axis=2, keepdims=True)
    heated: NDArray[np.uint8] = np.clip(grey * (1 - share) + HEAT * share, 0, 255).astype(np.uint8)
    return heated


def _pixels(context: RunContext, batch: Tensor) -> NDArray[np.uint8]:
    """Return normalised images (B, channels, S, S) as uint8 (B, S, S, 3): the channels that are shown."""
    mean, std = (
        torch.tensor(values, device=batch.device)[:, None, None] for values in (context.config.mean, context.config.std)
    )
    values = ((batch.float() * std + mean).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    shown = context.record.info.form.shown if values.shape[3] != 3 else (0, 1, 2)
    chosen: NDArray[np.uint8] = values[..., list(shown)]
    return chosen if chosen.shape[3] == 3 else np.repeat(chosen[..., :1], 3, axis=3)


def _small(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))


def _save(context: RunContext, name: str, image: NDArray[np.uint8]) -> None:
    context.run.pictures.mkdir(exist_ok=True)
    with replacing(context.run.pictures / name) as part:
        Image.fromarray(image).save(part, "WEBP", quality=QUALITY, method=METHOD)
