"""Tools for plugin authors: `kagglekit new` and `kagglekit check`."""
