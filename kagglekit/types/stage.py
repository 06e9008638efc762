"""A stage of a recipe: what trains on which images, at which size and rate, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from kagglekit.system.named_calls import read_calls

Border = Literal["reflect", "edge", "zero"]
Size = Annotated[int, Field(ge=8, le=4096)]
Share = Annotated[float, Field(ge=0, lt=1)]
Calls = Annotated[str, AfterValidator(lambda text: text if read_calls(text) else "")]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST_CYCLES, MOST_EPOCHS = 1_000, 100_000  # of a stage: more is a typing mistake, or a damaged file
USUAL_SIZE = 224  # px, of networks that do not say theirs
SCALES = (1.0, 9 / 7)  # 288 px beside 224: heads on both had 5 to 12 % less log loss than at 224 px alone, on four sets
AUTO = {
    "lr": "find_lr",
    "batch_size": "find_batch",
    "size": "own_size",
}  # fields of a stage that may be "auto", with the equivalent flag


class Stage(BaseModel):
    """One stage of training: its trainable layers, image size, length and rates.

    docs/how-to/views.md explains `views`, `plain` and `keep` together with a recipe's `tta_views`.

    Attributes:
        name: Unique in its recipe, for example ``head``.
        size: Side of the square the network sees, px.
        cycles: Number of learning-rate cycles. Cycle i (from 0) lasts ``cycle_len * cycle_mult**i`` epochs.
        cycle_len: Epochs of the first cycle.
        cycle_mult: How many times longer each next cycle is.
        schedule: Name of a schedule: ``one-cycle``, ``sgdr``, ``flat-cosine``, ``constant`` or a plugin's.
        lr: Highest learning rate of the head.
        own_size: Take the size that the pretrained weights were trained at, where it is known; same as ``size="auto"``.
        find_lr: Find the rate before the stage by a range test, at its ``valley``; same as ``lr="auto"``.
        body_factor: The rate of the layer group before the head is ``lr / body_factor``, that of the earliest
            ``lr / body_factor**2``; rates between them are spaced geometrically.
        group_lrs: Explicit rates, earliest group first, `lr` last; overrides `body_factor`.
        layer_decay: The rate of each layer as a share of that of the layer after it; the head's is `lr`. Overrides
            `body_factor`; None for one rate a layer group.
        freeze_to: Layer groups before this one are frozen: 0 none, 1 the first, -1 all but the head.
        precompute: Cache the activations at the head's input once, without augmentation, and train on those.
            Needs ``freeze_to=-1``.
        solver: How a precomputed head is fitted: ``regression`` (L2-regularised logistic regression on
            standardised features, strength by cross-validation; lr and epochs are not used), ``stack`` (this and other
            heads on the same features, pooled; a member of its own) or ``gradient``.
        stack_sizes: Sizes at which a stack sees the images, ascending, px; empty for those of `stack_scales`. Of no
            meaning for other solvers.
        stack_scales: The same sizes as parts of the one that the pretrained weights were trained at (`size` where that
            is unknown), ascending.
        batch_norm: ``keep`` the running statistics of BatchNorm layers, or ``update`` them.
        lora: Rank of low-rank adapters that train in place of the body's weights, in the attention layers of the groups
            that are not frozen (Hu et al. 2021, arXiv:2106.09685); 0 for none.
        batch_size: Images per step; batches are always full.
        find_batch: Find before the stage the largest batch that fits the memory and still gains images/s; same as
            ``batch_size="auto"``.
        grad_accum_steps: Parts of a batch whose gradients are computed one after the other and added up, so that memory
            holds the activations of one part; a step still sees `batch_size` images.
        grad_checkpointing: Keep few activations in the forward pass and compute the others again in the backward pass
            (Chen et al. 2016, arXiv:1604.06174), where the network can.
        optimizer: Name of an optimizer: ``adamw``, ``sgd`` or a plugin's.
        views: Augmentation in training: ``side_on``, ``top_down``, ``random-resized-crop``, ``none``, ...
        augment: What is done to training images under `views`, never in prediction: names joined by ``+``, each with
            its settings in brackets: ``trivial-augment``, ``color-jitter(hue=0.2)+random-erasing``, ...
        plain: The view without augmentation, for prediction: ``centre``, ``squash`` or ``pad``.
        border: How points outside of the image are filled.
        max_rotate: Largest rotation of ``side_on``, degrees.
        max_zoom: Largest zoom of ``side_on``.
        max_light: Largest change of brightness and contrast, as a share.
        min_scale: Smallest share of the largest possible crop's area in ``random-resized-crop``.
        mixup: Alpha of mixup's Beta distribution (Zhang et al. 2017, arXiv:1710.09412); 0 for none.
        cutmix: Alpha of CutMix's (Yun et al. 2019, arXiv:1905.04899); 0 for none. With both, each batch
            draws one of them.
        label_smoothing: Share of the target that is spread evenly over all classes.
        drop_rate: Dropout before the last layer in this stage; None for the recipe's.
        weight_decay: Decoupled; not applied to biases and normalisation parameters.
        clip_norm: Gradients are scaled to at most this norm; 0 for no clipping.
        ema: Decay per step of an exponential moving average of the weights; 0 for none.
        oversample: 0 draws images uniformly, 1 draws classes uniformly; between, class frequency**(1 - oversample).
        snapshots: Keep the weights at the end of each cycle for the ensemble.
        keep: Continue with the weights of the ``last`` epoch, or of the ``best`` one by the competition's metric. The
            best epoch is chosen on the valid images, in each fold separately, so valid scores are slightly optimistic;
            the report says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    size: Size
    cycles: int = Field(1, ge=1, le=MOST_CYCLES)
    cycle_len: int = Field(1, ge=1, le=MOST_EPOCHS)
    cycle_mult: int = Field(1, ge=1, le=100)
    schedule: str = "one-cycle"
    lr: Rate = 1e-3
    own_size: bool = False
    find_lr: bool = False
    body_factor: float = Field(10.0, ge=1)
    group_lrs: tuple[Rate, ...] | None = None
    layer_decay: float | None = Field(None, gt=0, le=1)
    freeze_to: int = 0
    precompute: bool = False
    solver: Literal["regression", "stack", "gradient"] = "regression"
    stack_sizes: tuple[Size, ...] = ()
    stack_scales: tuple[Annotated[float, Field(ge=0.25, le=4)], ...] = Field(SCALES, min_length=1)
    batch_norm: Literal["keep", "update"] = "update"
    lora: int = Field(0, ge=0, le=1024)
    batch_size: int = Field(64, ge=1)
    find_batch: bool = False
    grad_accum_steps: int = Field(1, ge=1)
    grad_checkpointing: bool = False
    optimizer: str = "adamw"
    views: str = "side_on"
    augment: Calls = ""
    plain: str = "centre"
    border: Border = "reflect"
    max_rotate: float = Field(10.0, ge=0, le=180)
    max_zoom: float = Field(1.1, ge=1, le=4)
    max_light: Share = 0.1
    min_scale: float = Field(0.35, gt=0, le=1)
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)
    label_smoothing: Share = 0.0
    drop_rate: Share | None = None
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(0.0, ge=0)
    ema: Share = 0.0
    oversample: float = Field(0.0, ge=0, le=1)
    snapshots: bool = False
    keep: Literal["last", "best"] = "last"

    @property
    def epochs(self) -> int:
        """Epochs of the whole stage: the sum over its cycles."""
        return sum(self.cycle_epochs)

    @property
    def cycle_epochs(self) -> tuple[int, ...]:
        """Epochs of each cycle."""
        return tuple(self.cycle_len * self.cycle_mult**i for i in range(self.cycles))

    @property
    def by_gradient(self) -> bool:
        """True if the stage takes optimizer steps (a regression head does not)."""
        return not self.precompute or self.solver == "gradient"

    @property
    def stacks(self) -> bool:
        """True if the stage fits a stack of heads, which is a member of its own."""
        return self.precompute and self.solver == "stack"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the images that its network sees, ascending, px."""
        return tuple(sorted({self.size, *(self.stack_sizes if self.stacks else ())}))

    def stack_sizes_of(self, own: int) -> tuple[int, ...]:
        """Return the sizes at which the stack of a network sees the images, whose own size is `own` px."""
        return self.stack_sizes or tuple(dict.fromkeys(round(scale * own) for scale in self.stack_scales))

    @property
    def largest(self) -> int:
        """Side of the images that its weights predict at unless the recipe says otherwise, px."""
        return self.stack_sizes[-1] if self.stacks and self.stack_sizes else self.size

    @model_validator(mode="before")
    @classmethod
    def _auto(cls, data: Any) -> Any:
        """Read ``"auto"`` for rate, batch and size; the numbers, which also define ratios, keep their defaults."""
        if not isinstance(data, dict):
            return data
        found = {AUTO[key]: True for key in AUTO if data.get(key) == "auto"}
        kept = {key: value for key, value in data.items() if AUTO.get(key) not in found}
        return {**({"size": USUAL_SIZE} if "own_size" in found else {}), **kept, **found}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.epochs > MOST_EPOCHS:
            raise ValueError(
                f"{self.cycles} cycles have more than {MOST_EPOCHS:,} epochs: fewer, or a smaller cycle_mult"
            )
        if self.precompute and self.freeze_to != -1:
            raise ValueError("precompute caches the output of a frozen body: it needs freeze_to=-1")
        if self.precompute and (self.mixup or self.cutmix):
            raise ValueError("precompute trains on cached activations, but mixup and cutmix need images")
        for name, values in (("stack_sizes", self.stack_sizes), ("stack_scales", self.stack_scales)):
            if list(values) != sorted(set(values)):
                raise ValueError(f"{name} ascend, but they are {', '.join(map(str, values))}")
        if self.group_lrs is not None and self.group_lrs[-1] != self.lr:
            raise ValueError(f"the last of group_lrs is the head's rate, {self.group_lrs[-1]:g}, but lr is {self.lr:g}")
        if self.group_lrs is not None and self.layer_decay is not None:
            raise ValueError("group_lrs and layer_decay both set the rates of the layers: set one of them")
        if self.grad_accum_steps > self.batch_size and not self.find_batch:
            raise ValueError(f"a batch of {self.batch_size} images has no {self.grad_accum_steps} parts")
        if self.snapshots and not self.by_gradient and self.cycles > 1:
            raise ValueError("a head fitted by regression has no cycles, so no snapshots")
        return self


def predicting_stages(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages of a run whose weights predict: stacks, those with snapshots, and else the last one."""
    last = [] if any(stage.snapshots for stage in stages) else stages[-1:]
    return [stage for stage in stages if stage.stacks or stage.snapshots or stage in last]
