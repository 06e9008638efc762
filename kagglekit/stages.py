"""One stage of a run, step by step: what is frozen, what it trains on, what it writes to the log and keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from kagglekit.activations import CachedActivations, head_inputs
from kagglekit.device import Compute, Format
from kagglekit.estimate import Estimate, step_cost
from kagglekit.metric import Metric
from kagglekit.model import DataConfig, data_config, frozen_names, head_module, save_weights, set_input_size, set_modes
from kagglekit.passes import predict_pass
from kagglekit.pictures import Pictures
from kagglekit.plan import Plan
from kagglekit.progress import Bar, Display
from kagglekit.recipe import Stage
from kagglekit.run_folder import Run
from kagglekit.solver import fit_linear_head, linear_layer
from kagglekit.train import Fit, Progress, batch_of, steps_per_epoch, train_stage

if TYPE_CHECKING:
    from kagglekit.loader import Loader


@dataclass(frozen=True)
class Work:
    """A run under way.

    Attributes:
        plan: What was decided before it began.
        run: Its folder.
        display: Where it shows itself.
        model: The network, on the device.
        groups: Its layer groups' parameter names.
        pictures: The decoded images.
        compute: Device and formats.
        log_loss: Of valid predictions; what `keep=best` looks at.
        metric: What the competition reports.
        estimate: Of the whole run's time.
        log: The rows of log.csv so far.
    """

    plan: Plan
    run: Run
    display: Display
    model: nn.Module
    groups: list[list[str]]
    pictures: Pictures
    compute: Compute
    log_loss: Metric
    metric: Metric
    estimate: Estimate
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def config(self) -> DataConfig:
        """What the network expects of its input."""
        return data_config(self.model)

    @property
    def head(self) -> tuple[str, nn.Module]:
        """Name and module of the last layer group."""
        return head_module(self.model, self.groups)

    def set_modes(self, stage: Stage) -> None:
        """Put frozen modules into eval mode, all others into train mode."""
        set_modes(self.model, frozen_names(self.model), stage.batch_norm, self.head[0])


@dataclass(frozen=True)
class Snapshot:
    """Weights kept at the end of a cycle.

    Attributes:
        name: The member's name.
        stage: The stage they come from.
        cycle: The cycle's number, from 1.
    """

    name: str
    stage: Stage
    cycle: int


def run_stage(work: Work, number: int, stage: Stage) -> list[Snapshot]:
    """Train one stage; return the snapshots that it wrote."""
    set_input_size(work.model, stage.size)
    work.plan.hooks.stage_start(work.run, stage)
    if stage.precompute:
        _train_head_on_activations(work, number, stage)
        snapshots = [_keep(work, stage, 1, work.model)] if stage.snapshots else []
    else:
        snapshots = _train_on_images(work, number, stage)
    work.plan.hooks.stage_end(work.run, stage)
    return snapshots


def _train_on_images(work: Work, number: int, stage: Stage) -> list[Snapshot]:
    chosen = work.compute.infer if stage.freeze_to == -1 else work.compute.train
    work.model.to(memory_format=chosen.memory_format)
    views = work.plan.hooks.views(work.plan.recipe, stage, "train", work.config)
    loader = work.pictures.loader("labelled", views, stage.size, salt=(number, "train"))
    inputs = loader if chosen.channels_last else _Contiguous(loader)
    fit = _fit(work, number, stage, work.model, inputs, chosen)
    work.set_modes(stage)
    return _follow(work, fit, loader)


@dataclass(frozen=True)
class _Contiguous:
    """A loader's batches in the layout that some networks prefer."""

    loader: Loader

    def batches(self, rows: Any, turn: int) -> Iterator[Tensor]:
        return (images.contiguous() for images in self.loader.batches(rows, turn))


