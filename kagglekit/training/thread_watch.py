"""Choose the number of threads anew while a stage trains, where the machine has become busy or free since.

The number changes between two steps only. run.json has each change before the step is taken, and a resumed run repeats
them: its bytes are those of an undisturbed run with the same changes.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from kagglekit.compute.threads import ROUNDS, ThreadChoice, best_number, candidates, describe_times
from kagglekit.runs.info import RunInfo
from kagglekit.system.limits import CpuTimes, cpu_times, free_cores
from kagglekit.training.context import RunContext
from kagglekit.training.state import StageFit, batch_of

SLOWER = 1.5  # steps that take this many times as long as earlier ones of the stage are looked into
SLOWER_THAN_PROBED = 2.5  # the same of a stage's first steps: a probe has fewer images and no loader beside it
OTHER = 0.6  # cores: when the machine counts as busier or freer than at the last choice
MINUTE, SOON, LONGEST = 60.0, 5.0, 900.0  # s between two looks: at any step; at an epoch's end; after looks in vain
TURN = 0.3  # s of steps that a number of threads is tried for at a time, at least one step
MOST_STEPS = 20  # of a turn


@dataclass
class ThreadWatch:
    """Watches the steps of a stage, and tries other numbers of threads on its next ones if they have become slow.

    Attributes:
        context: The run.
        stage: Name of the stage, after its number for messages.
        choice: The run's number of threads.
        steps: The stage's steps.
        expected: Time that a step takes by the probe, s; None if unknown.
        watches: False: the number only changes where it changed before.
    """

    context: RunContext
    stage: tuple[int, str]
    choice: ThreadChoice
    steps: int
    expected: float | None
    watches: bool
    _recorded: dict[int, int] = field(default_factory=dict)  # threads by the number of steps before the change
    _pace: float | None = None  # s of a step, at best so far
    _wait: float = MINUTE
    _window: list[float] = field(default_factory=list)  # s of the steps since the last look
    _began: float = 0.0
    _before: CpuTimes | None = None
    _reason: str = ""  # of the trial
    _turns: deque[tuple[int, bool]] = field(default_factory=deque)  # threads of a trial's steps, and which ones count
    _taken: dict[int, list[float]] = field(default_factory=dict)
    _kept: int | None = None  # the number before the trial

    def begin(self, step: int, again: bool) -> None:
        """Compute with as many threads as the stage did after so many steps.

        Args:
            step: Finished steps: 0, or those of the checkpoint that the stage resumes from.
            again: Whether the work after the last of them is still to be done.
        """
        changes = () if self.context.ranks.several else self.context.record.info.thread_changes
        self._recorded = {after: number for name, after, number in changes if name == self.stage[1]}
        for after, number in self._recorded.items():
            if after < step or (after == step and not again):
                self.choice.use(number)
        self._look_from_now()

    def after_step(self, step: int, seconds: float, epoch_ends: bool) -> None:
        """Count a step, and all work after it; set the number of threads of the next one.

        Args:
            step: Finished steps.
            seconds: Time of the last one, s.
            epoch_ends: Whether it was an epoch's last.
        """
        if step in self._recorded:
            self.choice.use(self._recorded[step])
        if not self.watches or step <= max(self._recorded, default=0):
            self._look_from_now()
        elif self._turns:
            self._try(step, seconds)
        else:
            self._window.append(seconds)
            passed = time.monotonic() - self._began
            if passed >= self._wait or (epoch_ends and passed >= SOON * self._wait / MINUTE):
                self._look(step)

    def _look_from_now(self) -> None:
        self._window.clear()
        if self.watches:
            self._began, self._before = time.monotonic(), cpu_times()

    def _look(self, step: int) -> None:
        """Begin a trial if the steps since the last look give a reason, and enough of them are left."""
        now, free = median(self._window), free_cores(self._before, cpu_times())
        self._look_from_now()
        self._reason = self._slower(now) or self._changed(free)
        if not self._reason:
            self._pace, self._wait = min(now, self._pace or now), MINUTE
            return
        self.choice.free = free
        numbers = candidates(self.choice.most, free)
        each = min(max(1, math.ceil(TURN / max(now, 1e-3))), MOST_STEPS)
        turns = deque(turns_of(numbers, each))
        if len(numbers) > 1 and step + 2 * len(turns) <= self.steps:
            self._turns, self._taken = turns, {number: [] for number in numbers}
            self._kept = self.choice.number
            self._change(step, turns[0][0])

    def _slower(self, now: float) -> str:
        """Return that steps take far longer than before, if they do."""
        if self._pace and now > SLOWER * self._pace:
            return f"steps take {now / self._pace:.1f} times as long as before"
        if not self._pace and self.expected and now > SLOWER_THAN_PROBED * self.expected:
            return f"steps take {now / self.expected:.1f} times as long as timed before the run"
        return ""

    def _changed(self, free: float | None) -> str:
        """Return that more or fewer cores are free than threads compute, if so, and it is news."""
        known = self.choice.free
        if free is None or (known is not None and abs(free - known) < OTHER):
            return ""
        fits = self.choice.number == min(max(1, round(free)), self.choice.most)
        return "" if fits else f"{max(free, 0):.1f} cores are free"

    def _try(self, step: int, seconds: float) -> None:
        """Count a step of a trial; after the last one, keep the best number."""
        number, counts = self._turns.popleft()
        if counts:
            self._taken[number].append(seconds)
        if self._turns:
            self._change(step, self._turns[0][0])
            return
        means = {number: fmean(taken) for number, taken in self._taken.items()}
        best, before = best_number(means), self._kept
        self._change(step, best)
        self._pace, self._wait = means[best], MINUTE if best != before else min(2 * self._wait, LONGEST)
        self._look_from_now()
        if best != before:
            number, name = self.stage
            why = f"{self._reason}; {describe_times(means)}"
            self.context.display.report(
                f"{number} {name}: threads: {best} instead of {before} from step {step + 1:,} on ({why})"
            )

    def _change(self, step: int, number: int) -> None:
        """Record a change after so many steps, and compute with the new number."""
        if number != self.choice.number:
            record = self.context.record
            record.update(thread_changes=(*record.info.thread_changes, (self.stage[1], step, number)))
            self.choice.use(number)


def turns_of(numbers: Sequence[int], each: int) -> Iterator[tuple[int, bool]]:
    """Yield the number of threads of each step of a trial, and whether its time counts.

    Numbers take turns, there and back. The first step after a change does not count: it starts threads.
    """
    before = None
    for number in [number for turn in range(ROUNDS) for number in numbers[:: -1 if turn % 2 else 1]]:
        if number != before:
            yield number, False
        yield from [(number, True)] * each
        before = number


def thread_watch(context: RunContext, fit: StageFit, on_images: bool) -> ThreadWatch:
    """Return the watch of a stage; of a head on cached activations, whose steps are too short, it watches nothing.

    Processes that share a training keep their equal shares of the cores.
    """
    choice, stage = context.threads or ThreadChoice(), fit.stage
    expected = None
    if choice.pace:
        share = 1.0 if stage.freeze_to != -1 else 1 / (context.compute.train_cost or 3.0)
        expected = choice.pace * share * batch_of(stage, len(fit.rows)) * stage.size**2
    watches = on_images and not choice.fixed and context.compute.device.type == "cpu" and not context.ranks.several
    return ThreadWatch(context, (fit.number, stage.name), choice, len(fit.schedule.lr), expected, watches)


def threads_after(info: RunInfo, stages: Sequence[str]) -> int | None:
    """Return the number of threads that a run computed with after these stages; None if it is unknown."""
    changed = [number for name, _, number in info.thread_changes if name in stages]
    return changed[-1] if changed else info.threads
