from __future__ import annotations

import numpy as np

from kagglekit.types.randomness import image_keys, uniforms


def splitmix64(state: int, n: int) -> list[int]:
    """The generator as its authors step it, in whole numbers."""
    out, mask = [], (1 << 64) - 1
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


def test_the_generator_gives_its_published_first_numbers():
    assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_those_of_the_stepped_generator():
    keys = np.array([0, 1, 2**64 - 1], dtype=np.uint64)
    for pass_number in (0, 3):
        starts = [splitmix64(int(key), pass_number + 1)[-1] for key in keys]
        expected = [[(number >> 11) / 2**53 for number in splitmix64(start, 4)] for start in starts]
        assert np.array_equal(uniforms(keys, pass_number, 4), expected)


def test_draws_are_uniform_and_independent():
    draws = uniforms(image_keys([f"{i}.jpg" for i in range(4000)], 0, "head"), 0, 8)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert np.abs(draws.mean(axis=0) - 0.5).max() < 0.02
    assert np.abs(np.corrcoef(draws.T) - np.eye(8)).max() < 0.06
    next_turn = uniforms(image_keys([f"{i}.jpg" for i in range(4000)], 0, "head"), 1, 8)
    assert abs(np.corrcoef(draws[:, 0], next_turn[:, 0])[0, 1]) < 0.06


def test_a_key_depends_on_id_and_salt_alone():
    keys = image_keys(["a", "b", "ä"], 0, "head")
    assert keys.dtype == np.uint64
    assert np.array_equal(image_keys(["ä", "a"], 0, "head"), keys[[2, 0]])
    assert not set(keys) & set(image_keys(["a", "b", "ä"], 1, "head"))
    assert image_keys([], 0).shape == (0,)
    # Written down, since other keys would change what every seed gives.
    assert image_keys(["dog.jpg"], 7, "all-160", "train")[0] == 7351865962129947321