def _follow(work: Work, fit: Fit, loader: Loader | None) -> list[Snapshot]:
    """Drive the training loop: show it, validate each epoch, log, keep snapshots and the best epoch."""
    stage, snapshots = fit.stage, []
    best: tuple[float, dict[str, Tensor]] | None = None
    batch, steps = batch_of(stage, len(fit.rows)), len(fit.schedule.lr)
    cost = batch * step_cost(stage, work.compute.train_cost)
    with work.display.bar(f"{fit.number} {stage.name}", steps * batch) as bar:
        epoch_started = started = time.perf_counter()
        for at in train_stage(fit):
            if loader:
                note_speed(work, cost, time.perf_counter() - started)
            _show(bar, batch, at)
            if at.epoch_ends:
                row = _epoch_row(work, fit, at, loader, time.perf_counter() - epoch_started)
                _write_row(work, stage, row)
                if stage.keep == "best" and (best is None or row["valid_loss"] < best[0]):
                    best = row["valid_loss"], {k: v.clone() for k, v in at.weights.state_dict().items()}
                epoch_started = time.perf_counter()
                work.set_modes(stage)
            if at.cycle_ends and stage.snapshots:
                whole = at.weights if fit.model is work.model else work.model
                snapshots.append(_keep(work, stage, at.cycle_ends, whole))
            started = time.perf_counter()
    if best:
        fit.model.load_state_dict(best[1])
    return snapshots


def _fit(work: Work, number: int, stage: Stage, model: nn.Module, inputs: Any, chosen: Format) -> Fit:
    plan, rows = work.plan, work.pictures.rows("train")
    optimizer = plan.hooks.optimizer(work.model, work.groups, stage)
    schedule = plan.hooks.schedule(stage, steps_per_epoch(stage, len(rows)))
    return Fit(
        model=model,
        inputs=inputs,
        rows=rows,
        labels=work.pictures.labels("train"),
        n_classes=len(plan.classes),
        stage=stage,
        number=number,
        optimizer=optimizer,
        schedule=schedule,
        loss=plan.hooks.loss(plan.recipe),
        compute=work.compute,
        format=chosen,
        seed=plan.recipe.seed,
    )


def _train_head_on_activations(work: Work, number: int, stage: Stage) -> None:
    started = time.perf_counter()
    _, head = work.head
    cached, seconds = _cache(work, stage, head)
    work.display.say(
        f"{number} {stage.name}: cached the activations of {len(cached.features):,} images at {stage.size} px in "
        f"{seconds:.1f} s; augmentation is off in this stage"
    )
    if stage.solver == "regression":
        _solve(work, number, stage, head, cached, started)
        return
    fit = _fit(work, number, stage, head, cached, Format("fp32", channels_last=True))
    head.train()
    _follow(work, fit, None)


def _cache(work: Work, stage: Stage, head: nn.Module) -> tuple[CachedActivations, float]:
    started = time.perf_counter()
    rows = np.concatenate([work.pictures.rows("train"), work.pictures.rows("valid")])
    loader = work.pictures.loader("labelled", _plain_view(work, stage), stage.size)
    work.model.to(memory_format=work.compute.infer.memory_format)
    parts, before = [], started
    with work.display.bar(f"{stage.name}: activations", len(rows)) as bar:
        for part in head_inputs(work.model, head, loader, rows, work.compute):
            note_speed(work, len(part) * stage.size**2, time.perf_counter() - before)
            parts.append(part)
            bar.advance(len(part))
            before = time.perf_counter()
    where = np.full(int(rows.max()) + 1, -1)
    where[rows] = np.arange(len(rows))
    return CachedActivations(torch.cat(parts), where), time.perf_counter() - started


def _solve(work: Work, number: int, stage: Stage, head: nn.Module, cached: CachedActivations, started: float) -> None:
    layer, rows = linear_layer(head), work.pictures.rows("train")
    features = cached.features[torch.from_numpy(cached.where[rows])].cpu().numpy()
    labels = work.pictures.labels("train")
    found = fit_linear_head(features.reshape(len(rows), -1), labels, len(work.plan.classes), work.plan.recipe.seed)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(found.weight))
        layer.bias.copy_(torch.from_numpy(found.bias))
    work.display.say(
        f"{number} {stage.name}: logistic regression, C {found.strength:.2g}, log loss {found.log_loss:.4f} in "
        "cross-validation on the training images"
    )
    loss = float(nn.functional.cross_entropy(head(cached.features[: len(rows)]), _on(work, labels)).detach())
    scores = _scores(work, _head_probabilities(work, head, cached))
    row = _row(stage, 1, 1, 0, 0.0, loss, scores, work) | {"seconds": time.perf_counter() - started}
    _write_row(work, stage, row)


