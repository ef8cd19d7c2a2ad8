// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/kernel_bench.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include "engine/cuda/bandwidth_probe.h"
#include "engine/cuda/device_matrix.h"
#include "engine/cuda/device_weights.h"
#include "engine/device/cuda/cuda_handles.h"
#include "engine/kernels/cuda/experts.h"
#include "engine/kernels/cuda/hyper_connection.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/rms_norm.h"
#include "engine/kernels/cuda/route.h"

namespace tandem::cuda {

namespace {

using kernels::Matrix;
using kernels::WeightFormat;
using kernels::WeightMatrix;

struct EventDestroy {
  void operator()(cudaEvent_t event) const { static_cast<void>(cudaEventDestroy(event)); }
};
using UniqueEvent = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, EventDestroy>;

struct GraphDestroy {
  void operator()(cudaGraph_t graph) const { static_cast<void>(cudaGraphDestroy(graph)); }
};
using UniqueGraph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, GraphDestroy>;

struct GraphExecDestroy {
  void operator()(cudaGraphExec_t graph) const { static_cast<void>(cudaGraphExecDestroy(graph)); }
};
using UniqueGraphExec = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, GraphExecDestroy>;

Result<UniqueEvent> makeEvent() {
  cudaEvent_t event = nullptr;
  TANDEM_CHECK_CUDA(cudaEventCreate(&event));
  return UniqueEvent(event);
}

/// One call of a kernel on copy `copy` of its buffers.
using Call = std::function<Result<void>(int copy)>;

struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

/// What all measurements share.
struct Bench {
  cudaStream_t stream = nullptr;
  kernels::cuda::DeviceLimits limits;
  std::uint64_t cacheBytes = 0;
  KernelBenchOptions options;
  KernelTimings timings;

