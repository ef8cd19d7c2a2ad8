// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/device_case_operators.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/cuda/device_matrix.h"
#include "engine/cuda/device_weights.h"
#include "engine/device/cuda/cuda_handles.h"
#include "engine/kernels/cuda/experts.h"
#include "engine/kernels/cuda/hyper_connection.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/rms_norm.h"
#include "engine/kernels/cuda/round_activations.h"
#include "engine/kernels/cuda/route.h"

namespace tandem::cuda {

namespace {

using kernels::Matrix;
using kernels::OperatorId;

/// Everything without a kernel: a call is a bug of the caller, and becomes the failure.
class KernellessOperators : public CaseOperators {
 public:
  void linear(Matrix<float> /*out*/,
              Matrix<const float> /*x*/,
              const kernels::WeightMatrix& /*weight*/,
              kernels::ActivationRounding /*rounding*/) override {
    refuse(OperatorId::Linear);
  }
  void groupedLinear(Matrix<float> /*out*/,
                     Matrix<const float> /*x*/,
                     const kernels::WeightMatrix& /*weight*/,
                     int /*groups*/) override {
    refuse(OperatorId::GroupedLinear);
  }
  void hyperPre(Matrix<float> /*x*/,
                kernels::HyperConnectionMix /*mix*/,
                Matrix<const float> /*streams*/,
                const kernels::HyperConnectionWeights& /*weights*/) override {
    refuse(OperatorId::HyperPre);
  }
  void hyperPost(Matrix<float> /*streams*/,
                 Matrix<const float> /*y*/,
                 const kernels::HyperConnectionMix& /*mix*/) override {
    refuse(OperatorId::HyperPost);
  }
  void hyperHead(Matrix<float> /*x*/,
                 Matrix<const float> /*streams*/,
                 const kernels::HyperConnectionWeights& /*weights*/) override {
    refuse(OperatorId::HyperHead);
  }
  void rope(Matrix<float> /*x*/,
            std::int64_t /*headDim*/,
            std::span<const std::int64_t> /*positions*/,
            std::span<const double> /*frequencies*/,
            kernels::RopeDirection /*direction*/) override {
    refuse(OperatorId::Rope);
  }
  void roundKvEntries(Matrix<float> /*x*/, std::int64_t /*ropeDim*/) override {
    refuse(OperatorId::RoundKvEntries);
  }
  void roundIndexerEntries(Matrix<float> /*x*/, std::int64_t /*headDim*/) override {
    refuse(OperatorId::RoundIndexerEntries);
  }
  void storeEntries(const kernels::EntryPages<std::byte>& /*entries*/,
                    std::int64_t /*first*/,
                    Matrix<const float> /*x*/) override {
    refuse(OperatorId::StoreEntries);
  }
  void storeRing(const kernels::EntryRing<std::byte>& /*ring*/,
                 std::int64_t /*first*/,
                 Matrix<const float> /*x*/) override {
    refuse(OperatorId::StoreRing);
  }
  void storeRawRing(Matrix<float> /*ring*/,
                    std::int64_t /*first*/,
                    Matrix<const float> /*x*/) override {
    refuse(OperatorId::StoreRawRing);
  }
  void compress(Matrix<float> /*out*/,
                const kernels::CompressorRows& /*rows*/,
                std::int64_t /*firstEntry*/,
                int /*ratio*/) override {
    refuse(OperatorId::Compress);
  }
  void indexerTopK(Matrix<std::int32_t> /*chosen*/,
                   std::span<std::int32_t> /*count*/,
                   Matrix<const float> /*q*/,
                   Matrix<const float> /*headWeights*/,
                   const kernels::EntryPages<const std::byte>& /*keys*/,
                   std::span<const std::int32_t> /*visible*/) override {
    refuse(OperatorId::IndexerTopK);
  }
  void sparseAttention(Matrix<float> /*out*/,
                       Matrix<const float> /*q*/,
                       const kernels::AttentionKeys& /*keys*/,
                       std::span<const std::int64_t> /*positions*/,
                       std::span<const float> /*sinks*/) override {
    refuse(OperatorId::SparseAttention);
  }
  void route(Matrix<std::int32_t> /*picks*/,
             Matrix<float> /*weights*/,
             Matrix<const float> /*x*/,
             std::span<const TokenId> /*tokens*/,
             const kernels::RouterWeights& /*router*/) override {
    refuse(OperatorId::Route);
  }
  void experts(Matrix<float> /*out*/,
               Matrix<const float> /*x*/,
               Matrix<const std::int32_t> /*picks*/,
               Matrix<const float> /*weights*/,
               const kernels::ExpertWeights& /*experts*/,
               float /*limit*/,
               kernels::ActivationRounding /*rounding*/) override {
    refuse(OperatorId::Experts);
  }

