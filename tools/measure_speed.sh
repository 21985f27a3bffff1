#!/bin/sh
# Takes all figures of the bench, from nothing to README, docs/speed.md and the page on speed.
#
#     tools/measure_speed.sh          # about two and a half hours on two cores, nothing else running
#     tools/measure_speed.sh tables   # only the tables and the page, from what is measured by now
#
# PyTorch takes part if the environment has it. What was measured stays in build/; after an
# interruption the same command goes on, visit by visit and run by run. These may be set:
#
#     ROUNDS   of the rows, two to a visit (8): a visit of all rows takes about twelve minutes
#     FIRST    rounds of an earlier run of the rows, to compare with (4); 0 leaves it out
#     SEEDS    of each wait for a score (3): all chapters take about twenty minutes for each
#     MINUTES  after which a part begins nothing new (9)
#     ALONE    put before each part, such as a lock that waits for the machine
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
results=kerasbook/bench/results.json

measure() {
    while :; do
        status=0
        ${ALONE:-} python -m kerasbook.bench "$@" --resume --minutes "${MINUTES:-9}" || status=$?
        [ "$status" -eq 75 ] || return "$status" # 75: the minutes are over, something is left
    done
}

if [ "${1:-}" != tables ]; then
    against=
    if [ "${FIRST:-4}" -gt 0 ]; then
        measure rows --rounds "${FIRST:-4}" --json build/first.json
        against="--against build/first.json"
    fi
    measure rows --rounds "${ROUNDS:-8}" --json build/speed.json $against
    measure growth --json build/speed.json
    measure score --seeds "${SEEDS:-3}" --json build/speed.json
    ${ALONE:-} python -m kerasbook.bench.scaling --json kerasbook/bench/scaling.json
fi
cp build/speed.json "$results"
python tools/make_bench_table.py
python -m kerasbook notebooks build speed
