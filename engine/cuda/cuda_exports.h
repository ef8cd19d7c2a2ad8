// SPDX-License-Identifier: GPL-3.0-or-later
// What libtandem_cuda.so offers: the one table that crosses the dlopen boundary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/comm/communicator.h"
#include "engine/comm/nccl_id.h"
#include "engine/cuda/case_operators.h"
#include "engine/cuda/kernel_timings.h"

namespace tandem::cuda {

/// The device the library would use.
struct DeviceFacts {
  std::string name;      // "NVIDIA GB10"
  int computeMajor = 0;  // 12.1 is sm_121
  int computeMinor = 0;
  int multiprocessors = 0;
  std::uint64_t totalBytes = 0;
  std::uint64_t freeBytes = 0;
  std::uint64_t l2Bytes = 0;
  std::uint64_t sharedBytesPerBlock = 0;  // the opt-in limit
  int driverVersion = 0;                  // 13000 is CUDA 13.0
  int runtimeVersion = 0;
  int ncclVersion = 0;  // 22809 is 2.28.9
};

/// C++ types cross the boundary, so library and program must come from one build: both are compiled
/// with the same TANDEM_BUILD_ID, and the loader compares them before it calls anything.
struct CudaExports {
  const char* buildId = nullptr;

  /// Fails    Unavailable without a driver or a device, in CUDA's words.
  Result<DeviceFacts> (*deviceFacts)() = nullptr;

  Result<comm::NcclId> (*makeNcclId)() = nullptr;

  /// See NcclCommunicator::connect.
  Result<std::unique_ptr<comm::Communicator>> (*connectNccl)(const comm::NcclId& id,
                                                             int rank,
                                                             int ranks) = nullptr;

  /// Fills `floats` values in device memory with a pattern of this rank, sums them over the ranks
  /// and compares with the sum the patterns have. Every rank calls it.
  /// Fails    Internal naming the first wrong element with both values.
  Result<void> (*checkAllReduce)(comm::Communicator& communicator, std::size_t floats) = nullptr;

  /// The kernels there are, for the cases of engine/kernels/cases.
  ///
  /// Fails    Unavailable without a device.
  Result<std::unique_ptr<CaseOperators>> (*makeCaseOperators)() = nullptr;

  /// Times each kernel over buffers larger than the cache, with the contents made up, and a plain
  /// kernel that reads and one that copies beside them. Takes seconds and up to 4 GiB.
  ///
  /// Fails    OutOfMemory; Internal in CUDA's words.
  Result<KernelTimings> (*benchKernels)(const KernelBenchOptions& options) = nullptr;
};

/// The library's only visible symbol: `const CudaExports* tandemCudaExports()`.
inline constexpr const char* kExportsSymbol = "tandemCudaExports";
using ExportsFunction = const CudaExports* (*)();

}  // namespace tandem::cuda
