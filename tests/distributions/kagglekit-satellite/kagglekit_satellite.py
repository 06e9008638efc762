"""Images from above have no upright direction: any rotation, mirrored or not; `--set 'stage.*.views=satellite'`."""

from kagglekit import Provides, View, hookimpl, uniforms

ZOOM = 1.2


@hookimpl
def kagglekit_provides():
    return Provides(views=["satellite"], tta=["satellite"])


@hookimpl
def kagglekit_views(recipe, stage, mode):
    name = stage.views if mode == "train" else recipe.tta_views or stage.views
    if mode == "plain" or name != "satellite":
        return None
    return View(maps=_maps, border=stage.border)


def _maps(keys, aspects, pass_number):
    """Map the output square into each image, (B, 2, 3); all randomness comes from keys and pass_number."""
    import numpy as np

    draws = uniforms(keys, pass_number, 3)
    angle, zoom = 2 * np.pi * draws[:, 0], 1 + (ZOOM - 1) * draws[:, 1]
    mirror = np.where(draws[:, 2] < 0.5, -1.0, 1.0)
    matrices = np.zeros((len(keys), 2, 3), np.float32)
    matrices[:, 0, 0], matrices[:, 0, 1] = mirror * np.cos(angle) / zoom, -np.sin(angle) / zoom
    matrices[:, 1, 0], matrices[:, 1, 1] = mirror * np.sin(angle) / zoom, np.cos(angle) / zoom
    return matrices
