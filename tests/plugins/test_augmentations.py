"""What is done to training images: each operation beside another library's, what is drawn, and whole runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from few_shapes import draw_few
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vision

import kagglekit_views
from kagglekit import Augmentation, DataConfig, Recipe, Stage, UserError
from kagglekit.cli import cli
from kagglekit.hooks.calls import Hooks
from kagglekit.hooks.manager import load_shared
from kagglekit.images.loader import Loader, placed
from kagglekit.images.store import ImageStore
from kagglekit.images.warp import warp
from kagglekit.types.pixel_form import PixelForm
from kagglekit.types.randomness import image_keys
from kagglekit_views.augmentations import KINDS, RandomErasing
from kagglekit_views.pixels import OPERATIONS, change
from kagglekit_views.spaces import MOVING, PLAIN, SIGNED, STANDARD, WIDE, Space, moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 40
KEYS = image_keys([str(i) for i in range(500)], "augment")
CONFIG = DataConfig(mean=(0.0,) * 3, std=(1.0,) * 3)
ALL = "trivial-augment+rand-augment+color-jitter+gaussian-blur+jpeg+grayscale(p=0.5)+random-erasing"
TORCHVISION = "torchvision.RandomPerspective(p=1.0)"


def recipe_of(augment: str, channels: int = 0, size: int = SIZE) -> Recipe:
    return Recipe(arch="x", stages=(Stage(name="all", size=size, augment=augment),), channels=channels)


def made(name: str, channels: int = 0, **settings: Any) -> Augmentation:
    recipe = recipe_of("", channels)
    found = kagglekit_views.kagglekit_augment(name=name, settings=settings, recipe=recipe, stage=recipe.stages[0])
    assert found is not None
    return found


def drawn_image(channels: int = 3) -> NDArray[np.uint8]:
    """Smooth colours with edges and noise, as photographs have them, not using the whole range."""
    at = np.linspace(0, 3, SIZE)
    waves = [np.sin(at[:, None] * (1 + c) + at * (2 - c)) + (at[:, None] > at) for c in range(channels)]
    noise = np.random.default_rng(0).normal(0, 6, (SIZE, SIZE, channels))
    return (30 + 60 * (1 + np.stack(waves, axis=2)) + noise).clip(10, 240).astype(np.uint8)


def tensor_of(image: NDArray[np.uint8], n: int = 1) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None].repeat(n, 1, 1, 1)


def changed(operation: str, *parameters: float, image: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
    """One image, (S, S, C) in [0, 255], after an operation."""
    images = tensor_of(drawn_image() if image is None else image)
    result = change(images, operation, np.array([0]), np.array([parameters], np.float64))
    return result[0].permute(1, 2, 0).numpy() * 255


PICTURE = Image.fromarray(drawn_image())
REFERENCES = [
    ("brightness", 1.4, ImageEnhance.Brightness(PICTURE).enhance(1.4)),
    ("color", 0.3, ImageEnhance.Color(PICTURE).enhance(0.3)),
    ("contrast", 1.5, ImageEnhance.Contrast(PICTURE).enhance(1.5)),
    ("sharpness", 1.8, ImageEnhance.Sharpness(PICTURE).enhance(1.8)),
    ("sharpness", 0.2, ImageEnhance.Sharpness(PICTURE).enhance(0.2)),
    ("posterize", 3, ImageOps.posterize(PICTURE, 3)),
    ("solarize", 128 / 255, ImageOps.solarize(PICTURE, 128)),
    ("autocontrast", 0, ImageOps.autocontrast(PICTURE)),
    ("equalize", 0, ImageOps.equalize(PICTURE)),
    ("grey", 0, PICTURE.convert("L").convert("RGB")),
]


@pytest.mark.parametrize(("operation", "parameter", "expected"), REFERENCES)
def test_an_operation_does_what_pillow_does(operation: str, parameter: float, expected: Image.Image) -> None:
    before = drawn_image().astype(np.float64)
    assert np.abs(np.array(expected) - before).mean() > 2  # the operation shows
    assert np.abs(changed(operation, parameter) - np.array(expected)).max() <= 2.5


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.07, 0.4])
def test_the_hue_is_turned_as_torchvision_does(turn: float) -> None:
    expected = vision.adjust_hue(tensor_of(drawn_image()), turn)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(changed("jittered", 1, 1, 1, turn) - expected).max() < 0.1


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_a_blur_is_gaussian(sigma: float) -> None:
    kernel = 2 * int(np.ceil(3 * sigma)) + 1
    expected = vision.gaussian_blur(tensor_of(drawn_image()), [kernel, kernel], [sigma, sigma])
    assert np.abs(changed("blurred", sigma) - expected[0].permute(1, 2, 0).numpy() * 255).max() < 0.1


@pytest.mark.parametrize("quality", [20, 80])
def test_jpeg_leaves_its_traces(quality: int) -> None:
    encoded = BytesIO()
    PICTURE.save(encoded, "JPEG", quality=quality)
    expected = np.array(Image.open(encoded)).astype(np.float64)
    assert np.abs(expected - drawn_image()).mean() > 2
    assert (
        np.abs(changed("compressed", quality) - expected).mean() < 1
    )  # another version of the codec rounds differently


UNCHANGED = {
    "brightness": (1,), "color": (1,), "contrast": (1,), "sharpness": (1,), "posterize": (8,), "solarize": (256 / 255,),
    "jittered": (1, 1, 1, 0), "erased": (0, 0, 0, 0, -1, 5),
}  # fmt: skip


@pytest.mark.parametrize("operation", UNCHANGED)
def test_no_strength_changes_nothing(operation: str) -> None:
    images = tensor_of(drawn_image())
    after = change(images.clone(), operation, np.array([0]), np.array([UNCHANGED[operation]], np.float64))
    assert torch.equal(after, images)


def test_level_zero_of_every_operation_is_no_change() -> None:
    levels = np.zeros(1)
    for space in (WIDE, STANDARD):
        for operation in space.operations:
            if operation in MOVING:
                assert np.array_equal(space.matrices(operation, levels)[0], np.eye(2, 3))
            elif operation not in PLAIN:
                images = tensor_of(drawn_image())
                done = change(images.clone(), operation, np.array([0]), space.parameters(operation, levels))
                assert torch.equal(done, images), operation


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_all_at_once_gives_the_bytes_of_one_by_one(operation: str, channels: int) -> None:
    if channels != 3 and operation in ("color", "grey"):
        return
    typical = {**dict.fromkeys(OPERATIONS, (0.6,)), "posterize": (3,), "compressed": (40,), "blurred": (1.1,)}
    typical |= {"jittered": (1.2, 0.8, 1.3, 0.1), "erased": (0.1, -0.2, 0.5, 0.4, -1, 77)}
    images = torch.rand(7, channels, 23, 23, generator=torch.Generator().manual_seed(1))
    parameters = torch.tensor([typical[operation]]) * torch.linspace(1, 1.2, 7)[:, None]
    together = OPERATIONS[operation](images, parameters)
    one_by_one = change(images.clone(), operation, np.arange(7), parameters.double().numpy())
    assert torch.equal(together, one_by_one)
    assert not torch.equal(together, images)
    assert together.min() >= 0
    assert together.max() <= 1


def moved_image(space: Space, operation: str, level: float, border: str = "zero") -> NDArray[np.uint8]:
    maps = space.matrices(operation, np.array([level])).astype(np.float32)
    result: NDArray[np.uint8] = warp([drawn_image()], maps, np.ones(1, np.float32), SIZE, border)[0]  # type: ignore[arg-type]
    return result


def test_affine_operations_move_pixels() -> None:
    image = drawn_image()
    space = replace(WIDE, rotate=90.0, translate=0.25, shear=1.0)
    assert np.abs(moved_image(space, "rotate", 1).astype(int) - np.rot90(image)).max() <= 1
    assert np.abs(moved_image(space, "rotate", -1).astype(int) - np.rot90(image, -1)).max() <= 1
    shifted = moved_image(space, "translate-x", 1)
    assert np.array_equal(shifted[:, :30], image[:, 10:])
    assert not shifted[:, 30:].any()
    assert np.array_equal(moved_image(space, "translate-y", -1)[10:], image[:30])
    sheared = moved_image(space, "shear-x", 1)
    middle = SIZE // 2
    for row in (5, 12, 25):  # a row that lies d below the middle shows what lies d to the right
        offset = row - middle
        columns = np.arange(8, SIZE - 8) if abs(offset) > 8 else np.arange(middle - 5, middle + 5)
        columns = columns[(columns + offset >= 1) & (columns + offset < SIZE - 1)]
        expected = (image[row, columns + offset].astype(float) + image[row, columns + offset + 1]) / 2
        assert np.abs(sheared[row, columns] - expected).max() <= 1
    assert not np.array_equal(moved_image(space, "shear-y", 1), sheared)


def test_trivial_augment_draws_each_operation_and_level_equally_often() -> None:
    keys = image_keys([str(i) for i in range(14_000)])
    ((numbers, levels),) = WIDE.drawn(keys, 3, 1, None)
    counts = np.bincount(numbers, minlength=14)
    assert counts.min() > 850
    assert counts.max() < 1150
    assert np.allclose(np.unique(np.abs(levels)), np.arange(31) / 30)
    signed = np.isin(np.array(WIDE.operations), SIGNED)[numbers]
    assert np.mean(levels[signed] < 0) == pytest.approx(0.5 * 30 / 31, abs=0.02)
    assert (levels[~signed] >= 0).all()
    other, _ = np.histogram(WIDE.drawn(keys, 4, 1, None)[0][0], 14)
    assert not np.array_equal(counts, other)


def test_rand_augment_draws_n_operations_of_strength_m() -> None:
    steps = STANDARD.drawn(KEYS, 0, 3, 0.5)
    assert len(steps) == 3
    assert all((np.abs(levels) == 0.5).all() for _, levels in steps)
    assert len({tuple(numbers) for numbers, _ in steps}) == 3
    assert abs(np.corrcoef(steps[0][0], steps[1][0])[0, 1]) < 0.15


def test_rand_augment_of_strength_zero_leaves_images_alone_but_for_operations_without_a_strength() -> None:
    augmentation, images = made("rand-augment", n=1, m=0), tensor_of(drawn_image(), 60)
    assert augmentation.maps is not None
    assert augmentation.pixels is not None
    assert np.array_equal(augmentation.maps(KEYS[:60], 0), np.repeat(np.eye(2, 3, dtype=np.float32)[None], 60, 0))
    after = augmentation.pixels(images.clone(), KEYS[:60], 0)
    different = (after != images).flatten(1).any(dim=1).numpy()
    names = np.array(STANDARD.operations)[STANDARD.drawn(KEYS[:60], 0, 1, 0.0)[0][0]]
    assert np.array_equal(different, np.isin(names, ("autocontrast", "equalize")))


def test_several_affine_operations_are_one_warp_in_the_drawn_order() -> None:
    only = replace(WIDE, operations=MOVING)
    product = moved(only, 2, 0.5, KEYS, 1)
    (first, a), (second, b) = only.drawn(KEYS, 1, 2, 0.5)
    assert len({(i, j) for i, j in zip(first, second, strict=True)}) == 25
    for row in range(40):
        steps = [np.eye(3), np.eye(3)]
        for step, number, level in ((0, first[row], a[row]), (1, second[row], b[row])):
            steps[step][:2] = only.matrices(MOVING[number], np.array([level]))[0]
        assert np.allclose(product[row], (steps[0] @ steps[1])[:2], atol=1e-6)


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if "p" in kind.model_fields])
def test_a_share_of_the_images_is_changed(name: str, p: float) -> None:
    strong = {"min_sigma": 0.5} if name == "gaussian-blur" else {}
    augmentation, images = made(name, p=p, **strong), tensor_of(drawn_image(), 200)
    assert augmentation.pixels is not None
    after = augmentation.pixels(images.clone(), KEYS[:200], 0)
    different = (after != images).flatten(1).any(dim=1).float().mean()
    assert different == pytest.approx(p, abs=0.1 if 0 < p < 1 else 0)
    if p == 0.25:
        later = augmentation.pixels(images.clone(), KEYS[:200], 1)
        assert not torch.equal(after, later)


def test_erased_rectangles_keep_to_their_areas_and_shapes_and_reach_every_corner() -> None:
    black = torch.zeros(500, 3, 64, 64)
    augmentation = made("random-erasing", p=1.0, min_area=0.1, max_area=0.3, fill=1.0)
    assert augmentation.pixels is not None
    white = augmentation.pixels(black, KEYS, 0)[:, 0]
    heights, widths = white.amax(2).sum(1), white.amax(1).sum(1)
    assert torch.equal(heights * widths, white.sum((1, 2)))  # a full rectangle
    area = white.mean((1, 2))
    assert 0.09 < area.min() < 0.115
    assert 0.28 < area.max() < 0.32
    ratio = widths / heights
    assert 0.27 < ratio.min() < 0.36
    assert 2.8 < ratio.max() < 3.7
    assert (white.sum(0)[[2, 2, -3, -3], [2, -3, 2, -3]] > 0).all()


def test_noise_is_uniform_and_each_image_has_its_own() -> None:
    chosen = RandomErasing(p=1.0, min_area=1.0, max_area=1.0)
    noise = chosen.changed(torch.zeros(4, 3, 64, 64), KEYS[:4], 0)
    counts = torch.histc(noise, 16, 0, 1)
    assert counts.min() > 0.93 * noise.numel() / 16
    flat = noise.flatten(1).numpy()
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 0.03
    assert abs(np.corrcoef(flat[0, :-1], flat[0, 1:])[0, 1]) < 0.03


def loader_of(augment: str, channels: int = 3, depth: int = 8, n: int = 12, views: str = "side_on") -> Loader:
    form = PixelForm(channels, depth)  # type: ignore[arg-type]
    image = drawn_image(channels)
    stored = image if depth == 8 else image.astype(np.uint16) * 257
    pixels = np.tile(np.frombuffer(stored.tobytes(), np.uint8), n)
    numbers = np.arange(n)
    store = ImageStore(
        folder=Path(), names=tuple(f"{i}.png" for i in range(n)), pixels=pixels, offsets=numbers * stored.nbytes,
        heights=np.full(n, SIZE, np.int32), widths=np.full(n, SIZE, np.int32), aspects=np.ones(n, np.float32),
        bad={}, constant=(), form=form,
    )  # fmt: skip
    recipe = recipe_of(augment, 0 if channels == 3 else channels)
    stage = recipe.stages[0].model_copy(update={"views": views})
    config = DataConfig(mean=(0.0,) * channels, std=(1.0,) * channels)
    view = Hooks(load_shared()).views(recipe, stage, "train", config)
    return Loader(store, view, SIZE, config, image_keys(store.names, "seed"), torch.device("cpu"))


@pytest.mark.parametrize("augment", [ALL, f"{TORCHVISION}+torchvision.GaussianNoise(sigma=0.2)"])
@pytest.mark.parametrize("resident", [False, True])
def test_neither_batch_size_nor_order_nor_the_global_generator_change_an_image(augment: str, resident: bool) -> None:
    loader = loader_of(augment)
    if resident:
        loader = replace(loader, resident=placed(loader.store, torch.device("cpu")))
    torch.manual_seed(1)
    whole = loader.batch(np.arange(12), 3)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    in_fives = torch.cat(list(loader.batches([np.arange(5), np.arange(5, 10), np.arange(10, 12)], 3)))
    assert torch.equal(in_fives, whole)
    assert torch.equal(torch.random.get_rng_state(), before)
    shuffled = np.random.default_rng(1).permutation(12)
    assert torch.equal(loader.batch(shuffled, 3), whole[torch.from_numpy(shuffled)])
    assert not torch.equal(loader.batch(np.arange(12), 4), whole)
    plain = loader_of("")
    assert not torch.equal(plain.batch(np.arange(12), 3), whole)


def test_a_resident_store_shows_nearly_the_same() -> None:
    loader = loader_of("trivial-augment+gaussian-blur+random-erasing", n=64)
    resident = replace(loader, resident=placed(loader.store, torch.device("cpu")))
    difference = (loader.batch(np.arange(64), 0) - resident.batch(np.arange(64), 0)).abs()
    assert difference.mean() < 3 / 255  # histograms and noise's edges amplify the rounding of the warp


@pytest.mark.parametrize("augment", ["trivial-augment", "gaussian-blur", "jpeg", "random-erasing(fill=0.5)"])
def test_images_of_16_bits_are_augmented_like_those_of_8(augment: str) -> None:
    eight, sixteen = (loader_of(augment, depth=depth, n=40).batch(np.arange(40), 0) for depth in (8, 16))
    assert (eight - sixteen).abs().mean() < 1.5 / 255


def test_without_augmentation_the_view_is_the_same_and_prediction_never_has_any() -> None:
    hooks, recipe = Hooks(load_shared()), recipe_of(ALL)
    stage, plain = recipe.stages[0], recipe.stages[0].model_copy(update={"augment": ""})
    bare = hooks.views(recipe, plain, "train", CONFIG)
    assert bare.effects is None
    assert hooks.views(recipe, stage, "train", CONFIG).effects is not None
    aspects = np.ones(len(KEYS), np.float32)
    for mode in ("plain", "tta"):
        view, other = (hooks.views(recipe, each, mode, CONFIG) for each in (stage, plain))  # type: ignore[arg-type]
        assert view.effects is None
        assert np.array_equal(view.maps(KEYS, aspects, 1), other.maps(KEYS, aspects, 1))


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_other_channels_are_augmented_or_refused(channels: int) -> None:
    works = "trivial-augment+rand-augment+color-jitter(saturation=0,hue=0)+gaussian-blur+jpeg(p=1.0)+random-erasing"
    batch = loader_of(works, channels).batch(np.arange(12), 0)
    assert batch.shape == (12, channels, SIZE, SIZE)
    assert torch.isfinite(batch).all()
    assert "color" not in WIDE.for_channels(channels).operations
    for augment in ("grayscale", "color-jitter", "torchvision.RandAugment"):
        if channels == 1 and augment.startswith("torchvision"):
            continue
        with pytest.raises(UserError, match=f"{channels} channels"):
            Hooks(load_shared()).check_augmentations(recipe_of(augment, channels))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("jpeg", {"quality": 3}, r"unknown setting of jpeg 'quality': did you mean 'm.._quality'\? choose from max"),
        ("jpeg", {"p": 2}, "jpeg: p should be less than or equal to 1"),
        ("jpeg", {"min_quality": 96}, "jpeg: min_quality is larger than max_quality\nits settings: p=0.5, min_"),
        ("gaussian-blur", {"min_sigma": 3}, "gaussian-blur: min_sigma is larger than max_sigma"),
        ("random-erasing", {"fill": "blue"}, "random-erasing: fill should be noise, or a number from 0 to 1"),
        ("random-erasing", {"min_area": 0.5}, "random-erasing: min_area is larger than max_area"),
        ("rand-augment", {"m": 11}, "rand-augment: m should be less than or equal to 10"),
        ("trivial-augment", {"space": "big"}, "trivial-augment: space should be 'wide' or 'standard'"),
        ("torchvision.ElasticTransfrm", {}, "unknown transform 'ElasticTransfrm': did you mean 'ElasticTransform'"),
        ("torchvision.ElasticTransform", {"alhpa": 2}, r"ElasticTransform: .*alhpa.*its settings are \(alpha"),
        ("torchvision.Resize", {"size": 10}, r"40 px in training: it returns \(3, 10, 10\) for \(3, 40, 40\)"),
        ("torchvision.Normalize", {"mean": [0.5], "std": [0.1]}, "torchvision.Normalize cannot change images"),
        ("torchvision.MixUp", {"num_classes": 3}, "torchvision.MixUp cannot change images of 3 channels"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_starts(name: str, settings: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(name, **settings)


def test_names_of_others_are_left_to_them() -> None:
    recipe = recipe_of("")
    assert kagglekit_views.kagglekit_augment(name="x", settings={}, recipe=recipe, stage=recipe.stages[0]) is None


def test_torchvision_draws_the_same_while_other_threads_draw() -> None:
    augmentation, images = made("torchvision.RandomErasing", p=1.0, value="random"), tensor_of(drawn_image(), 8)
    assert augmentation.pixels is not None
    alone = augmentation.pixels(images.clone(), KEYS[:8], 0)
    assert not torch.equal(alone[0], alone[1])
    with ThreadPoolExecutor(2) as pool:
        drawing = pool.submit(lambda: [torch.rand(100) for _ in range(2000)])
        beside = pool.submit(augmentation.pixels, images.clone(), KEYS[:8], 0)
        assert torch.equal(beside.result(), alone)
        drawing.result()


@pytest.mark.skipif(not hasattr(v2, "JPEG"), reason="this torchvision has no transform that needs 8 bits")
@pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")
def test_torchvision_takes_8_bits_where_it_needs_them() -> None:
    augmentation, images = made("torchvision.JPEG", quality=(10, 20)), tensor_of(drawn_image(), 2)
    assert augmentation.pixels is not None
    after = augmentation.pixels(images.clone(), KEYS[:2], 0)
    assert 2 / 255 < (after - images).abs().mean() < 20 / 255


@pytest.mark.parametrize("augment", [*KINDS, TORCHVISION])
def test_each_name_alone_changes_a_batch(augment: str) -> None:
    plain, changed = (loader_of(name).batch(np.arange(12), 0) for name in ("", augment))
    assert torch.isfinite(changed).all()
    assert not torch.equal(changed, plain)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images of the demo."""
    folder = tmp_path_factory.mktemp("shapes")
    draw_few(folder)
    return folder


