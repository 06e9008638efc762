"""How jobs share a Ray cluster; no Ray is needed to say."""

from __future__ import annotations

import pytest

from kagglekit.system.errors import UserError
from kagglekit.types.executor import Need
from kagglekit_ray import Machine, share_of

HEAD, SMALL, LARGE = Machine(0, 0), Machine(2, 0), Machine(16, 0)
ONE_GPU, FOUR_GPUS = Machine(8, 1), Machine(16, 4)


@pytest.mark.parametrize(
    ("machines", "workers", "need", "expected"),
    [
        ([SMALL], None, Need(), (1, 2)),
        ([SMALL], 2, Need(), (2, 1)),
        ([HEAD, SMALL, LARGE], None, Need(), (2, 2)),  # what fits each of them
        ([HEAD, SMALL, LARGE], 8, Need(cpus=4), (8, 4)),
        ([SMALL, ONE_GPU, FOUR_GPUS], None, Need(gpus=1), (5, 2)),
        ([SMALL, ONE_GPU, FOUR_GPUS], None, Need(gpus=2), (2, 8)),
    ],
)
def test_a_cluster_is_shared_out(
    machines: list[Machine], workers: int | None, need: Need, expected: tuple[int, int]
) -> None:
    share = share_of(machines, workers, need)
    assert (share.workers, share.threads) == expected


@pytest.mark.parametrize(
    ("machines", "need", "message"),
    [
        ([ONE_GPU, ONE_GPU], Need(gpus=2), "no machine of the Ray cluster has more than 1"),
        ([SMALL, LARGE], Need(cpus=32), "32 threads were requested for each run, and no machine of the Ray cluster"),
        ([HEAD], Need(), "no machine of the Ray cluster has a CPU for tasks"),
    ],
)
def test_what_no_machine_has_is_refused_instead_of_waited_for(
    machines: list[Machine], need: Need, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        share_of(machines, None, need)
