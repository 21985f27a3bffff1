#!/bin/sh
# Takes all figures of the bench, from nothing to README, docs/speed.md and the page on speed.
#
#     tools/measure_speed.sh          # about three hours on two cores on which nothing else runs
#
# PyTorch takes part if the environment has it. What was measured stays in build/; after an
# interruption the same command goes on, row by row. ALONE is put before each part, such as a lock
# that waits for the machine; a part begins nothing new after MINUTES, 9 if not set.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build

measure() {
    while :; do
        status=0
        ${ALONE:-} python -m kerasbook.bench "$@" --resume --minutes "${MINUTES:-9}" || status=$?
        [ "$status" -eq 75 ] || break # 75: the minutes are over, and something is left
    done
    return "$status"
}

measure rows --json build/first.json
measure --json build/speed.json --against build/first.json
cp build/speed.json kerasbook/bench/results.json
${ALONE:-} python -m kerasbook.bench.scaling --json kerasbook/bench/scaling.json
python tools/make_bench_table.py
python -m kerasbook notebooks build speed
