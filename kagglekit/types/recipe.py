"""A recipe: the stages of a fine-tune and all other settings of a run, as plain frozen data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kagglekit.types.data_config import DataConfig
from kagglekit.types.stage import Share, Size, Stage

MOST_CHANNELS = 64
LARGER = (7 / 6, 4 / 3, 5 / 3)  # of a stage's size: sizes at which its weights may predict


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
