// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cuda/stream_launch.h"

namespace tandem::kernels::cuda {

Result<DeviceLimits> currentDeviceLimits() {
  int device = 0;
  TANDEM_CHECK_CUDA(cudaGetDevice(&device));
  DeviceLimits limits;
  TANDEM_CHECK_CUDA(
      cudaDeviceGetAttribute(&limits.multiprocessors, cudaDevAttrMultiProcessorCount, device));
  return limits;
}

}  // namespace tandem::kernels::cuda
