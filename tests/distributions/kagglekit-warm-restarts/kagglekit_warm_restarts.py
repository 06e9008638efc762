"""A warm-up, then cosine cycles whose highest rate halves at each restart: `--set stage.3.schedule=warm-restarts`."""

from kagglekit import Provides, Schedule, hookimpl


@hookimpl
def kagglekit_provides():
    return Provides(schedule=["warm-restarts"], options={"warm_share": 0.1})


@hookimpl
def kagglekit_schedule(stage, steps_per_epoch, recipe):
    if stage.schedule != "warm-restarts":
        return None
    import numpy as np

    lengths = [epochs * steps_per_epoch for epochs in stage.cycle_epochs]
    falls = [0.5**i * (1 + np.cos(np.pi * np.arange(n) / n)) / 2 for i, n in enumerate(lengths)]
    rates = stage.lr * np.concatenate(falls)
    warm = max(1, round(len(rates) * recipe.options.get("warm_share", 0.1)))
    rates[:warm] *= (np.arange(warm) + 1) / warm
    ends = tuple(int(end) for end in np.cumsum(lengths))  # a snapshot is taken at each
    return Schedule(lr=rates, momentum=np.full(len(rates), 0.9), cycle_ends=ends)
