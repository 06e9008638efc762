"""``python -m kagglekit``."""

from kagglekit.cli import command

if __name__ == "__main__":
    command()
