// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/kernels/cuda/experts.h"

#include <algorithm>
#include <string>

#include "engine/kernels/cuda/round_activations.h"
#include "engine/kernels/cuda/weight_stream.cuh"

namespace tandem::kernels::cuda {

namespace {

static_assert(kExpertRows == kStreamRows);

constexpr int kPlanThreads = 256;
constexpr int kMostPicks = kPlanThreads / kExpertRows;

struct ExpertArguments {
  float* out = nullptr;
  std::int64_t outStride = 0;
  const float* x = nullptr;
  std::int64_t xStride = 0;
  const std::int32_t* picks = nullptr;
  std::int64_t pickStride = 0;
  const float* weights = nullptr;
  std::int64_t weightStride = 0;
  float* hidden = nullptr;
  std::int64_t hiddenStride = 0;
  std::int32_t* plan = nullptr;
  std::int64_t planStride = 0;
  int rows = 0;
  int picked = 0;  // K
  float limit = 0;
  bool wholeVectors = false;  // of x
  bool wholeHidden = false;
  DeviceExperts experts;
};

/// One row of the plan.
class ExpertPlan {
 public:
  __device__ ExpertPlan(std::int32_t* row, int picked)
      : row_(row),
        most_(kExpertRows * picked) {}

  __device__ std::int32_t& count() const { return row_[0]; }
  __device__ std::int32_t& expert(int i) const { return row_[1 + i]; }
  /// Which of row `r`'s picks expert `i` is, or -1.
  __device__ std::int32_t& pick(int i, int r) const {
    return row_[1 + most_ + i * kExpertRows + r];
  }

 private:
  std::int32_t* row_;
  int most_;
};

__device__ ExpertPlan planOf(const ExpertArguments& arguments) {
  return {arguments.plan + std::int64_t{blockIdx.y} * arguments.planStride, arguments.picked};
}

/// A block plans eight rows: a thread each pick.
__global__ void __launch_bounds__(kPlanThreads)
    planKernel(const __grid_constant__ ExpertArguments arguments) {
  __shared__ std::int32_t experts[kPlanThreads];
  __shared__ bool isFirst[kPlanThreads];
  const ExpertPlan plan = planOf(arguments);
  const auto thread = static_cast<int>(threadIdx.x);
  const int firstRow = static_cast<int>(blockIdx.y) * kExpertRows;
  const int rows = min(kExpertRows, arguments.rows - firstRow);
  const int count = rows * arguments.picked;
  const int row = thread / arguments.picked;
  const int j = thread % arguments.picked;
  const std::int32_t expert =
      thread < count ? arguments.picks[(firstRow + row) * arguments.pickStride + j] : 0;
  experts[thread] = expert;
  __syncthreads();
  bool first = thread < count;
  for (int i = 0; i < thread && first; ++i) {
    first = experts[i] != expert;
  }
  isFirst[thread] = first;
  __syncthreads();
  int place = 0;
  int total = 0;
  for (int i = 0; i < count; ++i) {
    place += isFirst[i] && experts[i] < expert ? 1 : 0;
    total += isFirst[i] ? 1 : 0;
  }
  if (thread == 0) {
    plan.count() = total;
  }
  if (first) {
    plan.expert(place) = expert;
    for (int r = 0; r < kExpertRows; ++r) {
      plan.pick(place, r) = -1;
    }
  }
  __syncthreads();
  if (thread < count) {
    plan.pick(place, row) = j;
  }
}

/// The row of x whose products this lane's column of the MMA holds.
__device__ inline int laneRow() {
  return static_cast<int>(threadIdx.x) % kWarpThreads / kQuad;
}

/// hidden = silu(min(w1 · x, limit)) * clamp(w3 · x, ±limit) * weight: a tile of w1 and the same
/// rows of w3 side by side. Work items are the plan's experts times the tiles of I.
template <typename Format>
class GateUpWork {
 public:
  static constexpr int kTiles = 2;

  __device__ explicit GateUpWork(const ExpertArguments& arguments)
      : arguments_(arguments),
        plan_(planOf(arguments)),
        tiles_((arguments.experts.gate.rows + kTileRows - 1) / kTileRows),
        matrixSteps_((arguments.experts.gate.blockColumn + arguments.experts.gate.cols +
                      StreamLayout<Format, kTiles>::kStepColumns - 1) /
                     StreamLayout<Format, kTiles>::kStepColumns),
        itemSteps_((matrixSteps_ + kStreamWarps - 1) / kStreamWarps),
        warp_(static_cast<int>(threadIdx.x) / kWarpThreads),
        firstInput_(static_cast<int>(blockIdx.y) * kStreamRows) {}