  [[nodiscard]] Result<void> failure() const override { return failure_; }

 protected:
  /// Runs `call` unless something has failed before, and keeps its failure.
  template <typename Call>
  void attempt(OperatorId op, Call call) {
    if (!failure_) {
      return;
    }
    if (Result<void> done = call(); !done) {
      failure_ = done.error().within(std::string(kernels::operatorName(op)));
    }
  }

 private:
  void refuse(OperatorId op) {
    attempt(op, [] { return Result<void>(Error{ErrorCode::Internal, "no CUDA kernel yet", ""}); });
  }

  Result<void> failure_;
};

class DeviceCaseOperators final : public KernellessOperators {
 public:
  DeviceCaseOperators(device::UniqueStream stream, kernels::cuda::DeviceLimits limits)
      : stream_(std::move(stream)),
        limits_(limits) {}

  [[nodiscard]] std::string_view name() const override { return "cuda"; }

  [[nodiscard]] bool hasKernel(OperatorId op) const override {
    switch (op) {
      case OperatorId::Linear:
      case OperatorId::GroupedLinear:
      case OperatorId::RmsNorm:
      case OperatorId::HyperPre:
      case OperatorId::HyperPost:
      case OperatorId::HyperHead:
      case OperatorId::Route:
      case OperatorId::Experts:
        return true;
      default:
        return false;
    }
  }

  void linear(Matrix<float> out,
              Matrix<const float> x,
              const kernels::WeightMatrix& weight,
              kernels::ActivationRounding rounding) override {
    attempt(OperatorId::Linear, [&] { return runLinear(out, x, weight, 1, rounding); });
  }

  void groupedLinear(Matrix<float> out,
                     Matrix<const float> x,
                     const kernels::WeightMatrix& weight,
                     int groups) override {
    attempt(OperatorId::GroupedLinear,
            [&] { return runLinear(out, x, weight, groups, kernels::ActivationRounding::None); });
  }

  void rmsNorm(Matrix<float> out,
               Matrix<const float> x,
               std::span<const float> weight,
               float eps) override {
    attempt(OperatorId::RmsNorm, [&] { return runRmsNorm(out, x, weight, eps); });
  }

  void hyperPre(Matrix<float> x,
                kernels::HyperConnectionMix mix,
                Matrix<const float> streams,
                const kernels::HyperConnectionWeights& weights) override {
    attempt(OperatorId::HyperPre, [&] { return runHyperPre(x, &mix, streams, weights); });
  }

  void hyperPost(Matrix<float> streams,
                 Matrix<const float> y,
                 const kernels::HyperConnectionMix& mix) override {
    attempt(OperatorId::HyperPost, [&] { return runHyperPost(streams, y, mix); });
  }

  void hyperHead(Matrix<float> x,
                 Matrix<const float> streams,
                 const kernels::HyperConnectionWeights& weights) override {
    attempt(OperatorId::HyperHead, [&] { return runHyperPre(x, nullptr, streams, weights); });
  }

  void route(Matrix<std::int32_t> picks,
             Matrix<float> weights,
             Matrix<const float> x,
             std::span<const TokenId> tokens,
             const kernels::RouterWeights& router) override {
    attempt(OperatorId::Route, [&] { return runRoute(picks, weights, x, tokens, router); });
  }

