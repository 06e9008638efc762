"""How many threads compute: the choice by timed steps, and what decides without any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from kagglekit.compute import threads
from kagglekit.compute.threads import (
    ThreadChoice,
    best_number,
    candidates,
    choose_threads,
    describe_times,
    free_threads,
    threads_for,
    threads_restored,
    timed,
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch have two threads that nobody named, on two cores of which 1.1 are free."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 2.0)
    monkeypatch.setattr(threads, "free_now", lambda: 1.1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("most", "usable", "free", "numbers"),
    [
        (1, 1.0, 0.2, [1]),
        (2, 2.0, None, [1, 2]),
        (2, 1.5, 1.0, [1, 2]),
        (3, 2.5, 0.0, [1, 2, 3]),
        (16, 16.0, 13.2, [1, 8, 13, 16]),
        (8, 64.0, 60.0, [1, 4, 8]),
    ],
)
def test_one_all_and_the_free_cores_are_tried(
    monkeypatch: pytest.MonkeyPatch, most: int, usable: float, free: float | None, numbers: list[int]
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: usable)
    assert candidates(most, free) == numbers


def test_candidates_take_turns_and_a_hopeless_one_leaves_early() -> None:
    asked: list[int] = []
    taken = {1: iter([1.0, 1.2]), 2: iter([0.6, 0.8]), 8: iter([2.0])}
    found = timed([1, 2, 8], lambda number: asked.append(number) or next(taken[number]))  # type: ignore[func-returns-value]
    assert asked == [1, 2, 8, 2]
    assert found == pytest.approx({1: 1.0, 2: 0.7, 8: 2.0})


def test_fewer_threads_are_taken_unless_more_are_clearly_faster() -> None:
    assert best_number({1: 1.09, 2: 1.0}) == 1
    assert best_number({1: 1.2, 2: 1.0}) == 2
    assert best_number({1: 3.0, 4: 1.05, 8: 1.0}) == 4
    assert (
        describe_times({1: 0.2, 2: 0.118}, 1.1) == "a step takes 0.2 s with 1, 0.12 s with 2; 1.1 of 2 cores are free"
    )
    assert not describe_times({1: 0.2})


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize(("slow", "chosen"), [(1, 2), (2, 1)])
def test_the_number_whose_real_steps_are_fastest_computes(
    monkeypatch: pytest.MonkeyPatch, slow: int, chosen: int
) -> None:
    steps: dict[int, int] = defaultdict(int)
    clock = [0.0]

    def step(model: nn.Module, images: torch.Tensor, chosen: object) -> None:
        steps[torch.get_num_threads()] += 1
        clock[0] += 0.002 * len(images) * (3 if torch.get_num_threads() == slow else 1)

    monkeypatch.setattr(threads, "train_step", step)
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock[0])
    choice = threads_for("auto", CPU, deterministic=False)
    assert (choice.number, choice.fixed, choice.most) == (None, False, 2)
    model = network()
    why = choose_threads(choice, model, 8, 32, "auto")
    assert (choice.number, torch.get_num_threads(), choice.free) == (chosen, chosen, 1.1)
    assert why.startswith("a step takes 0.")
    assert why.endswith("1.1 of 2 cores are free")
    assert choice.pace == pytest.approx(0.002 / 64)
    assert steps[slow] <= 8


def test_a_probe_changes_no_weight_and_draws_nothing() -> None:
    model, choice = network(), threads_for("auto", CPU, deterministic=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    choose_threads(choice, model, 16, 8, "fp32")
    assert torch.equal(random, torch.get_rng_state())
    assert choice.number == torch.get_num_threads()
    assert choice.number in (1, 2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("free", "number"), [(None, 2), (0.3, 1), (1.8, 2)])
def test_the_free_cores_decide_where_no_step_can_be_timed(
    monkeypatch: pytest.MonkeyPatch, free: float | None, number: int
) -> None:
    monkeypatch.setattr(threads, "free_now", lambda: free)
    monkeypatch.setattr(threads, "copied", lambda model: None)
    choice = threads_for("auto", CPU, deterministic=False)
    choose_threads(choice, network(), 8, 8, "auto")
    assert choice.number == number


def test_out_of_memory_means_all_cores() -> None:
    def full(module: nn.Module, inputs: object) -> None:
        raise torch.OutOfMemoryError("full")

    model, choice = network(), threads_for("auto", CPU, deterministic=False)
    model.register_forward_pre_hook(full)
    choose_threads(choice, model, 8, 8, "auto")
    assert choice.number == 2


def test_a_named_number_a_gpu_and_deterministic_runs_time_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads_for(3, CPU, deterministic=False) == ThreadChoice(3)
    assert threads_for("auto", CPU, deterministic=True) == ThreadChoice(2)
    assert threads_for("auto", torch.device("cuda"), deterministic=False) == ThreadChoice(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_for("auto", CPU, deterministic=False) == ThreadChoice(1)
    assert threads_for(2, CPU, deterministic=True) == ThreadChoice(2)


def test_afterwards_torch_has_as_many_threads_as_before() -> None:
    with threads_restored(1):
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
    with free_threads("auto", CPU):
        assert torch.get_num_threads() == 1  # 1.1 cores are free
    with free_threads("auto", torch.device("cuda")):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2


def test_a_later_part_of_a_run_computes_like_an_earlier_one() -> None:
    choice = ThreadChoice(fixed=False, most=2)
    choice.take_over(None)
    assert choice.number is None
    choice.take_over(1)
    choice.take_over(2)
    assert choice.number == torch.get_num_threads() == 1
