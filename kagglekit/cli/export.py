"""`kagglekit export`: write a run's network as a file for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from kagglekit.cli.options import data_option, file_option, out_option, plugin_option


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--to", "form", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="Form of the file.")
@click.option("--member", default="", metavar="NAME", help="Network to write; default the best one on valid images.")
@file_option("Default: network.onnx in RUN.")
@data_option("Data folder, if it moved: the file is checked with valid images.")
@plugin_option()
@out_option()
def export(
    run: str, form: str, member: str, file: Path | None, data: Path | None, plugin: tuple[str, ...], out: Path
) -> None:
    """Write one network of RUN as one file, and check it against the run's predictions.

    Class names, image size, resizing and normalisation are in the file's metadata. It predicts without augmented views.
    """
    from kagglekit.hooks.trust import plugins_named
    from kagglekit.prediction.ready import ready_run
    from kagglekit.runs.lookup import find_run
    from kagglekit.system.display.console import amount, for_people
    from kagglekit.system.files import check_writable

    display, found = for_people(False), find_run(run, out)
    with plugins_named(plugin):
        loaded, named = ready_run(found)
    target = file or found.folder / f"network.{form}"
    check_writable(target.parent, "choose another place with --file FILE")
    display.report(f"exporting {named}")
    with display.status("loading torch and timm"):
        from kagglekit.prediction.export.onnx_file import check_installed, export_onnx
        from kagglekit.prediction.new_images import Family
    check_installed()
    with plugins_named(plugin), display.status("writing and checking"):
        done = export_onnx(Family.read(found, loaded), target, member, data)
    if done.alone:
        display.report(done.alone)
    display.report(f"network: {done.file} ({amount(done.file.stat().st_size)}): {done.member}")
    checked = f"{done.n_images} valid images" if done.n_images else "random numbers, as the images have moved"
    display.report(f"checked with onnxruntime on {checked}: largest difference {done.difference:.1e}")
