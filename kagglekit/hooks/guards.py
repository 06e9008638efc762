"""Guard the functions of plugins: what they return is checked, what they raise names the plugin, watchers may fail."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kagglekit.hooks import names
from kagglekit.hooks.failures import defined_at, one_line, plugin_failure
from kagglekit.hooks.specs import HOOKS
from kagglekit.hooks.validation import check_returned
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pluggy import HookImpl

    from kagglekit.hooks.plugin import Plugins
    from kagglekit.types.competition import Competition, Provides
    from kagglekit.types.recipe import Recipe

_WATCHERS = {
    f"kagglekit_{event}" for event in ("run_start", "stage_start", "epoch_end", "stage_end", "run_end", "run_failed")
}
_log = logging.getLogger(__name__)


class GuardedPlugins:
    """Loaded plugins whose functions are guarded, and what they provide.

    A watcher that fails is disabled for the rest of the run, with a warning.

    Args:
        plugins: The plugins that `kagglekit.hooks.manager.load` returned.
        warn: Shows a warning of one line.
    """

    def __init__(self, plugins: Plugins, warn: Callable[[str], None] = _log.warning) -> None:
        self._warn = warn
        self._relay = plugins.manager.hook
        self._who: dict[str, dict[str, None]] = {hook: {} for hook in HOOKS}
        self._last: dict[str, tuple[str, str]] = {}  # plugin and place of each hook's last result
        self._failed_watchers: set[str] = set()
        self._watched = True
        self._own = {str(plugin) for plugin in plugins.plugins if plugin.is_ours}
        self._provided: list[tuple[str, Provides]] | None = None
        for hook in HOOKS:
            guard = self._guarded if hook in _WATCHERS else self._checked
            for implementation in getattr(self._relay, hook).get_hookimpls():
                # pluggy has read the argument names already, so the function can be another one
                implementation.function = guard(hook, implementation)

    @property
    def answered(self) -> dict[str, str]:
        """The plugins that have returned a value, by hook, as ``name (distribution version)``, for run.json."""
        return {hook: ", ".join(who) for hook, who in self._who.items() if who}

    def provided(self) -> list[tuple[str, Provides]]:
        """Return what each plugin provides, in the order of the calls."""
        if self._provided is None:
            implementations = reversed(self._relay.kagglekit_provides.get_hookimpls())
            results: list[tuple[str, Any]] = [(each.plugin_name, each.function()) for each in implementations]
            self._provided = [(plugin, result) for plugin, result in results if result is not None]
        return self._provided

    def provides(self) -> Provides:
        """Return what all plugins together provide."""
        return names.merge(provides for _, provides in self.provided())

    def ignore_watchers(self) -> None:
        """Call no watcher: another process of the same run does."""
        self._watched = False

    def reader(self) -> str:
        """Return the plugins that may decode images, with their versions: decoded images depend on them."""
        implementations = self._relay.kagglekit_read_image.get_hookimpls()
        return ", ".join(each.plugin_name for each in reversed(implementations))

    def reads_files_as_they_are(self) -> bool:
        """Return whether only our own reader decodes images, so that any decoder sees the same image in a file."""
        readers = {each.plugin_name for each in self._relay.kagglekit_read_image.get_hookimpls()}
        return bool(readers) and readers <= self._own

    def check_names(self, recipe: Recipe, competition: Competition) -> None:
        """Raise a `UsageError` that lists every name and option of the recipe that no plugin knows."""
        names.check_names(self.provides(), recipe, competition)

    def _checked(self, hook: str, implementation: HookImpl) -> Callable[..., Any]:
        """Wrap a hook's function: attribute exceptions to the plugin, check and record the result."""
        function, plugin = implementation.function, implementation.plugin_name
        modules, place, who = _modules(implementation), defined_at(function), self._who[hook]

        def result(*arguments: Any) -> Any:
            try:
                given = function(*arguments)
            except UserError:
                raise
            except Exception as error:
                raise plugin_failure(plugin, f"in {hook}", error, modules) from error
            if given is not None:
                check_returned(plugin, hook, place, given)
                self._last[hook] = (plugin, place)
                who[plugin] = None
            return given

        return result

    def _guarded(self, hook: str, implementation: HookImpl) -> Callable[..., None]:
        """Wrap a watcher's function: an exception disables that plugin's watchers and the run continues."""
        function, plugin, modules = (
            implementation.function,
            implementation.plugin_name,
            _modules(implementation),
        )

        def watch(*arguments: Any) -> None:
            if plugin in self._failed_watchers or not self._watched:
                return
            try:
                function(*arguments)
            except UserError as error:
                self._failed_watchers.add(plugin)
                self._warn(f"{plugin}: {one_line(str(error))} (it does not watch this run)")
            except Exception as error:
                self._failed_watchers.add(plugin)
                failure = plugin_failure(plugin, f"in {hook}", error, modules)
                self._warn(f"{one_line(failure.what)} (it no longer watches this run)")

        return watch


def _modules(implementation: HookImpl) -> set[str]:
    """Return the modules of a hook's function: the one that defines it, and the plugin that has it."""
    return {implementation.function.__module__, getattr(implementation.plugin, "__name__", "")} - {""}
