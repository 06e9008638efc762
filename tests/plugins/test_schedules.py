from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit import Schedule, Stage
from kagglekit.system.errors import UserError
from kagglekit_schedules import kagglekit_schedule


def schedule(name: str, steps_per_epoch: int = 8, **fields: object) -> Schedule:
    found = kagglekit_schedule(Stage(name="s", size=32, schedule=name, **fields), steps_per_epoch)
    assert found is not None
    return found


def test_one_cycle_equals_values_computed_by_hand():
    found = schedule("one-cycle", lr=1.0)
    half = (1 + np.cos(np.pi / 2)) / 2
    up = [1 + (0.04 - 1) * 1.0, 1 + (0.04 - 1) * half]
    down = [1e-5 + (1 - 1e-5) * (1 + np.cos(np.pi * i / 5)) / 2 for i in range(6)]
    np.testing.assert_allclose(found.lr, up + down, rtol=1e-12)
    np.testing.assert_allclose(found.momentum[:3], [0.95, 0.9, 0.85], rtol=1e-12)
    assert found.momentum[-1] == pytest.approx(0.95)
    assert found.cycle_ends == (8,)


def test_sgdr_restarts_with_longer_cycles():
    found = schedule("sgdr", steps_per_epoch=2, lr=3.0, cycles=3, cycle_len=1, cycle_mult=2)
    assert found.cycle_ends == (2, 6, 14)
    first = [3.0, 1.5]
    second = [3 * (1 + np.cos(np.pi * t / 4)) / 2 for t in range(4)]
    third = [3 * (1 + np.cos(np.pi * t / 8)) / 2 for t in range(8)]
    np.testing.assert_allclose(found.lr, first + second + third, rtol=1e-12)


def test_flat_cosine_is_flat_for_three_quarters():
    found = schedule("flat-cosine", lr=2.0)
    np.testing.assert_allclose(found.lr, [2.0] * 7 + [1.0], rtol=1e-12)


def test_constant_is_constant():
    assert set(schedule("constant", lr=0.3, cycles=2).lr) == {0.3}


def test_another_name_is_left_to_other_plugins():
    assert kagglekit_schedule(Stage(name="s", size=32, schedule="warm"), 8) is None


@given(
    st.sampled_from(["one-cycle", "sgdr", "flat-cosine", "constant"]),
    st.integers(1, 20),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_every_schedule_has_a_rate_for_every_step(name, steps, cycles, cycle_len, cycle_mult):
    stage = Stage(name="s", size=32, schedule=name, lr=0.1, cycles=cycles, cycle_len=cycle_len, cycle_mult=cycle_mult)
    found = kagglekit_schedule(stage, steps)
    assert found is not None
    assert len(found.lr) == steps * stage.epochs == found.cycle_ends[-1]
    assert len(found.cycle_ends) == cycles
    assert np.isfinite(found.lr).all()
    assert (found.lr >= 0).all()
    assert found.lr.max() <= 0.1 * (1 + 1e-12)
    assert ((found.momentum >= 0.85) & (found.momentum <= 0.95)).all()


@pytest.mark.parametrize("ends", [(), (3,), (4, 2), (2, 2, 4), (0, 4)])
def test_cycle_ends_that_do_not_fit_are_refused(ends):
    with pytest.raises(UserError, match="cycle_ends"):
        Schedule(np.ones(4), np.ones(4), ends)
