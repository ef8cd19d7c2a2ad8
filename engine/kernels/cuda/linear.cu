// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cuda/linear.h"

#include <string>

#include "engine/kernels/cuda/block_sum.cuh"
#include "engine/kernels/cuda/weight_stream.cuh"

namespace tandem::kernels::cuda {

namespace {

struct LinearArguments {
  float* out = nullptr;
  std::int64_t outStride = 0;
  const float* x = nullptr;
  std::int64_t xStride = 0;
  int rows = 0;
  const std::uint8_t* codes = nullptr;
  const std::uint8_t* scales = nullptr;
  WeightShape shape;
  int groups = 1;
  bool wholeVectors = false;
};

/// A block's tiles are blockIdx.x, blockIdx.x + gridDim.x, …; a tile lies within one group.
template <typename Format, int Tiles>
class LinearWork {
 public:
  __device__ explicit LinearWork(const LinearArguments& arguments)
      : arguments_(arguments),
        outputs_(arguments.shape.rows / arguments.groups),
        tilesPerGroup_((outputs_ + kRows - 1) / kRows),
        matrixSteps_((arguments.shape.blockColumn + arguments.shape.cols +
                      StreamLayout<Format, Tiles>::kStepColumns - 1) /
                     StreamLayout<Format, Tiles>::kStepColumns),
        tileSteps_((matrixSteps_ + kStreamWarps - 1) / kStreamWarps),
        warp_(static_cast<int>(threadIdx.x) / kWarpThreads),
        firstInput_(static_cast<int>(blockIdx.y) * kStreamRows) {}

  __device__ int steps() const {
    const int tiles = tilesPerGroup_ * arguments_.groups;
    const int mine = (tiles - static_cast<int>(blockIdx.x) + static_cast<int>(gridDim.x) - 1) /
                     static_cast<int>(gridDim.x);
    return mine * tileSteps_;
  }
  __device__ int tiles(WeightTile (&tiles)[Tiles], int at) const {
    const int first = firstOutput(at);
    const int end = (group(at) + 1) * outputs_;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      tiles[tile] = {arguments_.codes, arguments_.scales, first + tile * kTileRows, end};
    }
    const int step = at % tileSteps_ * kStreamWarps + warp_;
    return step < matrixSteps_ ? step : -1;
  }
  __device__ StreamInput input(int at) const {
    const int row = firstInput_ + static_cast<int>(threadIdx.x) % kWarpThreads / kQuad;
    const float* from =
        arguments_.x + row * arguments_.xStride + std::int64_t{group(at)} * arguments_.shape.cols;
    return {row < arguments_.rows ? from : nullptr, arguments_.shape.cols, arguments_.wholeVectors};
  }
  __device__ bool completes(int at) const {
    return at % tileSteps_ == tileSteps_ - 1;
  }
  __device__ void store(int at, int row, int m, const float (&sums)[Tiles]) const {
    if (firstInput_ + row >= arguments_.rows) {
      return;
    }
    float* out = arguments_.out + (firstInput_ + row) * arguments_.outStride;
    const int end = (group(at) + 1) * outputs_;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const int n = firstOutput(at) + tile * kTileRows + m;
      if (n < end) {
        out[n] = sums[tile];
      }
    }
  }

 private:
  static constexpr int kRows = Tiles * kTileRows;

  __device__ int tileAt(int at) const {
    return static_cast<int>(blockIdx.x) + at / tileSteps_ * static_cast<int>(gridDim.x);
  }
  __device__ int group(int at) const {
    return tileAt(at) / tilesPerGroup_;
  }
  __device__ int firstOutput(int at) const {
    return group(at) * outputs_ + tileAt(at) % tilesPerGroup_ * kRows;
  }

  const LinearArguments& arguments_;
  int outputs_;  // of a group
  int tilesPerGroup_;
  int matrixSteps_;
  int tileSteps_;  // turns of this warp for a tile
  int warp_;
  int firstInput_;
};

template <typename Format, int Tiles>
__global__ void __launch_bounds__(kStreamThreads, 2)
    linearKernel(const __grid_constant__ LinearArguments arguments) {
  extern __shared__ __align__(16) std::uint8_t shared[];
  streamWeights<Format, Tiles>(shared, arguments.shape, LinearWork<Format, Tiles>(arguments));
}

constexpr int kFloatThreads = 128;

