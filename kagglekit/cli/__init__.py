"""The command line, one module a command."""

from kagglekit.cli.main import cli as cli
from kagglekit.cli.main import command as command
