"""When a stage changes its number of threads, with step times that the tests make up; and that resuming repeats it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import layouts
import pytest
import torch
from stopping import go_on, outcome, start, stopped

from kagglekit.compute.processes.ranks import ALONE
from kagglekit.compute.threads import ThreadChoice
from kagglekit.runs.info import Record, RunInfo
from kagglekit.training import loop, thread_watch
from kagglekit.training.thread_watch import ThreadWatch, threads_after, turns_of
from kagglekit.workflows import setup

STEPS, EPOCH = 400, 20
SHORT = {"stages": "3"}  # all-1 alone


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Stage:
    """A stage whose steps take as long as a function of their number and the number of threads says."""

    def __init__(
        self,
        file: Path,
        monkeypatch: pytest.MonkeyPatch,
        seconds: Callable[[int, int], float],
        free_at: Callable[[float], float | None] = lambda now: None,
        **choice: Any,
    ) -> None:
        self.now, self.seconds, self.said = 0.0, seconds, []
        monkeypatch.setattr(thread_watch.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(thread_watch, "cpu_times", lambda: self.now)
        monkeypatch.setattr(thread_watch, "free_cores", lambda before, after: free_at(after))
        self.record = Record.of(file)
        self.choice = ThreadChoice(**{"number": 2, "fixed": False, "most": 2, **choice})
        self.choice.use(self.choice.number or 2)
        display = SimpleNamespace(report=self.said.append)
        self.context = SimpleNamespace(record=self.record, display=display, ranks=ALONE)

    def run(self, first: int = 0, last: int = STEPS, again: bool = False, **more: Any) -> list[int]:
        """Take the steps after `first`; return the number of threads of each."""
        settings = {"expected": None, "watches": True, **more}
        watch = ThreadWatch(self.context, (3, "full"), self.choice, STEPS, **settings)  # type: ignore[arg-type]
        watch.begin(first, again)
        used = []
        for step in range(first, last):
            used.append(self.choice.number or 0)
            taken = self.seconds(step, used[-1])
            self.now += taken
            watch.after_step(step + 1, taken, (step + 1) % EPOCH == 0)
        return used


def busy_from(step: int) -> Callable[[int, int], float]:
    """Return the times of steps beside another process from a step on: two threads then wait for each other."""
    return lambda at, number: {1: 0.9, 2: 0.5}[number] if at < step else {1: 0.95, 2: 2.0}[number]


def test_steps_that_have_become_slow_change_the_number_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path / "run.json", monkeypatch, busy_from(105))
    used = stage.run()
    assert used[:105] == [2] * 105
    assert used[127:] == [1] * (STEPS - 127)  # noticed at the end of the epoch, tried on seven steps
    (line,) = stage.said
    assert line.startswith("3 full: threads: 1 instead of 2 from step 1")
    assert "steps take 4.0 times as long as before; a step takes 0.95 s with 1, 2 s with 2" in line
    changes = Record.of(tmp_path / "run.json").info.thread_changes
    assert changes == stage.record.info.thread_changes
    assert all(used[after] == number != used[after - 1] for _, after, number in changes)
    assert len(changes) == sum(a != b for a, b in pairwise(used))


def test_a_resumed_stage_repeats_what_is_recorded_and_then_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path / "run.json", monkeypatch, busy_from(105))
    used = stage.run(last=200)
    for first in (0, 90, 121, 123, 150):  # before, within and after the trial
        again = Stage(tmp_path / "run.json", monkeypatch, lambda at, number: 0.5)
        assert again.run(first, 200) == used[first:]
        assert again.record.info == stage.record.info


@pytest.mark.parametrize("again", [False, True])
def test_work_after_a_step_is_repeated_with_the_threads_of_that_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    stage = Stage(tmp_path / "run.json", monkeypatch, lambda at, number: 0.5)
    stage.record.update(thread_changes=(("full", 40, 1),))
    watch = ThreadWatch(stage.context, (3, "full"), stage.choice, STEPS, None, watches=True)  # type: ignore[arg-type]
    watch.begin(40, again)
    assert stage.choice.number == (2 if again else 1)
    watch.after_step(40, 0.0, epoch_ends=True)
    assert stage.choice.number == 1


def test_a_machine_that_becomes_free_is_noticed_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(step: int, number: int) -> float:
        return {1: 0.9, 2: 2.0 if step < 200 else 0.5}[number]

    def free(now: float) -> float:
        return 1.0 if now < 200 * 0.9 else 2.0

    stage = Stage(tmp_path / "run.json", monkeypatch, seconds, free, number=1, free=1.0)
    used = stage.run()
    assert set(used[:200]) == {1}
    assert set(used[-100:]) == {2}
    assert len(stage.said) == 1
    assert "2.0 cores are free" in stage.said[0]


def test_looks_in_vain_become_rare_and_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = iter(range(10**6))
    seconds = {1: 9.0, 2: 5.0}
    free = lambda now: float(next(noise) % 2) + 1  # noqa: E731
    stage = Stage(tmp_path / "run.json", monkeypatch, lambda at, number: seconds[number], free)
    used = stage.run()
    assert set(used) == {1, 2}
    assert not stage.said
    changed = [at for at, (a, b) in enumerate(pairwise(used)) if a != b]
    assert len(changed) <= 4 * 5


def test_slower_steps_than_before_the_run_are_looked_into_at_the_first_epochs_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path / "run.json", monkeypatch, busy_from(0))
    used = stage.run(expected=0.5)
    assert used[: EPOCH + 1] == [2] * EPOCH + [1]
    assert used[-1] == 1
    assert "steps take 4.0 times as long as timed before the run" in stage.said[0]


def test_a_fixed_number_and_the_last_steps_of_a_stage_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(Stage(tmp_path / "a.json", monkeypatch, busy_from(105)).run(watches=False)) == {2}
    assert set(Stage(tmp_path / "b.json", monkeypatch, busy_from(STEPS - 10)).run()) == {2}
    assert set(Stage(tmp_path / "c.json", monkeypatch, busy_from(105), number=1, most=1).run()) == {1}


def test_numbers_take_turns_there_and_back() -> None:
    assert (
        list(turns_of([1, 2], 2))
        == [(1, False), *[(1, True)] * 2, (2, False), *[(2, True)] * 4, (1, False)] + [(1, True)] * 2
    )


def test_the_number_after_a_stage_is_the_last_one_of_it_or_before() -> None:
    info = RunInfo(threads=2, thread_changes=(("a", 3, 1), ("a", 5, 2), ("c", 0, 1)))
    assert [threads_after(info, names) for names in ([], ["b"], ["a", "b"], ["a", "b", "c"])] == [2, 2, 2, 1]
    assert info.last_threads == 1
    assert RunInfo(threads=2).last_threads == 2
    assert RunInfo().last_threads is None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dogs")
    layouts.write_dog_breed(folder, per_class=6, test=6)
    return folder


def test_an_interrupted_run_with_the_recorded_changes_ends_with_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    real_step, real_after = loop.take_step, ThreadWatch.after_step

    def take_step(*arguments: Any) -> torch.Tensor:
        used.append(torch.get_num_threads())
        return real_step(*arguments)

    def changing(watch: ThreadWatch, step: int, seconds: float, epoch_ends: bool) -> None:
        real_after(watch, step, seconds, epoch_ends)
        if watch.watches and watch.stage[1] == "all-1":
            watch._change(step, 2 if step == 1 else 1)

    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(loop, "take_step", take_step)
    monkeypatch.setattr(setup, "choose_threads", lambda choice, *_: choice.use(1) or "as the test says")
    torch.set_num_threads(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThreadWatch, "after_step", changing)
        whole, said = start(data, tmp_path / "whole", asked=SHORT, tta=0)
    info, taken = whole.info(), [*used]
    assert "threads: 1 (as the test says)" in said
    assert (info.threads, info.device) == (1, "cpu (1 thread)")
    assert info.thread_changes == (("all-1", 1, 2), ("all-1", 2, 1))
    assert taken.count(2) == 1
    used.clear()
    run, _ = stopped(data, tmp_path / "stopped", taken.index(2), asked=SHORT, tta=0)  # before the change
    Record.of(run.info_file).update(thread_changes=info.thread_changes)
    go_on(run)
    assert used == taken
    assert outcome(run) == outcome(whole)
    assert run.info().thread_changes == info.thread_changes
    assert torch.get_num_threads() == 2
