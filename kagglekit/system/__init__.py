"""The machine and the process: errors, console, files, signals, limits; knows nothing of images or runs."""
