"""Build image tables from what competitions ship: folders, tables, lists, MATLAB files, containers."""