  __device__ int steps() const {
    const int items = plan_.count() * tiles_;
    const auto block = static_cast<int>(blockIdx.x);
    const auto blocks = static_cast<int>(gridDim.x);
    return block < items ? (items - block + blocks - 1) / blocks * itemSteps_ : 0;
  }
  __device__ int tiles(WeightTile (&tiles)[kTiles], int at) const {
    const ExpertPlace& place = arguments_.experts.places[plan_.expert(item(at) / tiles_)];
    const int first = item(at) % tiles_ * kTileRows;
    tiles[0] = {place.gateCodes, place.gateScales, first, arguments_.experts.gate.rows};
    tiles[1] = {place.upCodes, place.upScales, first, arguments_.experts.gate.rows};
    const int step = at % itemSteps_ * kStreamWarps + warp_;
    return step < matrixSteps_ ? step : -1;
  }
  __device__ StreamInput input(int at) const {
    const bool picked = plan_.pick(item(at) / tiles_, laneRow()) >= 0;
    return {picked ? arguments_.x + (firstInput_ + laneRow()) * arguments_.xStride : nullptr,
            arguments_.experts.gate.cols,
            arguments_.wholeVectors};
  }
  __device__ bool completes(int at) const { return at % itemSteps_ == itemSteps_ - 1; }
  __device__ void store(int at, int row, int m, const float (&sums)[kTiles]) const {
    const int n = item(at) % tiles_ * kTileRows + m;
    const std::int32_t j = plan_.pick(item(at) / tiles_, row);
    if (j < 0 || n >= arguments_.experts.gate.rows) {
      return;
    }
    const std::int64_t inputRow = firstInput_ + row;
    const float gate = fminf(sums[0], arguments_.limit);
    const float up = fminf(fmaxf(sums[1], -arguments_.limit), arguments_.limit);
    arguments_.hidden[(inputRow * arguments_.picked + j) * arguments_.hiddenStride + n] =
        gate / (1.F + expf(-gate)) * up *
        arguments_.weights[inputRow * arguments_.weightStride + j];
  }

 private:
  __device__ int item(int at) const {
    return static_cast<int>(blockIdx.x) + at / itemSteps_ * static_cast<int>(gridDim.x);
  }

  const ExpertArguments& arguments_;
  ExpertPlan plan_;
  int tiles_;
  int matrixSteps_;
  int itemSteps_;  // turns of this warp for an item
  int warp_;
  int firstInput_;
};

/// out += w2 · hidden: a block takes the rows of a tile through all experts of the plan, so the sum
/// over experts stays in registers and its order is theirs.
template <typename Format>
class DownWork {
 public:
  static constexpr int kTiles = 2;

  __device__ explicit DownWork(const ExpertArguments& arguments)
      : arguments_(arguments),
        plan_(planOf(arguments)),
        tiles_((arguments.experts.down.rows + kRows - 1) / kRows),
        matrixSteps_((arguments.experts.down.blockColumn + arguments.experts.down.cols +
                      StreamLayout<Format, kTiles>::kStepColumns - 1) /
                     StreamLayout<Format, kTiles>::kStepColumns),
        expertSteps_((matrixSteps_ + kStreamWarps - 1) / kStreamWarps),
        tileSteps_(expertSteps_ * plan_.count()),
        warp_(static_cast<int>(threadIdx.x) / kWarpThreads),
        firstInput_(static_cast<int>(blockIdx.y) * kStreamRows) {}

  __device__ int steps() const {
    const auto block = static_cast<int>(blockIdx.x);
    const auto blocks = static_cast<int>(gridDim.x);
    return block < tiles_ ? (tiles_ - block + blocks - 1) / blocks * tileSteps_ : 0;
  }
  __device__ int tiles(WeightTile (&tiles)[kTiles], int at) const {
    const ExpertPlace& place = arguments_.experts.places[plan_.expert(expert(at))];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      tiles[tile] = {place.downCodes,
                     place.downScales,
                     firstOutput(at) + tile * kTileRows,
                     arguments_.experts.down.rows};
    }
    const int step = at % expertSteps_ * kStreamWarps + warp_;
    return step < matrixSteps_ ? step : -1;
  }
  __device__ StreamInput input(int at) const {
    const std::int32_t j = plan_.pick(expert(at), laneRow());
    const std::int64_t row = std::int64_t{firstInput_ + laneRow()} * arguments_.picked + max(j, 0);
    return {j >= 0 ? arguments_.hidden + row * arguments_.hiddenStride : nullptr,
            arguments_.experts.down.cols,
            arguments_.wholeHidden};
  }
  __device__ bool completes(int at) const {
    return at % tileSteps_ == tileSteps_ - 1;
  }
  __device__ void store(int at, int row, int m, const float (&sums)[kTiles]) const {
    if (firstInput_ + row >= arguments_.rows) {
      return;
    }
    float* out = arguments_.out + (firstInput_ + row) * arguments_.outStride;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const int n = firstOutput(at) + tile * kTileRows + m;
      if (n < arguments_.experts.down.rows) {
        out[n] += sums[tile];
      }
    }
  }

