#!/usr/bin/env bash
# Tests and times everything on a GPU, unattended, in less than eight minutes.
#
#   benchmarks/gpu.sh [--dry-run] [FOLDER]         default FOLDER: benchmarks/results
#
# Runs from the source tree; nothing needs to be installed but python3 with numpy, cupy, pytest and
# hypothesis. PyTorch, if it is there, is timed on the same GPU. Every stage has a time limit, and a
# failing one does not stop the next. FOLDER gets gpu.json (hardware, driver, versions, commit, tests,
# times) and gpu-tests.txt (what pytest said). Exit status 0 if gpu.json could be written, whether or
# not tests failed; the last lines say so if they did.
#
#   --dry-run   the strict stand-in device in place of the GPU, and little time: tries out this script
#
# PYTHON names another interpreter; TEST_SECONDS, BENCH_SECONDS and TORCH_SECONDS the time of a stage.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
folder=$root/benchmarks/results
device=cuda
for argument in "$@"; do
    case $argument in
    --dry-run) device=strict ;;
    -*) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
    /*) folder=$argument ;;
    *) folder=$PWD/$argument ;;
    esac
done
if [ "$device" = strict ]; then defaults=(3 4 20); else defaults=(170 130 40); fi
tests=${TEST_SECONDS:-${defaults[0]}}
bench=${BENCH_SECONDS:-${defaults[1]}}
torch=${TORCH_SECONDS:-${defaults[2]}}

export PYTHONPATH="$root:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
cd "$root" || exit 1

stage() { # limit, name, command …: run it no longer than the limit
    local limit=$1 name=$2 status
    shift 2
    timeout --signal=INT --kill-after=5 "$limit" "$@"
    status=$?
    if [ "$status" -ge 124 ]; then echo "$name: stopped after $limit s"; fi
    return "$status"
}

timeout 40 "$python" -m gpu.check "$device" || exit 1
mkdir -p "$folder" || exit 1
rm -f "$folder"/gpu.json "$folder"/gpu-*.json "$folder"/gpu-tests.*

echo "tests ($tests s at most) …"
stage $((tests + 20)) tests "$python" -m gpu.tests "$device" "$tests" "$folder"
echo "times ($bench s at most) …"
stage $((bench + 20)) times "$python" -m gpu.times "$device" "$bench" "$folder"
if [ "$device" = cuda ]; then
    echo "PyTorch, if it is there ($torch s at most) …"
    stage "$torch" PyTorch "$python" -m gpu.rival "$folder"
fi
timeout 30 "$python" -m gpu.report "$device" "$folder"
