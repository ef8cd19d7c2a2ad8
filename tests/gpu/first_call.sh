#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# One call on a machine with a GPU: does the CUDA library start there, are its kernels right, how fast are they?
#
# Usage: first_call.sh FOLDER [OUTPUT]   FOLDER holds bin/tandem-engine and lib/libtandem_cuda.so of
#
#   PATH=$PATH:/usr/local/cuda/bin cmake --preset engine -DTANDEM_PORTABLE=ON -DTANDEM_TESTS=OFF
#   cmake --build --preset engine
#
# Runs everything even when a part fails, and says at the end what failed. The screen gets little; OUTPUT gets five files:
# call.txt (all that the parts wrote), selftest.json, bench.json, bench.txt, summary.txt.
set -u

if [ $# -lt 1 ]; then
  sed -n 's/^# \{0,1\}//p' "$0" | sed -n '2,11p' >&2
  exit 2
fi
engine=$1/bin/tandem-engine
output=${2:-$PWD/gpu-first-call}
mkdir -p "$output" || exit 1
: >"$output/call.txt"
part=$(mktemp)
trap 'rm -f "$part"' EXIT
failed=

# run NAME SECONDS FILTER COMMAND…: all output goes to call.txt, what FILTER leaves of it to the screen.
run() {
  local name=$1 seconds=$2 filter=$3 started=$SECONDS code=0
  shift 3
  timeout -s KILL "$seconds" "$@" >"$part" 2>&1 || code=$?
  {
    echo "== $name: $*"
    cat "$part"
    echo "exit $code"
  } >>"$output/call.txt"
  echo "== $name: exit $code after $((SECONDS - started)) s"
  $filter <"$part"
  if [ $code -ne 0 ]; then
    failed="$failed $name"
  fi
}

last() { tail -n 6; }
# Failed cases with the line that says how far they are off, and the tally.
failures() {
  grep -A 1 '^failed' | cut -c 1-220 | head -n 60
  tail -n 1 "$part"
}
# What the sanitizer found first, and its tally.
findings() {
  grep -E -A 6 '^=+ (Invalid|Error|Race|Warning|Uninitialized|Barrier|Program|Internal)' | cut -c 1-180 | head -n 24
  grep -E 'ERROR SUMMARY|RACECHECK SUMMARY|passed,' "$part" | tail -n 2
}

# The portable program finds NCCL where the machine has it, beside CUDA or in a Python package.
nccl=$(find /usr/lib /usr/local /opt -name libnccl.so.2 -print -quit 2>/dev/null)
if [ -n "$nccl" ]; then
  LD_LIBRARY_PATH=$(dirname "$nccl")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH
fi

run device 20 last nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm --format=csv,noheader
run cuda-check 20 last "$engine" cuda-check
run selftest 40 failures "$engine" selftest --backend cuda
# A second time as data, for tests/evidence.
timeout -s KILL 40 "$engine" selftest --backend cuda --json >"$output/selftest.json" 2>>"$output/call.txt"
run nccl 40 last "$engine" cuda-check --nccl
# Timed before the sanitizer, on a card that nothing else has heated.
run bench 90 cat "$engine" bench kernels --backend cuda --json "$output/bench.json"
cp "$part" "$output/bench.txt"
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ -x "$sanitizer" ]; then
  for tool in memcheck racecheck synccheck initcheck; do
    run "$tool" 45 findings "$sanitizer" --tool "$tool" --error-exitcode 1 "$engine" selftest --backend cuda
  done
else
  echo "compute-sanitizer is not on this machine: not run"
fi

if [ -n "$failed" ]; then
  echo "failed:$failed; see $output" | tee "$output/summary.txt"
  exit 1
fi
echo "all passed; see $output" | tee "$output/summary.txt"
