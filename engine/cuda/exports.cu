// SPDX-License-Identifier: GPL-3.0-or-later
// The exported table of libtandem_cuda.so.
#include <nccl.h>

#include "engine/comm/nccl/nccl_communicator.h"
#include "engine/cuda/all_reduce_check.h"
#include "engine/cuda/cuda_exports.h"
#include "engine/cuda/device_case_operators.h"
#include "engine/cuda/kernel_bench.h"
#include "engine/device/cuda/cuda_check.h"

namespace tandem::cuda {

namespace {

Result<DeviceFacts> deviceFacts() {
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess || count == 0) {
    return Error{
        ErrorCode::Unavailable,
        counted == cudaSuccess ? "the driver shows no CUDA device" : cudaGetErrorString(counted),
        "Check the driver with nvidia-smi."};
  }
  int device = 0;
  TANDEM_CHECK_CUDA(cudaGetDevice(&device));
  cudaDeviceProp properties{};
  TANDEM_CHECK_CUDA(cudaGetDeviceProperties(&properties, device));
  std::size_t freeBytes = 0;
  std::size_t totalBytes = 0;
  TANDEM_CHECK_CUDA(cudaMemGetInfo(&freeBytes, &totalBytes));

  DeviceFacts facts;
  facts.name = properties.name;
  facts.computeMajor = properties.major;
  facts.computeMinor = properties.minor;
  facts.multiprocessors = properties.multiProcessorCount;
  facts.totalBytes = totalBytes;
  facts.freeBytes = freeBytes;
  facts.l2Bytes = static_cast<std::uint64_t>(properties.l2CacheSize);
  facts.sharedBytesPerBlock = properties.sharedMemPerBlockOptin;
  TANDEM_CHECK_CUDA(cudaDriverGetVersion(&facts.driverVersion));
  TANDEM_CHECK_CUDA(cudaRuntimeGetVersion(&facts.runtimeVersion));
  static_cast<void>(ncclGetVersion(&facts.ncclVersion));
  return facts;
}

constexpr CudaExports kExports{
    .buildId = TANDEM_BUILD_ID,
    .deviceFacts = deviceFacts,
    .makeNcclId = comm::makeNcclId,
    .connectNccl = comm::NcclCommunicator::connect,
    .checkAllReduce = checkAllReduce,
    .makeCaseOperators = makeCaseOperators,
    .benchKernels = benchKernels,
};

}  // namespace

}  // namespace tandem::cuda

extern "C" __attribute__((visibility("default"))) const tandem::cuda::CudaExports*
tandemCudaExports() {
  return &tandem::cuda::kExports;
}
