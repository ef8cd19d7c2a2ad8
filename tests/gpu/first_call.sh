#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The first call on a machine with a GPU: does the CUDA library start there, and are its kernels right?
#
# Usage: first_call.sh FOLDER [OUTPUT]   FOLDER holds bin/tandem-engine and lib/libtandem_cuda.so of
#
#   PATH=$PATH:/usr/local/cuda/bin cmake --preset engine -DTANDEM_PORTABLE=ON -DTANDEM_TESTS=OFF
#   cmake --build --preset engine
#
# Runs everything even when a part fails, and says at the end what failed.
set -u

if [ $# -lt 1 ]; then
  sed -n 's/^# \{0,1\}//p' "$0" | sed -n '2,9p' >&2
  exit 2
fi
engine=$1/bin/tandem-engine
output=${2:-$PWD/gpu-first-call}
mkdir -p "$output" || exit 1
failed=

# run NAME COMMAND…: keeps the output in NAME.txt and the last lines on the screen.
run() {
  local name=$1
  shift
  echo "== $name: $*"
  if ! timeout 300 "$@" >"$output/$name.txt" 2>&1; then
    failed="$failed $name"
  fi
  tail -n 20 "$output/$name.txt"
}

# The portable program finds NCCL where the machine has it, beside CUDA or in a Python package.
nccl=$(find /usr/lib /usr/local /opt -name libnccl.so.2 -print -quit 2>/dev/null)
if [ -n "$nccl" ]; then
  LD_LIBRARY_PATH=$(dirname "$nccl")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH
fi

run device nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv
run cuda-check "$engine" cuda-check
run selftest "$engine" selftest --backend cuda
# A second time as data, for tests/evidence.
"$engine" selftest --backend cuda --json >"$output/selftest.json" 2>/dev/null
run nccl "$engine" cuda-check --nccl
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ -x "$sanitizer" ]; then
  for tool in memcheck racecheck synccheck initcheck; do
    run "$tool" "$sanitizer" --tool "$tool" --error-exitcode 1 "$engine" selftest --backend cuda
  done
else
  echo "compute-sanitizer is not on this machine: not run"
fi

if [ -n "$failed" ]; then
  echo "failed:$failed; see $output"
  exit 1
fi
echo "all passed; see $output"
