#!/bin/sh
# Checks the book on a GPU, in about ten minutes, and writes one JSON of what was found.
#
#     tools/gpu_check.sh                # gpu_check.json
#     tools/gpu_check.sh --dry-run      # prints what would be done
#
# Needs `python -m pip install -e ".[dev,gpu]"` and an NVIDIA driver (under Windows inside WSL2);
# PyTorch takes part if it is installed. The figures of the bench are in it, one round of a few
# rows: enough to see whether a GPU is used, not to state a speed.
set -eu
cd "$(dirname "$0")/.."
rows="empty chapter2 chapter3 chapter5 chapter6"
say() {
    echo "$@"
    [ "${dry:-}" ] || "$@"
}

[ "${1:-}" = "--dry-run" ] && dry=yes
[ "${dry:-}" ] || python -c 'import kerasbook, tensorflow as tf
from kerasbook.machine import NO_GPU
raise SystemExit(None if tf.config.list_physical_devices("GPU") else f"error: {NO_GPU}")'
mkdir -p build
status=0
say python -m pytest -m gpu -q --junitxml build/gpu_tests.xml || status=$?
say rm -f build/gpu_bench.json
say python -m kerasbook.bench $rows --rounds 1 --device gpu --json build/gpu_bench.json || status=$?
say python tools/join_gpu_check.py build/gpu_tests.xml build/gpu_bench.json gpu_check.json
exit "$status"