  /// How many copies of `bytes` drive each other out of the cache: four times what it holds.
  [[nodiscard]] int copiesOf(std::uint64_t bytes) const {
    constexpr std::uint64_t kLeast = 2;
    constexpr std::uint64_t kMost = 128;
    return static_cast<int>(
        std::clamp((4 * cacheBytes + bytes - 1) / std::max<std::uint64_t>(bytes, 1),
                   kLeast,
                   kMost));
  }
};

/// Microseconds of a call, from replays of a graph that calls each copy once: as a decode step
/// does, without the host in between.
Result<Spread> timeCalls(const Bench& bench, int copies, const Call& call) {
  // Loads the module; what fails here fails outside of a capture.
  if (Result<void> done = call(0); !done) {
    return done.error();
  }
  TANDEM_CHECK_CUDA(cudaStreamSynchronize(bench.stream));
  TANDEM_CHECK_CUDA(cudaStreamBeginCapture(bench.stream, cudaStreamCaptureModeRelaxed));
  Result<void> queued;
  for (int copy = 0; copy < copies && queued; ++copy) {
    queued = call(copy);
  }
  cudaGraph_t captured = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(bench.stream, &captured);
  const UniqueGraph graph(captured);
  if (!queued) {
    return queued.error();
  }
  TANDEM_CHECK_CUDA(ended);
  cudaGraphExec_t instance = nullptr;
  TANDEM_CHECK_CUDA(cudaGraphInstantiate(&instance, graph.get(), 0));
  const UniqueGraphExec exec(instance);
  Result<UniqueEvent> begin = makeEvent();
  Result<UniqueEvent> end = makeEvent();
  if (!begin || !end) {
    return !begin ? begin.error() : end.error();
  }
  std::vector<double> times;
  constexpr int kWarmUp = 3;
  for (int repeat = -kWarmUp; repeat < bench.options.repeats; ++repeat) {
    TANDEM_CHECK_CUDA(cudaEventRecord(begin->get(), bench.stream));
    TANDEM_CHECK_CUDA(cudaGraphLaunch(exec.get(), bench.stream));
    TANDEM_CHECK_CUDA(cudaEventRecord(end->get(), bench.stream));
    TANDEM_CHECK_CUDA(cudaEventSynchronize(end->get()));
    float milliseconds = 0;
    TANDEM_CHECK_CUDA(cudaEventElapsedTime(&milliseconds, begin->get(), end->get()));
    if (repeat >= 0) {
      times.push_back(static_cast<double>(milliseconds) * 1e3 / copies);
    }
  }
  std::sort(times.begin(), times.end());
  return Spread{times[times.size() / 2], times.front(), times.back()};
}

Result<void> measure(Bench& bench,
                     const char* kernel,
                     const std::string& shape,
                     int rows,
                     std::uint64_t bytes,
                     int copies,
                     const Call& call) {
  const Result<Spread> time = timeCalls(bench, copies, call);
  if (!time) {
    return time.error().within(fmt::format("{}, {}, {} rows", kernel, shape, rows));
  }
  bench.timings.kernels.push_back(
      {kernel, shape, rows, bytes, time->median, time->least, time->most});
  return {};
}

bool wanted(const Bench& bench, const std::string& kernel) {
  return kernel.find(bench.options.only) != std::string::npos;
}

/// Made-up contents in device memory, a multiple of 16 bytes.
Result<DeviceMatrix<std::uint8_t>> makeContents(const Bench& bench,
                                                Contents contents,
                                                std::uint64_t bytes,
                                                std::uint32_t seed) {
  const std::uint64_t whole = (bytes + 15) / 16 * 16;
  Result<DeviceMatrix<std::uint8_t>> made =
      DeviceMatrix<std::uint8_t>::make(1, static_cast<std::int64_t>(whole));
  if (!made) {
    return made;
  }
  if (Result<void> filled = fillWith(contents, made->view().data, whole, seed, bench.stream);
      !filled) {
    return filled.error();
  }
  return made;
}

float* floats(const DeviceMatrix<std::uint8_t>& memory) {
  return reinterpret_cast<float*>(memory.view().data);
}

Contents codesOf(WeightFormat format) {
  switch (format) {
    case WeightFormat::F32:
      return Contents::Floats;
    case WeightFormat::Bf16:
      return Contents::Bf16Codes;
    case WeightFormat::Fp8Block:
      return Contents::Fp8Codes;
    case WeightFormat::Mxfp4:
      return Contents::Fp4Codes;
  }
  return Contents::Floats;
}

const char* formatName(WeightFormat format) {
  switch (format) {
    case WeightFormat::F32:
      return "f32";
    case WeightFormat::Bf16:
      return "bf16";
    case WeightFormat::Fp8Block:
      return "fp8";
    case WeightFormat::Mxfp4:
      return "mxfp4";
  }
  return "";
}

/// The shape without memory.
WeightMatrix weightShape(WeightFormat format, std::int64_t in, std::int64_t out) {
  WeightMatrix weight;
  weight.format = format;
  weight.rows = out;
  weight.cols = in;
  if (format == WeightFormat::Fp8Block) {
    weight.scaleStride = in / WeightMatrix::kFp8Block;
  } else if (format == WeightFormat::Mxfp4) {
    weight.scaleStride = in / WeightMatrix::kMxfp4Group;
  }
  return weight;
}

std::uint64_t bytesOf(const WeightMatrix& weight) {
  return static_cast<std::uint64_t>(weight.rows * weight.rowBytes() + scaleBytes(weight));
}

/// `copies` matrices of one shape, each with its scales.
struct WeightCopies {
  DeviceMatrix<std::uint8_t> codes;
  DeviceMatrix<std::uint8_t> scales;
  WeightMatrix shape;

