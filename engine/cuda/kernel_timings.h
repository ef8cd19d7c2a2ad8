// SPDX-License-Identifier: GPL-3.0-or-later
// What a bench of the kernels measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tandem::cuda {

struct KernelBenchOptions {
  std::vector<int> rows{1, 2, 3, 6, 8};  // of tokens
  int repeats = 15;                      // of each measurement; the median counts
  std::string only;                      // kernels whose name contains it; empty: all
};

struct KernelTiming {
  std::string kernel;  // "linear wq_b"
  std::string shape;   // "fp8 1024 -> 16384"
  int rows = 0;
  std::uint64_t bytes = 0;  // that it must read and write: weights, inputs, outputs
  double microseconds = 0;  // of one call, median
  double least = 0;         // of the repeats
  double most = 0;
};

/// Bytes a second. Memory that is read counts once, memory that is copied twice.
struct KernelTimings {
  double readRate = 0;  // of a plain kernel that reads
  double copyRate = 0;
  std::vector<KernelTiming> kernels;
};

}  // namespace tandem::cuda