  void experts(Matrix<float> out,
               Matrix<const float> x,
               Matrix<const std::int32_t> picks,
               Matrix<const float> weights,
               const kernels::ExpertWeights& experts,
               float limit,
               kernels::ActivationRounding rounding) override {
    attempt(OperatorId::Experts,
            [&] { return runExperts(out, x, picks, weights, experts, limit, rounding); });
  }

 private:
  /// A list as one row on the device.
  template <typename T>
  Result<DeviceMatrix<T>> uploadList(std::span<const T> list) {
    return upload(Matrix<const T>(list.data(), 1, static_cast<std::int64_t>(list.size())),
                  stream_.get());
  }

  /// x on the device, rounded as a linear operator of these weights takes it.
  Result<DeviceMatrix<float>> uploadInput(Matrix<const float> x,
                                          kernels::WeightFormat format,
                                          kernels::ActivationRounding rounding) {
    Result<DeviceMatrix<float>> input = upload(x, stream_.get());
    const bool quantised =
        format == kernels::WeightFormat::Fp8Block || format == kernels::WeightFormat::Mxfp4;
    if (input && quantised && rounding == kernels::ActivationRounding::Fp8Groups) {
      if (Result<void> done =
              kernels::cuda::roundActivations(input->view(), input->view(), stream_.get());
          !done) {
        return done.error();
      }
    }
    return input;
  }

  Result<void> runLinear(Matrix<float> out,
                         Matrix<const float> x,
                         const kernels::WeightMatrix& weight,
                         int groups,
                         kernels::ActivationRounding rounding) {
    Result<DeviceMatrix<float>> input = uploadInput(x, weight.format, rounding);
    if (!input) {
      return input.error();
    }
    Result<DeviceWeight> weights = upload(weight, stream_.get());
    if (!weights) {
      return weights.error();
    }
    Result<DeviceMatrix<float>> result = DeviceMatrix<float>::make(x.rows, weight.rows);
    if (!result) {
      return result.error();
    }
    if (Result<void> queued = kernels::cuda::groupedLinear(result->view(),
                                                           input->view(),
                                                           weights->view,
                                                           groups,
                                                           limits_,
                                                           stream_.get());
        !queued) {
      return queued;
    }
    return download(out, *result, stream_.get());
  }

  Result<void> runRmsNorm(Matrix<float> out,
                          Matrix<const float> x,
                          std::span<const float> weight,
                          float eps) {
    Result<DeviceMatrix<float>> input = upload(x, stream_.get());
    if (!input) {
      return input.error();
    }
    const Matrix<const float> weightRow(weight.data(), 1, static_cast<std::int64_t>(weight.size()));
    Result<DeviceMatrix<float>> weights = upload(weightRow, stream_.get());
    if (!weights) {
      return weights.error();
    }
    Result<DeviceMatrix<float>> result = DeviceMatrix<float>::make(x.rows, x.cols);
    if (!result) {
      return result.error();
    }
    if (Result<void> queued =
            kernels::cuda::rmsNorm(result->view(),
                                   input->view(),
                                   weight.empty() ? nullptr : weights->view().data,
                                   eps,
                                   stream_.get());
        !queued) {
      return queued;
    }
    return download(out, *result, stream_.get());
  }

  /// Uploads every matrix of `list` into `owned` and makes `list` view the copies.
  Result<void> uploadAll(std::vector<DeviceWeight>& owned,
                         std::vector<kernels::WeightMatrix>& list) {
    for (kernels::WeightMatrix& weight : list) {
      Result<DeviceWeight> made = upload(weight, stream_.get());
      if (!made) {
        return made.error();
      }
      weight = made->view;
      owned.push_back(std::move(*made));
    }
    return {};
  }