  [[nodiscard]] WeightMatrix at(int copy) const {
    WeightMatrix weight = shape;
    weight.codes = codes.view().data + copy * shape.rows * shape.rowBytes();
    weight.scales = scales.view().data + copy * scaleBytes(shape);
    return weight;
  }
};

Result<WeightCopies> makeWeights(const Bench& bench,
                                 const WeightMatrix& shape,
                                 int copies,
                                 std::uint32_t seed) {
  Result<DeviceMatrix<std::uint8_t>> codes =
      makeContents(bench,
                   codesOf(shape.format),
                   static_cast<std::uint64_t>(copies * shape.rows * shape.rowBytes()),
                   seed);
  if (!codes) {
    return codes.error();
  }
  Result<DeviceMatrix<std::uint8_t>> scales =
      makeContents(bench,
                   Contents::Scales,
                   static_cast<std::uint64_t>(copies * scaleBytes(shape)),
                   seed + 1);
  if (!scales) {
    return scales.error();
  }
  return WeightCopies{std::move(*codes), std::move(*scales), shape};
}

struct LinearShape {
  const char* kernel;
  WeightFormat format;
  std::int64_t in;   // of a group
  std::int64_t out;  // of a group
  int groups = 1;
};

Result<void> benchLinear(Bench& bench, const LinearShape& shape) {
  if (!wanted(bench, shape.kernel)) {
    return {};
  }
  const WeightMatrix weight = weightShape(shape.format, shape.in, shape.out * shape.groups);
  const int copies = bench.copiesOf(bytesOf(weight));
  const Result<WeightCopies> weights = makeWeights(bench, weight, copies, 1);
  if (!weights) {
    return weights.error();
  }
  const std::int64_t most = *std::max_element(bench.options.rows.begin(), bench.options.rows.end());
  const std::int64_t in = shape.in * shape.groups;
  Result<DeviceMatrix<std::uint8_t>> x =
      makeContents(bench, Contents::Floats, static_cast<std::uint64_t>(most * in * 4), 3);
  Result<DeviceMatrix<float>> out = DeviceMatrix<float>::make(most, weight.rows);
  if (!x || !out) {
    return !x ? x.error() : out.error();
  }
  const std::string text =
      shape.groups == 1 ? fmt::format("{} {} -> {}", formatName(shape.format), shape.in, shape.out)
                        : fmt::format("{} {} x {} -> {}",
                                      formatName(shape.format),
                                      shape.groups,
                                      shape.in,
                                      shape.out);
  for (const int rows : bench.options.rows) {
    const std::uint64_t bytes =
        bytesOf(weight) + static_cast<std::uint64_t>(rows * (in + weight.rows) * 4);
    const Matrix<float> to(out->view().data, rows, weight.rows);
    const Matrix<const float> from(floats(*x), rows, in);
    if (Result<void> done = measure(bench,
                                    shape.kernel,
                                    text,
                                    rows,
                                    bytes,
                                    copies,
                                    [&](int copy) {
                                      return kernels::cuda::groupedLinear(to,
                                                                          from,
                                                                          weights->at(copy),
                                                                          shape.groups,
                                                                          bench.limits,
                                                                          bench.stream);
                                    });
        !done) {
      return done;
    }
  }
  return {};
}

struct ExpertShape {
  const char* kernel;
  WeightFormat format;
  std::int64_t dim;
  std::int64_t width;
  int experts;
  int picked;
};

/// Different experts in every row and copy, as far as there are so many.
std::vector<std::int32_t> makePicks(const ExpertShape& shape, int copies, int rows) {
  std::vector<std::int32_t> picks;
  std::uint32_t state = 12345;
  for (int row = 0; row < copies * rows; ++row) {
    const std::size_t begin = picks.size();
    while (picks.size() < begin + static_cast<std::size_t>(shape.picked)) {
      state = state * 1664525U + 1013904223U;
      const auto expert =
          static_cast<std::int32_t>((state >> 8U) % static_cast<std::uint32_t>(shape.experts));
      if (std::find(picks.begin() + static_cast<std::ptrdiff_t>(begin), picks.end(), expert) ==
          picks.end()) {
        picks.push_back(expert);
      }
    }
  }
  return picks;
}

/// Of one call on average.
double distinctExperts(const std::vector<std::int32_t>& picks, int copies) {
  const std::size_t each = picks.size() / static_cast<std::size_t>(copies);
  std::size_t distinct = 0;
  for (std::size_t begin = 0; begin < picks.size(); begin += each) {
    std::vector<std::int32_t> call(picks.begin() + static_cast<std::ptrdiff_t>(begin),
                                   picks.begin() + static_cast<std::ptrdiff_t>(begin + each));
    std::sort(call.begin(), call.end());
    distinct += static_cast<std::size_t>(std::unique(call.begin(), call.end()) - call.begin());
  }
  return static_cast<double>(distinct) / copies;
}

Result<void> benchExperts(Bench& bench, const ExpertShape& shape) {
  if (!wanted(bench, shape.kernel)) {
    return {};
  }
  const WeightMatrix up = weightShape(shape.format, shape.dim, shape.width);
  const WeightMatrix down = weightShape(shape.format, shape.width, shape.dim);
  const std::uint64_t expertBytes = 2 * bytesOf(up) + bytesOf(down);
  const int layers =
      shape.experts > 1 ? 1 : bench.copiesOf(expertBytes);  // sets of experts in memory
  const int copies = shape.experts > 1 ? bench.copiesOf(shape.picked * expertBytes) : layers;
  const Result<WeightCopies> gates = makeWeights(bench, up, layers * shape.experts, 10);
  const Result<WeightCopies> ups = makeWeights(bench, up, layers * shape.experts, 20);
  const Result<WeightCopies> downs = makeWeights(bench, down, layers * shape.experts, 30);
  for (const Result<WeightCopies>* made : {&gates, &ups, &downs}) {
    if (!*made) {
      return made->error();
    }
  }
  std::vector<DeviceMatrix<kernels::cuda::ExpertPlace>> tables;
  std::vector<kernels::cuda::DeviceExperts> sets;
  for (int layer = 0; layer < layers; ++layer) {
    std::vector<WeightMatrix> gate;
    std::vector<WeightMatrix> upper;
    std::vector<WeightMatrix> lower;
    for (int e = 0; e < shape.experts; ++e) {
      gate.push_back(gates->at(layer * shape.experts + e));
      upper.push_back(ups->at(layer * shape.experts + e));
      lower.push_back(downs->at(layer * shape.experts + e));
    }
    kernels::cuda::DeviceExperts set;
    Result<std::vector<kernels::cuda::ExpertPlace>> places =
        kernels::cuda::placesOf({gate, upper, lower}, set);
    if (!places) {
      return places.error();
    }
    Result<DeviceMatrix<kernels::cuda::ExpertPlace>> table =
        upload(Matrix<const kernels::cuda::ExpertPlace>(places->data(), 1, shape.experts),
               bench.stream);
    if (!table) {
      return table.error();
    }
    TANDEM_CHECK_CUDA(cudaStreamSynchronize(bench.stream));
    set.places = table->view().data;
    tables.push_back(std::move(*table));
    sets.push_back(set);
  }
  const std::string text = fmt::format("{} {} x {}, {} of {}",
                                       formatName(shape.format),
                                       shape.dim,
                                       shape.width,
                                       shape.picked,
                                       shape.experts);
  for (const int rows : bench.options.rows) {
    const std::vector<std::int32_t> picks = makePicks(shape, copies, rows);
    Result<DeviceMatrix<std::int32_t>> chosen =
        upload(Matrix<const std::int32_t>(picks.data(), copies * rows, shape.picked), bench.stream);
    Result<DeviceMatrix<std::uint8_t>> x =
        makeContents(bench, Contents::Floats, static_cast<std::uint64_t>(rows * shape.dim * 4), 3);
    Result<DeviceMatrix<std::uint8_t>> weights =
        makeContents(bench,
                     Contents::Floats,
                     static_cast<std::uint64_t>(rows * shape.picked * 4),
                     4);
    Result<DeviceMatrix<std::uint8_t>> out =
        makeContents(bench, Contents::Floats, static_cast<std::uint64_t>(rows * shape.dim * 4), 5);
    Result<DeviceMatrix<float>> hidden =
        DeviceMatrix<float>::make(rows * shape.picked, shape.width);
    Result<DeviceMatrix<std::int32_t>> plan = DeviceMatrix<std::int32_t>::make(
        (rows + kernels::cuda::kExpertRows - 1) / kernels::cuda::kExpertRows,
        kernels::cuda::expertPlanColumns(shape.picked));
    if (!chosen || !x || !weights || !out || !hidden || !plan) {
      return Error{ErrorCode::OutOfMemory,
                   fmt::format("no memory for the inputs of {}", shape.kernel),
                   ""};
    }
    TANDEM_CHECK_CUDA(cudaStreamSynchronize(bench.stream));
    const auto bytes = static_cast<std::uint64_t>(
        distinctExperts(picks, copies) * static_cast<double>(expertBytes) +
        static_cast<double>(rows) * 3 * static_cast<double>(shape.dim) * 4);
    const auto call = [&](int copy) {
      return kernels::cuda::experts(
          {reinterpret_cast<float*>(out->view().data), rows, shape.dim},
          {floats(*x), rows, shape.dim},
          {chosen->view().data + std::int64_t{copy} * rows * shape.picked, rows, shape.picked},
          {floats(*weights), rows, shape.picked},
          sets[static_cast<std::size_t>(copy) % sets.size()],
          10.F,
          kernels::ActivationRounding::None,
          {hidden->view(), plan->view()},
          bench.limits,
          bench.stream);
    };
    if (Result<void> done = measure(bench, shape.kernel, text, rows, bytes, copies, call); !done) {
      return done;
    }
  }
  return {};
}

Result<void> benchNorm(Bench& bench) {
  constexpr std::int64_t kDim = 4096;
  if (!wanted(bench, "rmsNorm")) {
    return {};
  }
  Result<DeviceMatrix<std::uint8_t>> x = makeContents(bench, Contents::Floats, 8 * kDim * 4, 1);
  Result<DeviceMatrix<std::uint8_t>> weight = makeContents(bench, Contents::Floats, kDim * 4, 2);
  Result<DeviceMatrix<float>> out = DeviceMatrix<float>::make(8, kDim);
  if (!x || !weight || !out) {
    return Error{ErrorCode::OutOfMemory, "no memory for rmsNorm", ""};
  }
  for (const int rows : bench.options.rows) {
    if (rows > 8) {
      continue;
    }
    if (Result<void> done = measure(bench,
                                    "rmsNorm",
                                    "4096",
                                    rows,
                                    static_cast<std::uint64_t>((2 * rows + 1) * kDim * 4),
                                    64,
                                    [&](int) {
                                      return kernels::cuda::rmsNorm({out->view().data, rows, kDim},
                                                                    {floats(*x), rows, kDim},
                                                                    floats(*weight),
                                                                    1e-6F,
                                                                    bench.stream);
                                    });
        !done) {
      return done;
    }
  }
  return {};
}

/// Both kernels of hyperPre, and hyperPost.
Result<void> benchHyper(Bench& bench) {
  constexpr std::int64_t kDim = 4096;
  constexpr std::int64_t kStreams = 4;
  constexpr std::int64_t kLogits = (2 + kStreams) * kStreams;
  constexpr std::int64_t kWidth = kStreams * kDim;
  constexpr std::uint64_t kFnBytes = kLogits * kWidth * 4;
  if (!wanted(bench, "hyperPre") && !wanted(bench, "hyperPost")) {
    return {};
  }
  const std::int64_t most = *std::max_element(bench.options.rows.begin(), bench.options.rows.end());
  const int copies = bench.copiesOf(kFnBytes);
  const auto make = [&](std::int64_t count, std::uint32_t seed) {
    return makeContents(bench, Contents::Floats, static_cast<std::uint64_t>(count * 4), seed);
  };
  const Result<DeviceMatrix<std::uint8_t>> fn = make(copies * kLogits * kWidth, 1);
  const Result<DeviceMatrix<std::uint8_t>> base = make(kLogits, 2);
  const Result<DeviceMatrix<std::uint8_t>> scale = make(4, 3);
  const Result<DeviceMatrix<std::uint8_t>> streams = make(most * kWidth, 4);
  const Result<DeviceMatrix<std::uint8_t>> x = make(most * kDim, 5);
  const Result<DeviceMatrix<std::uint8_t>> post = make(most * kStreams, 6);
  const Result<DeviceMatrix<std::uint8_t>> comb = make(most * kStreams * kStreams, 7);
  const Result<DeviceMatrix<std::uint8_t>> scratch =
      make(kernels::cuda::hyperScratchFloats(most), 8);
  for (const auto* made : {&fn, &base, &scale, &streams, &x, &post, &comb, &scratch}) {
    if (!*made) {
      return made->error();
    }
  }
  for (const int rows : bench.options.rows) {
    const Matrix<float> rowsOfStreams(floats(*streams), rows, kWidth);
    const Matrix<float> rowsOfX(floats(*x), rows, kDim);
    const Matrix<float> rowsOfPost(floats(*post), rows, kStreams);
    const Matrix<float> rowsOfComb(floats(*comb), rows, kStreams * kStreams);
    const auto pre = [&](int copy) {
      const kernels::cuda::DeviceHyperConnection weights{
          {floats(*fn) + copy * kLogits * kWidth, kLogits, kWidth},
          floats(*base),
          floats(*scale),
          20,
          1e-6F,
          1e-6F};
      return kernels::cuda::hyperPre(rowsOfX,
                                     rowsOfPost,
                                     rowsOfComb,
                                     rowsOfStreams,
                                     weights,
                                     floats(*scratch),
                                     bench.stream);
    };
    const auto preBytes = kFnBytes + static_cast<std::uint64_t>(rows * (kWidth + kDim) * 4);
    if (wanted(bench, "hyperPre")) {
      if (Result<void> done =
              measure(bench, "hyperPre", "f32 4 x 4096 -> 24", rows, preBytes, copies, pre);
          !done) {
        return done;
      }
    }
    const auto mixBack = [&](int) {
      return kernels::cuda::hyperPost(rowsOfStreams, rowsOfX, rowsOfPost, rowsOfComb, bench.stream);
    };
    const auto postBytes = static_cast<std::uint64_t>(rows * (2 * kWidth + kDim) * 4);
    if (wanted(bench, "hyperPost")) {
      if (Result<void> done =
              measure(bench, "hyperPost", "f32 4 x 4096", rows, postBytes, 64, mixBack);
          !done) {
        return done;
      }
    }
  }
  return {};
}

/// The choice alone; its gate is "linear router".
Result<void> benchRoute(Bench& bench) {
  constexpr std::int64_t kExperts = 256;
  constexpr std::int64_t kPicks = 6;
  if (!wanted(bench, "route")) {
    return {};
  }
  const std::int64_t most = *std::max_element(bench.options.rows.begin(), bench.options.rows.end());
  const auto bytesFor = [](std::int64_t rows) {
    return static_cast<std::uint64_t>(rows * kExperts * 4);
  };
  const Result<DeviceMatrix<std::uint8_t>> logits =
      makeContents(bench, Contents::Floats, bytesFor(most), 1);
  const Result<DeviceMatrix<std::uint8_t>> bias =
      makeContents(bench, Contents::Floats, bytesFor(1), 2);
  const Result<DeviceMatrix<std::int32_t>> picks = DeviceMatrix<std::int32_t>::make(most, kPicks);
  const Result<DeviceMatrix<float>> weights = DeviceMatrix<float>::make(most, kPicks);
  if (!logits || !bias || !picks || !weights) {
    return Error{ErrorCode::OutOfMemory, "no memory for route", ""};
  }
  for (const int rows : bench.options.rows) {
    const auto call = [&](int) {
      return kernels::cuda::route({picks->view().data, rows, kPicks},
                                  {weights->view().data, rows, kPicks},
                                  {floats(*logits), rows, kExperts},
                                  floats(*bias),
                                  {},
                                  nullptr,
                                  1.5F,
                                  bench.stream);
    };
    if (Result<void> done = measure(bench, "route", "6 of 256", rows, bytesFor(rows), 64, call);
        !done) {
      return done;
    }
  }
  return {};
}

Result<void> benchMemory(Bench& bench) {
  constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;
  Result<DeviceMatrix<std::uint8_t>> from = makeContents(bench, Contents::Fp4Codes, kBytes, 1);
  Result<DeviceMatrix<std::uint8_t>> to = makeContents(bench, Contents::Fp4Codes, kBytes, 2);
  Result<DeviceMatrix<std::uint32_t>> sink = DeviceMatrix<std::uint32_t>::make(1, 1);
  if (!from || !to || !sink) {
    return Error{ErrorCode::OutOfMemory, "2 GiB are not free on the device", ""};
  }
  const Result<Spread> read = timeCalls(bench, 2, [&](int) {
    return readAll(from->view().data, kBytes, sink->view().data, bench.stream);
  });
  if (!read) {
    return read.error();
  }
  const Result<Spread> copy = timeCalls(bench, 2, [&](int) {
    return copyAll(to->view().data, from->view().data, kBytes, bench.stream);
  });
  if (!copy) {
    return copy.error();
  }
  bench.timings.readRate = static_cast<double>(kBytes) / (read->median * 1e-6);
  bench.timings.copyRate = 2 * static_cast<double>(kBytes) / (copy->median * 1e-6);
  return {};
}

}  // namespace

Result<KernelTimings> benchKernels(const KernelBenchOptions& options) {
  if (options.rows.empty() || options.repeats < 1) {
    return Error{ErrorCode::InvalidArgument, "nothing to time", "Name rows and repeats."};
  }
  Result<device::UniqueStream> stream = device::makeStream();
  if (!stream) {
    return stream.error();
  }
  const Result<kernels::cuda::DeviceLimits> limits = kernels::cuda::currentDeviceLimits();
  if (!limits) {
    return limits.error();
  }
  int device = 0;
  int cacheBytes = 0;
  TANDEM_CHECK_CUDA(cudaGetDevice(&device));
  TANDEM_CHECK_CUDA(cudaDeviceGetAttribute(&cacheBytes, cudaDevAttrL2CacheSize, device));
  Bench bench;
  bench.stream = stream->get();
  bench.limits = *limits;
  bench.cacheBytes = static_cast<std::uint64_t>(cacheBytes);
  bench.options = options;

  if (Result<void> done = benchMemory(bench); !done) {
    return done.error();
  }
  constexpr auto kFp8 = WeightFormat::Fp8Block;
  constexpr auto kBf16 = WeightFormat::Bf16;
  // model.md §5.2, sliced for two ranks as §6.3 says.
  for (const LinearShape& shape : {
           LinearShape{"linear wkv", kFp8, 4096, 512},
           LinearShape{"linear wq_a", kFp8, 4096, 1024},
           LinearShape{"linear indexer wq_b", kFp8, 1024, 8192},
           LinearShape{"linear wq_b", kFp8, 1024, 16384},
           LinearShape{"groupedLinear wo_a", kFp8, 4096, 1024, 4},
           LinearShape{"linear wo_b", kFp8, 4096, 4096},
           LinearShape{"linear router", kBf16, 4096, 256},
           LinearShape{"linear compressor", kBf16, 4096, 1024},
           LinearShape{"linear head", kBf16, 4096, 64640},
       }) {
    if (Result<void> done = benchLinear(bench, shape); !done) {
      return done.error();
    }
  }
  for (const ExpertShape& shape : {
           ExpertShape{"experts shared", kFp8, 4096, 1024, 1, 1},
           ExpertShape{"experts routed", WeightFormat::Mxfp4, 4096, 1024, 256, 6},
       }) {
    if (Result<void> done = benchExperts(bench, shape); !done) {
      return done.error();
    }
  }
  for (const auto part : {benchNorm, benchHyper, benchRoute}) {
    if (Result<void> done = part(bench); !done) {
      return done.error();
    }
  }
  return bench.timings;
}

}  // namespace tandem::cuda
