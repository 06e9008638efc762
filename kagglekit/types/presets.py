"""Recipes built by rule: progressive resizing, and the baseline on frozen features."""

from __future__ import annotations

from typing import Any, Literal

from kagglekit.types.recipe import Recipe
from kagglekit.types.stage import Stage


def features_recipe(recipe: Recipe) -> Recipe:
    """Return the baseline of a recipe: a stack of heads on its network's frozen features.

    The network sees the images at the size that it was trained at, or else the recipe's largest one, and at 9/7 of that
    size: what it learnt at one size, it recognises best at a larger one, also in images that are smaller (Touvron et
    al. 2019, arXiv:1906.06423).
    """
    last = recipe.stages[-1]
    head = Stage(
        name="head",
        size=recipe.sizes[-1],
        own_size=True,
        freeze_to=-1,
        precompute=True,
        solver="stack",
        plain=last.plain,
        border=last.border,
    )
    network = ("arch", "archs", "pretrained", "weights", "exposure", "licence")
    images = ("valid", "seed", "split_seed", "group_duplicates")
    chosen = {field: getattr(recipe, field) for field in (*network, *images, "clip", "decision", "options")}
    return Recipe(**chosen, stages=(head,), groups=2, tta=min(1, recipe.tta), tta_views="flip")


def progressive_stages(
    sizes: tuple[int, ...],
    *,
    head_size: int | None = None,
    head_lr: float | None = None,
    augmented_head: bool = True,
    lr: float = 2e-4,
    body_factor: float = 3.0,
    cycles: int = 2,
    cycle_len: int = 1,
    cycle_mult: int = 2,
    schedule: str = "sgdr",
    solver: Literal["regression", "stack"] = "stack",
    freeze_to: int = 0,
    **common: Any,
) -> tuple[Stage, ...]:
    """Return the stages of the fast.ai lessons: head on cached activations, head with augmentation, all layers.

    The whole network trains for one short cycle at each size except the last, and for all cycles at the last one,
    which keeps snapshots.

    Args:
        sizes: Growing image sides, px.
        head_size: Side at which the head alone trains, px; None for the first of `sizes`.
        head_lr: Learning rate of the head while the body is frozen; None for `lr`.
        augmented_head: Whether the head trains alone with augmentation before all layers do. A head fitted by
            regression may lose by it what its penalty gained.
        lr: Learning rate of the head when all layers train.
        body_factor: See `Stage`; 10 for images similar to those of the pretraining, 3 for others.
        cycles: Number of cycles of the last stage.
        cycle_len: Epochs of the first cycle.
        cycle_mult: How many times longer each next cycle is.
        schedule: Schedule of the stages that train all layers.
        solver: See `Stage`; of the first stage.
        freeze_to: See `Stage`; of the stages after the head's. With 1, the earliest of three layer groups stays as it
            was pretrained: it has the largest activations, so a step takes half the time.
        **common: Further fields of every stage.

    Returns:
        ``head``, ``head-augmented`` unless left out, then ``all-1``, ``all-2``, ... for each size.
    """
    first, last = sizes[0], sizes[-1]
    head = Stage(name="head", size=head_size or first, freeze_to=-1, precompute=True, solver=solver, **common)
    augmented = Stage(name="head-augmented", size=head_size or first, freeze_to=-1, lr=head_lr or lr, **common)
    body = {"lr": lr, "body_factor": body_factor, "schedule": schedule, "freeze_to": freeze_to, **common}
    growing = [Stage(name=f"all-{i}", size=size, cycle_len=cycle_len, **body) for i, size in enumerate(sizes[:-1], 1)]
    final = Stage(
        name=f"all-{len(sizes)}",
        size=last,
        cycles=cycles,
        cycle_len=cycle_len,
        cycle_mult=cycle_mult,
        snapshots=True,
        **body,
    )
    return (head, *([augmented] if augmented_head else []), *growing, final)


def quick_stages(sizes: tuple[int, ...] = (160, 224), **changes: Any) -> tuple[Stage, ...]:
    """Return the stages of a fine-tune of minutes: the heads, then all but the earliest layers at 160 and 224 px.

    It ends at the size that most small networks were trained at. The earliest layers stay, which halves the time of a
    step, and no stage trains the head alone with augmentation: neither gained anything on photographs like those of the
    pretraining (docs/results.md).

    Args:
        sizes: Image sides of the stages after the head, px.
        **changes: Further arguments of `progressive_stages`, or others.

    Returns:
        ``head``, then ``all-1``, ``all-2`` and so on; the last one keeps a snapshot.
    """
    usual = {"head_size": 224, "augmented_head": False, "freeze_to": 1, "cycles": 1, "batch_norm": "keep"}
    return progressive_stages(sizes, **{**usual, **changes})