  Result<void> runExperts(Matrix<float> out,
                          Matrix<const float> x,
                          Matrix<const std::int32_t> picks,
                          Matrix<const float> weights,
                          const kernels::ExpertWeights& experts,
                          float limit,
                          kernels::ActivationRounding rounding) {
    std::vector<DeviceWeight> owned;
    std::vector<kernels::WeightMatrix> gate(experts.gate.begin(), experts.gate.end());
    std::vector<kernels::WeightMatrix> up(experts.up.begin(), experts.up.end());
    std::vector<kernels::WeightMatrix> down(experts.down.begin(), experts.down.end());
    for (std::vector<kernels::WeightMatrix>* list : {&gate, &up, &down}) {
      if (Result<void> done = uploadAll(owned, *list); !done) {
        return done;
      }
    }
    kernels::cuda::DeviceExperts shapes;
    Result<std::vector<kernels::cuda::ExpertPlace>> places =
        kernels::cuda::placesOf({gate, up, down}, shapes);
    if (!places) {
      return places.error();
    }
    Result<DeviceMatrix<kernels::cuda::ExpertPlace>> table =
        upload(Matrix<const kernels::cuda::ExpertPlace>(places->data(),
                                                        1,
                                                        static_cast<std::int64_t>(places->size())),
               stream_.get());
    Result<DeviceMatrix<float>> input = uploadInput(x, shapes.format, rounding);
    Result<DeviceMatrix<std::int32_t>> chosen = upload(picks, stream_.get());
    Result<DeviceMatrix<float>> shares = upload(weights, stream_.get());
    Result<DeviceMatrix<float>> sum = upload(Matrix<const float>(out), stream_.get());
    Result<DeviceMatrix<float>> hidden =
        DeviceMatrix<float>::make(x.rows * picks.cols, shapes.gate.rows);
    Result<DeviceMatrix<std::int32_t>> plan = DeviceMatrix<std::int32_t>::make(
        (x.rows + kernels::cuda::kExpertRows - 1) / kernels::cuda::kExpertRows,
        kernels::cuda::expertPlanColumns(picks.cols));
    for (const Result<DeviceMatrix<float>>* made : {&input, &shares, &sum, &hidden}) {
      if (!*made) {
        return made->error();
      }
    }
    if (!table || !chosen || !plan) {
      return !table ? table.error() : !chosen ? chosen.error() : plan.error();
    }
    shapes.places = table->view().data;
    if (Result<void> queued = kernels::cuda::experts(sum->view(),
                                                     input->view(),
                                                     chosen->view(),
                                                     shares->view(),
                                                     shapes,
                                                     limit,
                                                     rounding,
                                                     {hidden->view(), plan->view()},
                                                     limits_,
                                                     stream_.get());
        !queued) {
      return queued;
    }
    return download(out, *sum, stream_.get());
  }

  /// The head when there is no mix.
  Result<void> runHyperPre(Matrix<float> x,
                           const kernels::HyperConnectionMix* mix,
                           Matrix<const float> streams,
                           const kernels::HyperConnectionWeights& weights) {
    const std::int64_t m = streams.cols / x.cols;
    Result<DeviceMatrix<float>> input = upload(streams, stream_.get());
    Result<DeviceMatrix<float>> fn = upload(weights.fn, stream_.get());
    Result<DeviceMatrix<float>> base = uploadList(weights.base);
    Result<DeviceMatrix<float>> scale = uploadList(weights.scale);
    Result<DeviceMatrix<float>> result = DeviceMatrix<float>::make(x.rows, x.cols);
    Result<DeviceMatrix<float>> post = DeviceMatrix<float>::make(x.rows, m);
    Result<DeviceMatrix<float>> comb = DeviceMatrix<float>::make(x.rows, m * m);
    Result<DeviceMatrix<float>> scratch =
        DeviceMatrix<float>::make(1, kernels::cuda::hyperScratchFloats(x.rows));
    for (const auto* made : {&input, &fn, &base, &scale, &result, &post, &comb, &scratch}) {
      if (!*made) {
        return made->error();
      }
    }
    const kernels::cuda::DeviceHyperConnection parameters{fn->view(),
                                                          base->view().data,
                                                          scale->view().data,
                                                          weights.sinkhornIterations,
                                                          weights.eps,
                                                          weights.normEps};
    Result<void> queued = mix == nullptr ? kernels::cuda::hyperHead(result->view(),
                                                                    input->view(),
                                                                    parameters,
                                                                    scratch->view().data,
                                                                    stream_.get())
                                         : kernels::cuda::hyperPre(result->view(),
                                                                   post->view(),
                                                                   comb->view(),
                                                                   input->view(),
                                                                   parameters,
                                                                   scratch->view().data,
                                                                   stream_.get());
    if (queued && mix != nullptr) {
      queued = download(mix->post, *post, stream_.get());
    }
    if (queued && mix != nullptr) {
      queued = download(mix->comb, *comb, stream_.get());
    }
    return queued ? download(x, *result, stream_.get()) : queued;
  }

