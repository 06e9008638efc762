"""Combine several outputs by a logarithmic pool: a sum with fitted weights that are not negative."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

L1 = 1e-3  # of the loss's unit for a weight of 1: a member that gains less than this is left out
STEPS = 200  # most iterations; a pool of 12 members takes some 30


def fit_log_pool(
    outputs: NDArray[np.floating] | Tensor, loss: Callable[[Tensor], Tensor], l1: float = L1
) -> NDArray[np.float64]:
    """Return the weights of the pool ``sum_k w_k z_k`` with the least ``loss + l1 sum_k w_k``, where ``w_k >= 0``.

    For log-probabilities z it is the logarithmic opinion pool, the normalised product of the members' powers (Genest
    and Zidek 1986, "Combining probability distributions", Statistical Science 1(1), section 3.2). The weights need not
    sum to 1: their sum is an inverse temperature. Log loss is convex in them, so that what is found is the least.

    It is minimised by L-BFGS-B (Byrd et al. 1995, "A limited memory algorithm for bound constrained optimization") from
    equal weights, in float64: in float32, the loss is noisier than the last steps gain.

    Args:
        outputs: (K, N, C) of K members, finite: log-probabilities up to a constant a row, logits of labels, or numbers.
        loss: Returns the mean loss of a pool (N, C) float64, on the CPU, as a differentiable scalar.
        l1: Penalty on the sum of the weights.

    Returns:
        (K,): the weights; all 1 / K if there are no rows.

    Raises:
        ValueError: An output is not finite.
    """
    import torch
    from scipy.optimize import minimize

    members = torch.as_tensor(outputs).detach().to("cpu", torch.float64)
    n_members, *shape = members.shape
    flat, even = members.reshape(n_members, -1), np.full(n_members, 1 / n_members)
    if not flat.shape[1]:
        return even
    if not torch.isfinite(flat).all():
        raise ValueError("an output of a member is not finite")

    def penalised(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        pool = (torch.from_numpy(weights) @ flat).reshape(shape).requires_grad_()  # a leaf: nothing of K is recorded
        with torch.enable_grad():
            value = loss(pool)
        (slopes,) = torch.autograd.grad(value, pool)
        return float(value.detach()) + l1 * float(weights.sum()), (flat @ slopes.reshape(-1)).numpy() + l1

    options: Any = {"maxiter": STEPS, "ftol": 1e-10, "gtol": 1e-6}
    solved = minimize(penalised, even, jac=True, method="L-BFGS-B", bounds=[(0, None)] * n_members, options=options)
    return np.asarray(solved.x, dtype=np.float64)
