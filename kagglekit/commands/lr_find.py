"""``kagglekit lr-find`` and `kagglekit.lr_find`: the range test of a stage, its table and its plots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kagglekit.planning.request import Request
    from kagglekit.system.display.console import Display
    from kagglekit.workflows.lr_find import FoundRates


def lr_find(
    request: Callable[[], Request], title: str, stage: int | None, pictures: Path | None, display: Display
) -> tuple[FoundRates, tuple[Path, Path]]:
    """Test a stage, and show the table of rates.

    Args:
        request: Makes the request, whose competition may be a folder; called once something has been said.
        title: What was asked for, for the first line.
        stage: Number of the stage; None for the first one with a learning rate.
        pictures: Folder for the plots; None for ``pictures/COMPETITION``.
        display: Shows progress.

    Returns:
        The rates; the plots of the loss by rate, and of the rate by step.

    Raises:
        UserError: There is no such stage, it has no learning rate, or a run would fail.
    """
    with display.status(f"{title}: loading its plugin and recipe"):
        from kagglekit.authoring.from_folder import recognised
        from kagglekit.planning.choose import check_request, choose, stage_to_test

        asked = request()
    asked = recognised(asked, display)
    check_request(asked)  # here and below: errors are reported before anything slow
    choice = choose(asked)
    stage_to_test(choice.recipe, stage)
    with display.status(f"{choice.name}: loading torch and timm"):
        from kagglekit.workflows.lr_find import draw, find_rates, rate_table
    found = find_rates(asked, stage, display)
    display.table(*rate_table(found))
    return found, draw(found, pictures or Path("pictures") / found.name)