  Result<void> runHyperPost(Matrix<float> streams,
                            Matrix<const float> y,
                            const kernels::HyperConnectionMix& mix) {
    Result<DeviceMatrix<float>> result = upload(Matrix<const float>(streams), stream_.get());
    Result<DeviceMatrix<float>> input = upload(y, stream_.get());
    Result<DeviceMatrix<float>> post = upload(Matrix<const float>(mix.post), stream_.get());
    Result<DeviceMatrix<float>> comb = upload(Matrix<const float>(mix.comb), stream_.get());
    for (const auto* made : {&result, &input, &post, &comb}) {
      if (!*made) {
        return made->error();
      }
    }
    if (Result<void> queued = kernels::cuda::hyperPost(result->view(),
                                                       input->view(),
                                                       post->view(),
                                                       comb->view(),
                                                       stream_.get());
        !queued) {
      return queued;
    }
    return download(streams, *result, stream_.get());
  }

  Result<void> runRoute(Matrix<std::int32_t> picks,
                        Matrix<float> weights,
                        Matrix<const float> x,
                        std::span<const TokenId> tokens,
                        const kernels::RouterWeights& router) {
    Result<DeviceMatrix<float>> input = upload(x, stream_.get());
    Result<DeviceWeight> gate = upload(router.gate, stream_.get());
    Result<DeviceMatrix<float>> bias = uploadList(router.bias);
    Result<DeviceMatrix<std::int32_t>> table = upload(router.hashTable, stream_.get());
    Result<DeviceMatrix<TokenId>> ids = uploadList(tokens);
    Result<DeviceMatrix<float>> logits = DeviceMatrix<float>::make(x.rows, router.gate.rows);
    Result<DeviceMatrix<std::int32_t>> chosen =
        DeviceMatrix<std::int32_t>::make(picks.rows, picks.cols);
    Result<DeviceMatrix<float>> shares = DeviceMatrix<float>::make(weights.rows, weights.cols);
    if (!gate) {
      return gate.error();
    }
    for (const auto* made : {&input, &bias, &logits, &shares}) {
      if (!*made) {
        return made->error();
      }
    }
    for (const auto* made : {&table, &ids, &chosen}) {
      if (!*made) {
        return made->error();
      }
    }
    Result<void> done =
        kernels::cuda::linear(logits->view(), input->view(), gate->view, limits_, stream_.get());
    if (done) {
      done = kernels::cuda::route(chosen->view(),
                                  shares->view(),
                                  logits->view(),
                                  router.bias.empty() ? nullptr : bias->view().data,
                                  table->view(),
                                  ids->view().data,
                                  router.scale,
                                  stream_.get());
    }
    if (done) {
      done = download(picks, *chosen, stream_.get());
    }
    return done ? download(weights, *shares, stream_.get()) : done;
  }

  device::UniqueStream stream_;
  kernels::cuda::DeviceLimits limits_;
};

}  // namespace

Result<std::unique_ptr<CaseOperators>> makeCaseOperators() {
  Result<device::UniqueStream> stream = device::makeStream();
  if (!stream) {
    return stream.error();
  }
  const Result<kernels::cuda::DeviceLimits> limits = kernels::cuda::currentDeviceLimits();
  if (!limits) {
    return limits.error();
  }
  return std::unique_ptr<CaseOperators>(
      std::make_unique<DeviceCaseOperators>(std::move(*stream), *limits));
}

}  // namespace tandem::cuda