def _on(work: Work, labels: Any) -> Tensor:
    return torch.from_numpy(labels).to(work.compute.device)


@torch.no_grad()
def _head_probabilities(work: Work, head: nn.Module, cached: CachedActivations) -> Any:
    head.eval()
    rows = torch.from_numpy(cached.where[work.pictures.rows("valid")])
    return head(cached.features[rows.to(cached.features.device)]).float().softmax(1).cpu().numpy()


def _valid_probabilities(work: Work, fit: Fit, weights: nn.Module) -> Any:
    if isinstance(fit.inputs, CachedActivations):
        return _head_probabilities(work, weights, fit.inputs)
    loader = work.pictures.loader("labelled", _plain_view(work, fit.stage), fit.stage.size)
    rows = work.pictures.rows("valid")
    return np.concatenate([p.numpy() for p in predict_pass(weights, loader, rows, 0, work.compute)])


def _plain_view(work: Work, stage: Stage) -> Any:
    return work.plan.hooks.views(work.plan.recipe, stage, "plain", work.config)


def _scores(work: Work, probabilities: Any) -> dict[str, float]:
    truth = work.pictures.labels("valid")
    scores = {"valid_loss": work.log_loss.score(truth, probabilities).value}
    if work.metric.name != work.log_loss.name:
        scores[f"valid_{work.metric.name}"] = work.metric.score(truth, probabilities).value
    return scores


def _epoch_row(work: Work, fit: Fit, at: Progress, loader: Loader | None, seconds: float) -> dict[str, Any]:
    """Validate after an epoch and make its line of the log."""
    assert at.loss is not None, "the loss is read at every epoch's end"
    stage, per_epoch = fit.stage, steps_per_epoch(fit.stage, len(fit.rows))
    cycle = next(i for i, end in enumerate(fit.schedule.cycle_ends, 1) if at.step <= end)
    scores = _scores(work, _valid_probabilities(work, fit, at.weights))
    row = _row(stage, cycle, at.epoch, at.step, float(fit.schedule.lr[at.step - 1]), at.loss, scores, work)
    images = per_epoch * batch_of(stage, len(fit.rows))
    waited = sum(loader.waits[-per_epoch:]) if loader else 0.0
    return row | {"seconds": seconds, "images_per_s": images / seconds, "waited_s": waited}


def _row(
    stage: Stage,
    cycle: int,
    epoch: int,
    step: int,
    lr: float,
    loss: float,
    scores: dict[str, float],
    work: Work,
) -> dict[str, Any]:
    place = {"stage": stage.name, "size": stage.size, "cycle": cycle, "epoch": epoch, "step": step, "lr": lr}
    zeros = {"seconds": 0.0, "images_per_s": 0.0, "waited_s": 0.0}
    return {**place, "train_loss": loss, **scores, **zeros}


def _write_row(work: Work, stage: Stage, row: dict[str, Any]) -> None:
    work.log.append(row)
    work.run.write_log(work.log)
    scores = "  ".join(f"{key.replace('_', ' ')} {value:.4f}" for key, value in row.items() if key.startswith("valid_"))
    work.display.say(
        f"{stage.name:16} epoch {row['epoch']}/{stage.epochs}  train loss {row['train_loss']:.4f}  {scores}  "
        f"{row['images_per_s']:,.0f} images/s  {row['seconds']:.0f} s"
    )
    work.plan.hooks.epoch_end(work.run, stage, row)


def _keep(work: Work, stage: Stage, cycle: int, weights: nn.Module) -> Snapshot:
    name = f"{stage.name}-cycle{cycle}"
    save_weights(weights, work.run.snapshot(name))
    return Snapshot(name, stage, cycle)


def _show(bar: Bar, images: int, at: Progress) -> None:
    bar.advance(images, f"loss {at.loss:.3f}" if at.loss is not None else "")


def note_speed(work: Work, cost: float, seconds: float) -> None:
    """Count a step towards the estimate of the whole time, and say it when it is made."""
    if work.estimate.add(cost, seconds) and work.estimate.seconds is not None:
        from kagglekit.progress import duration

        work.display.say(f"estimated time of the whole run: {duration(work.estimate.seconds)}")
        work.run.update_info(estimate_s=round(work.estimate.seconds, 1))
