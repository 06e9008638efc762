"""Find weights of members, from the probability that each gives to what is true or from their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 100  # of hill climbing


def mixture_weights(right: NDArray[np.float64], gap: float = 1e-7, most: int = 20_000) -> NDArray[np.float64]:
    """Return the weights of the mixture with the least log loss.

    The loss ``-mean_i log sum_k w_k p_ik`` is convex in w. Each step multiplies each weight by its gradient
    ``g_k = mean_i p_ik / sum_j w_j p_ij``, which keeps them non-negative with sum 1 and never raises the
    loss; it is within ``max_k log g_k`` of the least (Cover 1984, "An algorithm for maximizing expected log
    investment return", IEEE Transactions on Information Theory 30(2); it is EM for mixture proportions).

    Args:
        right: (N, K): probability that each of K members gives to an image's true class, above 0.
        gap: Stop when the loss is this close to the least one, nats.
        most: Stop after this many steps.

    Returns:
        (K,): the weights; all equal if there is no image.
    """
    weights = np.full(right.shape[1], 1 / right.shape[1])
    for _ in range(most if len(right) else 0):
        gradient = (right / (right @ weights)[:, None]).mean(axis=0)
        if np.log(gradient.max()) <= gap:
            break
        weights *= gradient
    return np.asarray(weights / weights.sum())


def quick_mixture_weights(right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of `mixture_weights` for very many rows: by sequential least squares, in tens of steps.

    Where members are alike, Cover's steps are thousands.

    Args:
        right: (N, K): probability that each of K members gives to what is true, above 0.

    Returns:
        (K,): the weights; all equal if there is no row.
    """
    from scipy.optimize import Bounds, LinearConstraint, minimize

    even = np.full(right.shape[1], 1 / right.shape[1])
    if not len(right):
        return even

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = (right @ weights).clip(np.finfo(float).tiny)
        return float(-np.log(mixed).mean()), -(right.T @ (1 / mixed)) / len(right)

    sum_is_1 = LinearConstraint(np.ones((1, len(even))), 1, 1)
    options: Any = {"ftol": 1e-9, "maxiter": 200}
    solved = minimize(loss, even, jac=True, method="SLSQP", bounds=Bounds(0, 1), constraints=sum_is_1, options=options)
    found: NDArray[np.float64] = solved.x.clip(0)
    found = found / found.sum()
    return found if loss(found)[0] <= loss(even)[0] else even


def climbed_weights(right: NDArray[np.float64], steps: int = STEPS) -> NDArray[np.float64]:
    """Add members one by one with replacement, each time the one that lowers the log loss of the mean most.

    Caruana et al. 2004, "Ensemble selection from libraries of models", ICML, section 2: forward selection with
    replacement. The best ensemble of all steps is returned; of equal ones, the first.

    Args:
        right: (N, K): probability that each of K members gives to an image's true class, above 0.
        steps: Number of members to add.

    Returns:
        (K,): the share of each member; all equal if there is no image.
    """
    if not len(right):
        return np.full(right.shape[1], 1 / right.shape[1])
    total, counts = np.zeros(len(right)), np.zeros(right.shape[1])
    best = (np.inf, counts)
    for step in range(1, steps + 1):
        losses = -np.log((total[:, None] + right) / step).mean(axis=0)
        chosen = int(losses.argmin())
        total, counts = total + right[:, chosen], counts + np.eye(len(counts))[chosen]
        if losses[chosen] < best[0] - 1e-12:
            best = (float(losses[chosen]), counts)
    return np.asarray(best[1] / best[1].sum())


def least_squares_weights(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights, not negative and with sum 1, of the mean with the least squared error.

    With the errors E (N, K) of K members, the mean's are E w, so ``w' (E'E / N) w`` is minimised. Non-negative least
    squares finds a multiple of w: it minimises ``w' P w + p (sum w - 1)^2``, whose first term fixes the direction for
    each length, so that its solution has the best direction for any p.

    Args:
        products: (K, K) ``P = E'E / N``.

    Returns:
        (K,): the weights; all equal if there are no errors.
    """
    from scipy.optimize import nnls

    scale = float(np.trace(products))
    if not scale:
        return np.full(len(products), 1 / len(products))
    values, vectors = np.linalg.eigh(products / scale)
    root = np.sqrt(values.clip(0))[:, None] * vectors.T
    found = nnls(np.vstack([root, np.ones(len(products))]), np.append(np.zeros(len(products)), 1.0))[0]
    return np.asarray(found / found.sum())


def climbed_least_squares(products: NDArray[np.float64], steps: int = STEPS) -> NDArray[np.float64]:
    """Add members one by one with replacement, as in `climbed_weights`, by the squared error of their mean.

    Args:
        products: (K, K) ``E'E / N`` of the members' errors E (N, K).
        steps: Number of members to add.

    Returns:
        (K,): the share of each member; all equal if there are no errors.
    """
    counts, best = np.zeros(len(products)), (np.inf, np.full(len(products), 1.0))
    if not products.any():
        return np.asarray(best[1] / len(products))
    for step in range(1, steps + 1):
        squares = (counts @ products @ counts + 2 * products @ counts + np.diag(products)) / step**2
        chosen = int(squares.argmin())
        counts = counts + np.eye(len(counts))[chosen]
        if squares[chosen] < best[0] - 1e-12:
            best = (float(squares[chosen]), counts)
    return np.asarray(best[1] / best[1].sum())