 private:
  static constexpr int kRows = kTiles * kTileRows;

  __device__ int expert(int at) const {
    return at % tileSteps_ / expertSteps_;
  }
  __device__ int firstOutput(int at) const {
    return (static_cast<int>(blockIdx.x) + at / tileSteps_ * static_cast<int>(gridDim.x)) * kRows;
  }

  const ExpertArguments& arguments_;
  ExpertPlan plan_;
  int tiles_;
  int matrixSteps_;
  int expertSteps_;  // turns of this warp for an expert
  int tileSteps_;
  int warp_;
  int firstInput_;
};

template <typename Format>
__global__ void __launch_bounds__(kStreamThreads, 2)
    gateUpKernel(const __grid_constant__ ExpertArguments arguments) {
  extern __shared__ __align__(16) std::uint8_t shared[];
  streamWeights<Format, GateUpWork<Format>::kTiles>(shared,
                                                    arguments.experts.gate,
                                                    GateUpWork<Format>(arguments));
}

template <typename Format>
__global__ void __launch_bounds__(kStreamThreads, 2)
    downKernel(const __grid_constant__ ExpertArguments arguments) {
  extern __shared__ __align__(16) std::uint8_t shared[];
  streamWeights<Format, DownWork<Format>::kTiles>(shared,
                                                  arguments.experts.down,
                                                  DownWork<Format>(arguments));
}

template <typename Kernel>
Result<void> launch(Kernel kernel,
                    int sharedBytes,
                    std::int64_t work,
                    const ExpertArguments& arguments,
                    const DeviceLimits& limits,
                    cudaStream_t stream) {
  const Result<unsigned> blocks = residentBlocks(kernel, kStreamThreads, sharedBytes, work, limits);
  if (!blocks) {
    return blocks.error();
  }
  const dim3 grid(*blocks, static_cast<unsigned>((arguments.rows + kExpertRows - 1) / kExpertRows));
  kernel<<<grid, kStreamThreads, static_cast<std::size_t>(sharedBytes), stream>>>(arguments);
  TANDEM_CHECK_CUDA(cudaGetLastError());
  return {};
}

template <typename Format>
Result<void> launchFormat(const ExpertArguments& arguments,
                          ActivationRounding rounding,
                          const DeviceLimits& limits,
                          cudaStream_t stream) {
  const dim3 planGrid(1, static_cast<unsigned>((arguments.rows + kExpertRows - 1) / kExpertRows));
  planKernel<<<planGrid, kPlanThreads, 0, stream>>>(arguments);
  TANDEM_CHECK_CUDA(cudaGetLastError());

  constexpr int kGateUp = GateUpWork<Format>::kTiles;
  const std::int64_t most = std::int64_t{std::min(arguments.rows, kExpertRows)} * arguments.picked;
  const std::int64_t gateTiles = (arguments.experts.gate.rows + kTileRows - 1) / kTileRows;
  if (Result<void> done = launch(gateUpKernel<Format>,
                                 StreamLayout<Format, kGateUp>::kSharedBytes,
                                 most * gateTiles,
                                 arguments,
                                 limits,
                                 stream);
      !done) {
    return done;
  }
  if (rounding == ActivationRounding::Fp8Groups) {
    const Matrix<float> hidden(arguments.hidden,
                               std::int64_t{arguments.rows} * arguments.picked,
                               arguments.experts.gate.rows,
                               arguments.hiddenStride);
    if (Result<void> done = roundActivations(hidden, hidden, stream); !done) {
      return done;
    }
  }
  constexpr int kDown = DownWork<Format>::kTiles;
  constexpr int kRows = kDown * kTileRows;
  return launch(downKernel<Format>,
                StreamLayout<Format, kDown>::kSharedBytes,
                (arguments.experts.down.rows + kRows - 1) / kRows,
                arguments,
                limits,
                stream);
}

bool sameShape(const WeightMatrix& a, const WeightMatrix& b) {
  return a.format == b.format && a.rows == b.rows && a.cols == b.cols &&
         a.scaleStride == b.scaleStride && a.blockRow == b.blockRow &&
         a.blockColumn == b.blockColumn;
}

