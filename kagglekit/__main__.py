"""``python -m kagglekit``."""

from kagglekit.cli import cli

if __name__ == "__main__":
    cli(prog_name="kagglekit")