/// Float weights: nothing of the model's size has them, so a block an output is enough.
__global__ void __launch_bounds__(kFloatThreads)
    floatLinearKernel(const __grid_constant__ LinearArguments arguments) {
  const int outputs = arguments.shape.rows / arguments.groups;
  const int cols = arguments.shape.cols;
  const auto n = static_cast<int>(blockIdx.x);
  const auto* weight = reinterpret_cast<const float*>(arguments.codes) + std::int64_t{n} * cols;
  for (int r = 0; r < arguments.rows; ++r) {
    const float* x = arguments.x + r * arguments.xStride + std::int64_t{n / outputs} * cols;
    float sum = 0.F;
    for (int k = static_cast<int>(threadIdx.x); k < cols; k += kFloatThreads) {
      sum = fmaf(x[k], weight[k], sum);
    }
    sum = blockSum<kFloatThreads>(sum);
    if (threadIdx.x == 0) {
      arguments.out[r * arguments.outStride + n] = sum;
    }
  }
}

template <typename Format, int Tiles>
Result<void> launch(const LinearArguments& arguments,
                    const DeviceLimits& limits,
                    cudaStream_t stream) {
  constexpr int kShared = StreamLayout<Format, Tiles>::kSharedBytes;
  constexpr int kRows = Tiles * kTileRows;
  const int outputs = arguments.shape.rows / arguments.groups;
  const std::int64_t tiles = std::int64_t{arguments.groups} * ((outputs + kRows - 1) / kRows);
  const Result<unsigned> blocks =
      residentBlocks(linearKernel<Format, Tiles>, kStreamThreads, kShared, tiles, limits);
  if (!blocks) {
    return blocks.error();
  }
  const dim3 grid(*blocks, static_cast<unsigned>((arguments.rows + kStreamRows - 1) / kStreamRows));
  linearKernel<Format, Tiles><<<grid, kStreamThreads, kShared, stream>>>(arguments);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

/// Two tiles share the work on x, but small matrices need every block they can get.
template <typename Format>
Result<void> launchFormat(const LinearArguments& arguments,
                          const DeviceLimits& limits,
                          cudaStream_t stream) {
  constexpr int kManyRows = 4096;
  return arguments.shape.rows >= kManyRows ? launch<Format, 2>(arguments, limits, stream)
                                           : launch<Format, 1>(arguments, limits, stream);
}

}  // namespace

Result<void> groupedLinear(Matrix<float> out,
                           Matrix<const float> x,
                           const WeightMatrix& weight,
                           int groups,
                           const DeviceLimits& limits,
                           cudaStream_t stream) {
  if (groups < 1 || weight.rows % groups != 0) {
    return Error{
        ErrorCode::InvalidArgument,
        std::to_string(weight.rows) + " weight rows in " + std::to_string(groups) + " groups",
        ""};
  }
  if (x.rows == 0 || weight.rows == 0) {
    return {};
  }
  LinearArguments arguments;
  arguments.out = out.data;
  arguments.outStride = out.stride;
  arguments.x = x.data;
  arguments.xStride = x.stride;
  arguments.rows = static_cast<int>(x.rows);
  arguments.codes = weight.codes;
  arguments.scales = weight.scales;
  arguments.shape = shapeOf(weight);
  arguments.groups = groups;
  arguments.wholeVectors = reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 &&
                           x.stride % 4 == 0 && weight.cols % 4 == 0 && weight.blockColumn % 4 == 0;
  switch (weight.format) {
    case WeightFormat::F32:
      floatLinearKernel<<<static_cast<unsigned>(weight.rows), kFloatThreads, 0, stream>>>(
          arguments);
      TANDEM_CHECK_CUDA(cudaGetLastError());
      return {};
    case WeightFormat::Bf16:
      return launchFormat<Bf16Stream>(arguments, limits, stream);
    case WeightFormat::Fp8Block:
      return launchFormat<Fp8Stream>(arguments, limits, stream);
    case WeightFormat::Mxfp4:
      return launchFormat<Mxfp4Stream>(arguments, limits, stream);
  }
  return {};
}

Result<void> linear(Matrix<float> out,
                    Matrix<const float> x,
                    const WeightMatrix& weight,
                    const DeviceLimits& limits,
                    cudaStream_t stream) {
  return groupedLinear(out, x, weight, 1, limits, stream);
}

}  // namespace tandem::kernels::cuda