def test_all_train_from_the_command_line_to_the_same_bytes_and_an_unknown_name_has_a_suggestion(
    drawn: Path, tmp_path: Path
) -> None:
    def run(place: str, augment: str) -> Result:
        small = ("--limit", "24", "--stages", "4", "--epochs", "1", "--size", "32", "--set", "tta=0")
        chosen = ("--set", f"stage.4.augment={augment}", "--set", "stage.4.batch_size=8", "--precision", "fp32")
        return CliRunner().invoke(
            cli, ["run", "shapes", "--data", str(drawn), "--out", str(tmp_path / place), *small, *chosen]
        )

    for place, augment in {"a": f"{ALL}+{TORCHVISION}", "b": f"{ALL}+{TORCHVISION}", "c": ""}.items():
        done = run(place, augment)
        assert done.exit_code == 0, done.output
        assert ("side_on+trivial-augment+rand-augment" in done.output) == (place != "c")
    weights = [next((tmp_path / place).rglob("final.safetensors")).read_bytes() for place in "abc"]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    wrong = run("d", "trivial-augmnt")
    assert wrong.exit_code == 2
    assert "unknown augmentation 'trivial-augmnt': did you mean 'trivial-augment'?" in wrong.output
    unreadable = run("d", "jpeg(p=0.5")
    assert unreadable.exit_code == 2
    assert "'stage.4.augment=jpeg(p=0.5': cannot read 'jpeg(p=0.5'" in unreadable.output
