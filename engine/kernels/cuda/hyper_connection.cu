// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cuda/hyper_connection.h"

#include <algorithm>
#include <string>

#include "engine/device/cuda/cuda_check.h"
#include "engine/kernels/cuda/block_sum.cuh"

namespace tandem::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kRows = 8;  // that share a reading of fn
constexpr int kMostLogits = (2 + kMostStreams) * kMostStreams;
constexpr int kSums = kMostLogits + 1;  // the last: squares
constexpr int kParts = 64;              // of the M * D columns
constexpr int kLogitsOfBlock = 4;

struct HyperArguments {
  float* x = nullptr;
  std::int64_t xStride = 0;
  float* post = nullptr;
  std::int64_t postStride = 0;
  float* comb = nullptr;
  std::int64_t combStride = 0;
  const float* streams = nullptr;
  std::int64_t streamStride = 0;
  float* scratch = nullptr;  // [rows, kParts, kSums]
  DeviceHyperConnection weights;
  int rows = 0;
  int dim = 0;
  int m = 0;
  int logits = 0;
};

/// scratch[row][part][n] = Σ fn[n] · v over the columns of a part; n = logits: Σ v². A block takes
/// one part, four logits and eight rows: fn is read once for all of them.
__global__ void __launch_bounds__(kThreads)
    hyperSumsKernel(const __grid_constant__ HyperArguments arguments) {
  const int width = arguments.m * arguments.dim;
  const int each = (width + kParts - 1) / kParts;
  const auto part = static_cast<int>(blockIdx.x);
  const int begin = part * each;
  const int end = min(width, begin + each);
  const int firstLogit = static_cast<int>(blockIdx.y) * kLogitsOfBlock;
  const int firstRow = static_cast<int>(blockIdx.z) * kRows;
  const int rows = min(kRows, arguments.rows - firstRow);
  float sums[kRows][kLogitsOfBlock] = {};
  for (int c = begin + static_cast<int>(threadIdx.x); c < end; c += kThreads) {
    float fn[kLogitsOfBlock];
#pragma unroll
    for (int n = 0; n < kLogitsOfBlock; ++n) {
      const int logit = firstLogit + n;
      fn[n] = logit < arguments.logits
                  ? arguments.weights.fn.data[logit * arguments.weights.fn.stride + c]
                  : 0.F;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r < rows) {
        const float v = arguments.streams[(firstRow + r) * arguments.streamStride + c];
#pragma unroll
        for (int n = 0; n < kLogitsOfBlock; ++n) {
          const float factor = firstLogit + n == arguments.logits ? v : fn[n];
          sums[r][n] = fmaf(factor, v, sums[r][n]);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (r >= rows) {
      break;
    }
#pragma unroll
    for (int n = 0; n < kLogitsOfBlock; ++n) {
      const float sum = blockSum<kThreads>(sums[r][n]);
      if (threadIdx.x == 0 && firstLogit + n <= arguments.logits) {
        arguments.scratch[(std::int64_t{firstRow + r} * kParts + part) * kSums + firstLogit + n] =
            sum;
      }
    }
  }
}

__device__ float sigmoid(float x) {
  return 1.F / (1.F + expf(-x));
}

/// m of one row: `values` [logits] in shared memory.
__device__ void gatherLogits(const HyperArguments& arguments, std::int64_t row, float* values) {
  __shared__ float sums[kSums];
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread <= arguments.logits) {
    float sum = 0.F;
    for (int part = 0; part < kParts; ++part) {
      sum += arguments.scratch[(row * kParts + part) * kSums + thread];
    }
    sums[thread] = sum;
  }
  __syncthreads();
  if (thread < arguments.logits) {
    const float mean = sums[arguments.logits] / static_cast<float>(arguments.m * arguments.dim);
    values[thread] = sums[thread] / sqrtf(mean + arguments.weights.normEps);
  }
  __syncthreads();
}

/// Softmax and Sinkhorn-Knopp of a matrix of M x M, by one thread: sixteen numbers.
template <int M>
__device__ void balance(float (&c)[M][M], int iterations, float eps) {
#pragma unroll
  for (int j = 0; j < M; ++j) {
    float largest = c[j][0];
#pragma unroll
    for (int k = 1; k < M; ++k) {
      largest = fmaxf(largest, c[j][k]);
    }
    float sum = 0.F;
#pragma unroll
    for (int k = 0; k < M; ++k) {
      c[j][k] = expf(c[j][k] - largest);
      sum += c[j][k];
    }
#pragma unroll
    for (int k = 0; k < M; ++k) {
      c[j][k] = c[j][k] / sum + eps;
    }
  }
  for (int pass = 0; pass < iterations; ++pass) {
    if (pass > 0) {
#pragma unroll
      for (int j = 0; j < M; ++j) {
        float sum = eps;
#pragma unroll
        for (int k = 0; k < M; ++k) {
          sum += c[j][k];
        }
#pragma unroll
        for (int k = 0; k < M; ++k) {
          c[j][k] /= sum;
        }
      }
    }
#pragma unroll
    for (int k = 0; k < M; ++k) {
      float sum = eps;
#pragma unroll
      for (int j = 0; j < M; ++j) {
        sum += c[j][k];
      }
#pragma unroll
      for (int j = 0; j < M; ++j) {
        c[j][k] /= sum;
      }
    }
  }
}

template <int M>
__device__ void writeComb(const HyperArguments& arguments, std::int64_t row, const float* logits) {
  float c[M][M];
#pragma unroll
  for (int j = 0; j < M; ++j) {
#pragma unroll
    for (int k = 0; k < M; ++k) {
      const int n = 2 * M + j * M + k;
      c[j][k] = logits[n] * arguments.weights.scale[2] + arguments.weights.base[n];
    }
  }
  balance<M>(c, max(arguments.weights.sinkhornIterations, 1), arguments.weights.eps);
#pragma unroll
  for (int j = 0; j < M; ++j) {
#pragma unroll
    for (int k = 0; k < M; ++k) {
      arguments.comb[row * arguments.combStride + j * M + k] = c[j][k];
    }
  }
}

/// Blocks of one row share its columns; the first of them also writes the mix.
template <int M, bool Head>
__global__ void __launch_bounds__(kThreads)
    hyperCollapseKernel(const __grid_constant__ HyperArguments arguments) {
  __shared__ float logits[kMostLogits];
  const std::int64_t row = blockIdx.y;
  const auto thread = static_cast<int>(threadIdx.x);
  gatherLogits(arguments, row, logits);
  float pre[M];
#pragma unroll
  for (int i = 0; i < M; ++i) {
    pre[i] = sigmoid(logits[i] * arguments.weights.scale[0] + arguments.weights.base[i]) +
             arguments.weights.eps;
  }
  const float* streams = arguments.streams + row * arguments.streamStride;
  for (int c = static_cast<int>(blockIdx.x) * kThreads + thread; c < arguments.dim;
       c += static_cast<int>(gridDim.x) * kThreads) {
    float sum = 0.F;
#pragma unroll
    for (int i = 0; i < M; ++i) {
      sum = fmaf(pre[i], streams[i * arguments.dim + c], sum);
    }
    arguments.x[row * arguments.xStride + c] = sum;
  }
  if constexpr (!Head) {
    if (blockIdx.x == 0) {
      if (thread < M) {
        const int n = M + thread;
        arguments.post[row * arguments.postStride + thread] =
            2.F * sigmoid(logits[n] * arguments.weights.scale[1] + arguments.weights.base[n]);
      } else if (thread == kThreads - 1) {
        writeComb<M>(arguments, row, logits);
      }
    }
  }
}

struct PostArguments {
  float* streams = nullptr;
  std::int64_t streamStride = 0;
  const float* y = nullptr;
  std::int64_t yStride = 0;
  const float* post = nullptr;
  std::int64_t postStride = 0;
  const float* comb = nullptr;
  std::int64_t combStride = 0;
  int dim = 0;
};

template <int M>
__global__ void __launch_bounds__(kThreads)
    hyperPostKernel(const __grid_constant__ PostArguments arguments) {
  const std::int64_t row = blockIdx.y;
  const int c = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (c >= arguments.dim) {
    return;
  }
  float* streams = arguments.streams + row * arguments.streamStride + c;
  const float* comb = arguments.comb + row * arguments.combStride;
  const float y = arguments.y[row * arguments.yStride + c];
  float before[M];
#pragma unroll
  for (int j = 0; j < M; ++j) {
    before[j] = streams[j * arguments.dim];
  }
#pragma unroll
  for (int k = 0; k < M; ++k) {
    float sum = arguments.post[row * arguments.postStride + k] * y;
#pragma unroll
    for (int j = 0; j < M; ++j) {
      sum = fmaf(comb[j * M + k], before[j], sum);
    }
    streams[k * arguments.dim] = sum;
  }
}

Error tooManyStreams(std::int64_t m) {
  return Error{ErrorCode::InvalidArgument,
               std::to_string(m) + " streams, at most " + std::to_string(kMostStreams),
               ""};
}

template <int M, bool Head>
Result<void> launch(const HyperArguments& arguments, cudaStream_t stream) {
  const auto rowGroups = static_cast<unsigned>((arguments.rows + kRows - 1) / kRows);
  const dim3 grid(kParts,
                  static_cast<unsigned>((arguments.logits + kLogitsOfBlock) / kLogitsOfBlock),
                  rowGroups);
  hyperSumsKernel<<<grid, kThreads, 0, stream>>>(arguments);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  const dim3 collapse(static_cast<unsigned>((arguments.dim + kThreads - 1) / kThreads),
                      static_cast<unsigned>(arguments.rows));
  hyperCollapseKernel<M, Head><<<collapse, kThreads, 0, stream>>>(arguments);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

template <bool Head>
Result<void> launchFor(const HyperArguments& arguments, cudaStream_t stream) {
  switch (arguments.m) {
    case 1:
      return launch<1, Head>(arguments, stream);
    case 2:
      return launch<2, Head>(arguments, stream);
    case 3:
      return launch<3, Head>(arguments, stream);
    case 4:
      return launch<4, Head>(arguments, stream);
    default:
      return tooManyStreams(arguments.m);
  }
}

HyperArguments argumentsOf(Matrix<float> x,
                           Matrix<const float> streams,
                           const DeviceHyperConnection& weights,
                           float* scratch) {
  HyperArguments arguments;
  arguments.x = x.data;
  arguments.xStride = x.stride;
  arguments.streams = streams.data;
  arguments.streamStride = streams.stride;
  arguments.scratch = scratch;
  arguments.weights = weights;
  arguments.rows = static_cast<int>(x.rows);
  arguments.dim = static_cast<int>(x.cols);
  arguments.m = static_cast<int>(streams.cols / x.cols);
  arguments.logits = static_cast<int>(weights.fn.rows);
  return arguments;
}

}  // namespace

std::int64_t hyperScratchFloats(std::int64_t rows) {
  return rows * kParts * kSums;
}

Result<void> hyperPre(Matrix<float> x,
                      Matrix<float> post,
                      Matrix<float> comb,
                      Matrix<const float> streams,
                      const DeviceHyperConnection& weights,
                      float* scratch,
                      cudaStream_t stream) {
  if (x.rows == 0) {
    return {};
  }
  HyperArguments arguments = argumentsOf(x, streams, weights, scratch);
  arguments.post = post.data;
  arguments.postStride = post.stride;
  arguments.comb = comb.data;
  arguments.combStride = comb.stride;
  return launchFor<false>(arguments, stream);
}

Result<void> hyperHead(Matrix<float> x,
                       Matrix<const float> streams,
                       const DeviceHyperConnection& weights,
                       float* scratch,
                       cudaStream_t stream) {
  if (x.rows == 0) {
    return {};
  }
  return launchFor<true>(argumentsOf(x, streams, weights, scratch), stream);
}

Result<void> hyperPost(Matrix<float> streams,
                       Matrix<const float> y,
                       Matrix<const float> post,
                       Matrix<const float> comb,
                       cudaStream_t stream) {
  if (streams.rows == 0) {
    return {};
  }
  PostArguments arguments;
  arguments.streams = streams.data;
  arguments.streamStride = streams.stride;
  arguments.y = y.data;
  arguments.yStride = y.stride;
  arguments.post = post.data;
  arguments.postStride = post.stride;
  arguments.comb = comb.data;
  arguments.combStride = comb.stride;
  arguments.dim = static_cast<int>(y.cols);
  const dim3 grid(static_cast<unsigned>((arguments.dim + kThreads - 1) / kThreads),
                  static_cast<unsigned>(streams.rows));
  switch (post.cols) {
    case 1:
      hyperPostKernel<1><<<grid, kThreads, 0, stream>>>(arguments);
      break;
    case 2:
      hyperPostKernel<2><<<grid, kThreads, 0, stream>>>(arguments);
      break;
    case 3:
      hyperPostKernel<3><<<grid, kThreads, 0, stream>>>(arguments);
      break;
    case 4:
      hyperPostKernel<4><<<grid, kThreads, 0, stream>>>(arguments);
      break;
    default:
      return tooManyStreams(post.cols);
  }
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

}  // namespace tandem::kernels::cuda
