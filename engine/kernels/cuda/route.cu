// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cuda/route.h"

#include <string>

#include "engine/device/cuda/cuda_check.h"

namespace tandem::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kMostExperts = 1024;
constexpr int kMostPicks = 32;

struct RouteArguments {
  std::int32_t* picks = nullptr;
  std::int64_t pickStride = 0;
  float* weights = nullptr;
  std::int64_t weightStride = 0;
  const float* logits = nullptr;
  std::int64_t logitStride = 0;
  const float* bias = nullptr;
  const std::int32_t* table = nullptr;
  std::int64_t tableStride = 0;
  const TokenId* tokens = nullptr;
  int experts = 0;
  int picked = 0;
  float scale = 1;
};

/// A block a row. An expert's rank is how many go before it, so nothing has to be sorted.
__global__ void __launch_bounds__(kThreads)
    routeKernel(const __grid_constant__ RouteArguments arguments) {
  // Above this softplus(z) is z to the last bit of a float.
  constexpr float kLinearFrom = 20.F;
  __shared__ float scores[kMostExperts];
  __shared__ float keys[kMostExperts];
  __shared__ bool chosen[kMostExperts];
  __shared__ std::int32_t picks[kMostPicks];
  const std::int64_t row = blockIdx.x;
  const auto thread = static_cast<int>(threadIdx.x);
  for (int e = thread; e < arguments.experts; e += kThreads) {
    const float logit = arguments.logits[row * arguments.logitStride + e];
    const float score = sqrtf(logit > kLinearFrom ? logit : log1pf(expf(logit)));
    scores[e] = score;
    keys[e] = arguments.bias == nullptr ? 0.F : score + arguments.bias[e];
  }
  __syncthreads();
  if (arguments.table != nullptr) {
    if (thread < arguments.picked) {
      picks[thread] = arguments.table[arguments.tokens[row] * arguments.tableStride + thread];
    }
  } else {
    for (int e = thread; e < arguments.experts; e += kThreads) {
      int before = 0;
      for (int other = 0; other < arguments.experts; ++other) {
        before += keys[other] > keys[e] || (keys[other] == keys[e] && other < e) ? 1 : 0;
      }
      chosen[e] = before < arguments.picked;
    }
    __syncthreads();
    for (int e = thread; e < arguments.experts; e += kThreads) {
      if (chosen[e]) {
        int place = 0;
        for (int other = 0; other < e; ++other) {
          place += chosen[other] ? 1 : 0;
        }
        picks[place] = e;
      }
    }
  }
  __syncthreads();
  if (thread < arguments.picked) {
    float total = 0.F;
    for (int j = 0; j < arguments.picked; ++j) {
      total += scores[picks[j]];
    }
    arguments.picks[row * arguments.pickStride + thread] = picks[thread];
    arguments.weights[row * arguments.weightStride + thread] =
        scores[picks[thread]] / total * arguments.scale;
  }
}

}  // namespace

Result<void> route(Matrix<std::int32_t> picks,
                   Matrix<float> weights,
                   Matrix<const float> logits,
                   const float* bias,
                   Matrix<const std::int32_t> hashTable,
                   const TokenId* tokens,
                   float scale,
                   cudaStream_t stream) {
  if (logits.cols > kMostExperts || picks.cols > kMostPicks || picks.cols > logits.cols ||
      (bias == nullptr && hashTable.rows == 0)) {
    return Error{ErrorCode::InvalidArgument,
                 "a router of " + std::to_string(picks.cols) + " of " +
                     std::to_string(logits.cols) + " experts, at most " +
                     std::to_string(kMostPicks) + " of " + std::to_string(kMostExperts) +
                     ", with a bias or a table",
                 ""};
  }
  if (logits.rows == 0) {
    return {};
  }
  RouteArguments arguments;
  arguments.picks = picks.data;
  arguments.pickStride = picks.stride;
  arguments.weights = weights.data;
  arguments.weightStride = weights.stride;
  arguments.logits = logits.data;
  arguments.logitStride = logits.stride;
  arguments.bias = bias;
  arguments.table = hashTable.rows > 0 ? hashTable.data : nullptr;
  arguments.tableStride = hashTable.stride;
  arguments.tokens = tokens;
  arguments.experts = static_cast<int>(logits.cols);
  arguments.picked = static_cast<int>(picks.cols);
  arguments.scale = scale;
  routeKernel<<<static_cast<unsigned>(logits.rows), kThreads, 0, stream>>>(arguments);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

}  // namespace tandem::kernels::cuda
