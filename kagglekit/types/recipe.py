"""A recipe: the stages of a fine-tune and all other settings of a run, as plain frozen data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from kagglekit.system.named_calls import read_calls
from kagglekit.types.data_config import DataConfig

Border = Literal["reflect", "edge", "zero"]
Size = Annotated[int, Field(ge=8, le=4096)]
Share = Annotated[float, Field(ge=0, lt=1)]
Calls = Annotated[str, AfterValidator(lambda text: text if read_calls(text) else "")]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST_CYCLES, MOST_EPOCHS = 1_000, 100_000  # of a stage: more is a typing mistake, or a damaged file
MOST_CHANNELS = 64
USUAL_SIZE = 224  # px, of networks that do not say theirs
LARGER = (7 / 6, 4 / 3, 5 / 3)  # of a stage's size: sizes at which its weights may predict
SECOND = 9 / 7  # 288 px beside 224: heads on both had 5 to 12 % less log loss than at 224 px alone, on four sets
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
        stack_sizes: Sizes at which a stack sees the images, ascending, px; empty for the size that the pretrained
            weights were trained at (`size` where that is unknown) and 9/7 of it. Of no meaning for other solvers.
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
        if list(self.stack_sizes) != sorted(set(self.stack_sizes)):
            raise ValueError(f"stack_sizes ascend, but they are {', '.join(map(str, self.stack_sizes))}")
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


class Recipe(BaseModel):
    """All settings of a run, apart from the competition's data.

    Attributes:
        arch: Name of a timm model, with the tag of its weights: ``resnet34.tv_in1k``.
        archs: Further models, whose features are joined with those of `arch` under one head.
        zoo: Networks to train one after the other on the same images, in place of `arch`, and to pool by `ensemble`;
            empty for `arch` alone.
        stages: In order, numbered from 1.
        pretrained: Start from pretrained weights; False starts from random ones.
        weights: A local file with the pretrained weights; empty for timm's hub. With `archs` or `zoo`, one file for
            each model, separated by commas.
        head: ``linear`` (timm's own) or ``concat-pool`` (fast.ai's: average and max pooling, two layers).
        drop_rate: Dropout before the last layer.
        drop_path: Stochastic depth in the body, where the model has it.
        groups: Number of layer groups, including the head.
        loss: Name of a loss; ``auto`` is that of the competition's task.
        targets: What training images are learnt as: their ``labels``, or with a teacher ``distil``, ``pseudo``,
            ``weights`` or a plugin's.
        teacher: The finished run whose predictions `targets` uses.
        valid: Share of the labelled images to hold out, unless the competition has its own valid split.
        folds: Number of folds of cross-validation; 0 for one model and `valid`.
        group_duplicates: Keep near-duplicates together: in train or valid, in one fold, in the cross-validation of a
            head's strength, and in the five parts by which a fitted ensemble gets its valid score.
        seed: Seed of the split, the order, the augmentation and all new weights.
        split_seed: Seed of the split alone, so that runs of several seeds hold out the same images; None for `seed`.
        limit: Use at most this many labelled and this many test images (stratified); 0 for all.
        tta: Number of augmented views averaged with the plain one at prediction; 0 for none.
        tta_views: Augmented views of prediction: empty for the stage's `views`, ``flip``, ``crops`` or a plugin's.
        tta_sizes: Further sizes at which each member predicts, as multiples of its own: ``[1.17, 1.33]``. The weights
            of the sizes are found on the valid images; without any, they are equal.
        ensemble: How members are combined: ``auto`` (the best of each alone, their mean, and their weighted pool, by
            valid loss), ``mean``, ``geometric``, ``weighted``, ``average``, ``last``, ...
        decision: How predictions become labels or grades in the CSV: ``auto`` is what the metric needs, ``none``,
            ``thresholds``, ``threshold`` (one for all labels), ``cuts``, ``count``, ``new-class``, ``prior-shift``, or
            a plugin's. It is found on valid predictions, and scored on those it was not found on.
        finish: With ``auto``, the size at which fine-tuned networks predict, and how far they are from the frozen one
            that they began as, are chosen on the valid images; ``plain`` leaves them as they were trained.
        predict_size: Side at which all members but stacks of heads predict, px; None (``auto``) for the best of 1, 7/6,
            4/3 and 5/3 times the size of a member's stage, or with ``finish=plain`` for that size.
        channels: Number of channels of the images; 0 for red, green and blue. A run sets it to those of its images.
        depth: Bits of stored images: ``auto`` is 8, and 16 for images with more; or ``8``, ``16``.
        pixel_range: Where images have other than 8 bits, the range of numbers from black to white: that of the
            ``dataset``, or of each ``image``.
        clip: Probabilities in the CSV are kept within [clip, 1 - clip]; 0 for no clipping.
        exposure: Which pretrained weights have seen this competition's images with labels.
        licence: Licence of the pretrained weights.
        source: Source of the recipe, with its own figures, which this project did not measure.
        measured: Results of this recipe as measured by this project, or ``none``.
        options: Settings of plugins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arch: str
    archs: tuple[str, ...] = ()
    zoo: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = Field(min_length=1)
    pretrained: bool = True
    weights: str = ""
    head: str = "linear"
    drop_rate: Share = 0.0
    drop_path: Share = 0.0
    groups: int = Field(3, ge=2)
    loss: str = "auto"
    targets: str = "labels"
    teacher: str = ""
    valid: float = Field(0.2, gt=0, lt=1)
    folds: int = Field(0, ge=0, le=100)
    group_duplicates: bool = False
    seed: int = Field(0, ge=0)
    split_seed: int | None = Field(None, ge=0)
    limit: int = Field(0, ge=0)
    tta: int = Field(4, ge=0, le=64)
    tta_views: str = ""
    tta_sizes: tuple[Annotated[float, Field(ge=0.25, le=4)], ...] = Field((), max_length=8)
    ensemble: str = "auto"
    decision: str = "auto"
    finish: Literal["auto", "plain"] = "auto"
    predict_size: Size | None = None
    channels: int = Field(0, ge=0, le=MOST_CHANNELS)
    depth: Literal["auto", "8", "16"] = "auto"
    pixel_range: Literal["dataset", "image"] = "dataset"
    clip: float = Field(0.0, ge=0, lt=0.5)
    exposure: str = ""
    licence: str = ""
    source: str = ""
    measured: str = "none"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("predict_size", mode="before")
    @classmethod
    def _chosen_size(cls, value: Any) -> Any:
        return None if value == "auto" else value

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds=1 leaves no training images: use 2 or more, or 0 for one model with a valid split")
        if len(set(self.zoo)) < len(self.zoo):
            raise ValueError("two networks of the zoo have the same name")
        twice = [name for name, n in Counter(stage.name for stage in self.stages).items() if n > 1]
        if twice:
            raise ValueError(f"two stages are named {twice[0]!r}: names must be unique")
        if self.ensemble == "average" and self.stages[-1].stacks and not any(stage.snapshots for stage in self.stages):
            raise ValueError("ensemble=average needs weights to average, but a stack of heads alone predicts")
        for stage in self.stages:
            if not -1 <= stage.freeze_to < self.groups - 1:
                raise ValueError(
                    f"stage {stage.name!r} has freeze_to={stage.freeze_to}: with {self.groups} layer groups it must be "
                    f"0 (nothing frozen) to {self.groups - 2}, or -1 (all but the head)"
                )
            if stage.group_lrs is not None and len(stage.group_lrs) != self.groups:
                raise ValueError(
                    f"stage {stage.name!r} has {len(stage.group_lrs)} group_lrs for {self.groups} layer groups"
                )
        return self

    @property
    def has_rgb(self) -> bool:
        """True if the network sees red, green and blue, as pretrained ones do."""
        return self.channels in (0, 3)

    @property
    def sizes(self) -> tuple[int, ...]:
        """All image sides of the run, ascending, px."""
        sizes = {size for stage in self.stages for size in stage.sizes}
        return tuple(sorted(sizes | ({self.predict_size} if self.predict_size else set())))

    def predicting_sizes(self, stage: Stage, multiple: int, own: int | None = None) -> tuple[int, ...]:
        """Return the sides at which a stage's weights predict, px: the own one first, then those of `tta_sizes`.

        Args:
            stage: Stage of the weights.
            multiple: Sides must be multiples of it, px (`DataConfig.multiple`).
            own: The own one, where it has been chosen.
        """
        if stage.stacks:  # it sees its own sizes, whatever it is given
            return (stage.largest,)
        own = own or self.predict_size or stage.size
        others = (max(1, round(own * factor / multiple)) * multiple for factor in self.tta_sizes)
        return tuple(dict.fromkeys((own, *others)))

    @property
    def augments(self) -> bool:
        """True if more than the plain view at a member's own size predicts."""
        return bool(self.tta or self.tta_sizes)

    def finishes(self, stage: Stage) -> bool:
        """Return whether the weights of a stage are finished: it trains more than the head, and the recipe asks."""
        return self.finish == "auto" and self.ensemble != "average" and stage.freeze_to != -1

    def finishing_sizes(self, stage: Stage, config: DataConfig) -> tuple[int, ...]:
        """Return the sides at which the finish tries the weights of a stage, the own one first, px."""
        own = self.predict_size or stage.size
        if self.predict_size or self.tta_sizes or not self.finishes(stage) or not config.any_size:
            return (own,)
        step = config.multiple
        return tuple(dict.fromkeys((own, *(max(1, round(own * ratio / step)) * step for ratio in LARGER))))

    @property
    def split_by(self) -> int:
        """The seed of the split."""
        return self.seed if self.split_seed is None else self.split_seed

    def picked(self, numbers: Iterable[int]) -> list[str]:
        """Return the names of stages whose best epoch is chosen by valid loss and whose weights predict.

        Snapshots are taken at the end of a cycle, so a choice in the last stage with snapshots does not affect them.

        Args:
            numbers: Numbers of the stages that run, from 1.
        """
        ran = [self.stages[number - 1] for number in numbers]
        last = max((place for place, stage in enumerate(ran) if stage.snapshots), default=len(ran))
        return [each.name for each in ran[:last] if each.keep == "best" and each.by_gradient and each.epochs > 1]

    def to_json(self) -> str:
        """Return the recipe as indented JSON."""
        return self.model_dump_json(indent=1)
