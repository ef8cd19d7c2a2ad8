// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/all_reduce_check.h"

#include <fmt/core.h>

#include <vector>

#include "engine/device/cuda/cuda_handles.h"

namespace tandem::cuda {

namespace {

// Small integers: their sums are exact in float, so equality is the right comparison. The index is
// mixed in so that a shifted or partly written result shows.
float pattern(int rank, std::size_t index) {
  return static_cast<float>(index % 1021) * static_cast<float>(rank + 1);
}

}  // namespace

Result<void> checkAllReduce(comm::Communicator& communicator, std::size_t floats) {
  std::vector<float> host(floats);
  for (std::size_t i = 0; i < floats; ++i) {
    host[i] = pattern(communicator.rank(), i);
  }
  Result<device::UniqueDevice<float>> memory = device::allocateDevice<float>(floats);
  if (!memory) {
    return memory.error();
  }
  float* data = memory->get();
  TANDEM_CHECK_CUDA(cudaMemcpy(data, host.data(), floats * sizeof(float), cudaMemcpyHostToDevice));
  if (Result<void> summed = communicator.allReduceSum({data, floats}); !summed) {
    return summed;
  }
  TANDEM_CHECK_CUDA(cudaMemcpy(host.data(), data, floats * sizeof(float), cudaMemcpyDeviceToHost));
  for (std::size_t i = 0; i < floats; ++i) {
    float expected = 0;
    for (int rank = 0; rank < communicator.size(); ++rank) {
      expected += pattern(rank, i);
    }
    if (host[i] != expected) {
      return Error{
          ErrorCode::Internal,
          fmt::format("all-reduce of {} floats over {} ranks: element {} is {}, expected {}",
                      floats,
                      communicator.size(),
                      i,
                      host[i],
                      expected),
          "The link or NCCL is broken. Run the link test."};
    }
  }
  return {};
}

}  // namespace tandem::cuda