bool wholeVectors(const float* data, std::int64_t stride, const WeightShape& shape) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && stride % 4 == 0 &&
         shape.cols % 4 == 0 && shape.blockColumn % 4 == 0;
}

}  // namespace

Result<std::vector<ExpertPlace>> placesOf(const ExpertWeights& experts, DeviceExperts& shapes) {
  if (experts.gate.empty() || experts.up.size() != experts.gate.size() ||
      experts.down.size() != experts.gate.size()) {
    return Error{ErrorCode::InvalidArgument, "experts without all three matrices", ""};
  }
  shapes.format = experts.gate.front().format;
  shapes.gate = shapeOf(experts.gate.front());
  shapes.down = shapeOf(experts.down.front());
  shapes.places = nullptr;
  if (shapes.format == WeightFormat::F32) {
    return Error{ErrorCode::InvalidArgument, "float experts have no kernel", ""};
  }
  std::vector<ExpertPlace> places;
  places.reserve(experts.gate.size());
  for (std::size_t e = 0; e < experts.gate.size(); ++e) {
    const WeightMatrix& gate = experts.gate[e];
    const WeightMatrix& up = experts.up[e];
    const WeightMatrix& down = experts.down[e];
    if (!sameShape(gate, experts.gate.front()) || !sameShape(up, experts.gate.front()) ||
        !sameShape(down, experts.down.front()) || down.format != gate.format ||
        down.cols != gate.rows || down.rows != gate.cols) {
      return Error{ErrorCode::InvalidArgument,
                   "expert " + std::to_string(e) + " has another shape than expert 0",
                   ""};
    }
    // The slowest expert decides how all of them are read.
    shapes.gate.wholePieces =
        shapes.gate.wholePieces && shapeOf(gate).wholePieces && shapeOf(up).wholePieces;
    shapes.down.wholePieces = shapes.down.wholePieces && shapeOf(down).wholePieces;
    places.push_back({gate.codes, gate.scales, up.codes, up.scales, down.codes, down.scales});
  }
  return places;
}

Result<void> experts(Matrix<float> out,
                     Matrix<const float> x,
                     Matrix<const std::int32_t> picks,
                     Matrix<const float> weights,
                     const DeviceExperts& experts,
                     float limit,
                     ActivationRounding rounding,
                     const ExpertScratch& scratch,
                     const DeviceLimits& limits,
                     cudaStream_t stream) {
  if (x.rows == 0 || picks.cols == 0) {
    return {};
  }
  if (picks.cols > kMostPicks || scratch.hidden.rows < x.rows * picks.cols ||
      scratch.hidden.cols < experts.gate.rows ||
      scratch.plan.rows < (x.rows + kExpertRows - 1) / kExpertRows ||
      scratch.plan.cols < expertPlanColumns(picks.cols)) {
    return Error{ErrorCode::InvalidArgument,
                 std::to_string(x.rows) + " rows of " + std::to_string(picks.cols) +
                     " picks do not fit into scratch of " + std::to_string(scratch.hidden.rows) +
                     " hidden rows, or are more than " + std::to_string(kMostPicks),
                 ""};
  }
  ExpertArguments arguments;
  arguments.out = out.data;
  arguments.outStride = out.stride;
  arguments.x = x.data;
  arguments.xStride = x.stride;
  arguments.picks = picks.data;
  arguments.pickStride = picks.stride;
  arguments.weights = weights.data;
  arguments.weightStride = weights.stride;
  arguments.hidden = scratch.hidden.data;
  arguments.hiddenStride = scratch.hidden.stride;
  arguments.plan = scratch.plan.data;
  arguments.planStride = scratch.plan.stride;
  arguments.rows = static_cast<int>(x.rows);
  arguments.picked = static_cast<int>(picks.cols);
  arguments.limit = limit;
  arguments.wholeVectors = wholeVectors(x.data, x.stride, experts.gate);
  arguments.wholeHidden = wholeVectors(scratch.hidden.data, scratch.hidden.stride, experts.down);
  arguments.experts = experts;
  switch (experts.format) {
    case WeightFormat::F32:
      return Error{ErrorCode::InvalidArgument, "float experts have no kernel", ""};
    case WeightFormat::Bf16:
      return launchFormat<Bf16Stream>(arguments, ActivationRounding::None, limits, stream);
    case WeightFormat::Fp8Block:
      return launchFormat<Fp8Stream>(arguments, rounding, limits, stream);
    case WeightFormat::Mxfp4:
      return launchFormat<Mxfp4Stream>(arguments, rounding, limits, stream);
  }
  return {};
}

}  // namespace tandem::kernels::cuda
