#!/bin/sh
# Everything that only a GPU can show, in at most eight minutes, without a network: tests, speeds, a whole run; one JSON.
#
#   benchmarks/gpu.sh --out DIR [--wheels DIR] [--data pets=DIR] [--device cuda] [--minutes 8] [--tiny]
#
# It needs a Python ($PYTHON, else python3) with torch, timm and the other packages of pyproject.toml, but not kagglekit:
# what it would need of an installation is written to DIR. Missing packages can be brought along as wheels: --wheels.
# `--device cpu --tiny` shows on any machine whether all of it works.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "${PYTHON:-python3}" "$here/gpu.py" "$@"
