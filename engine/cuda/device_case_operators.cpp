// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/device_case_operators.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/cuda/device_matrix.h"
#include "engine/device/cuda/cuda_handles.h"
#include "engine/kernels/cuda/rms_norm.h"

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
  explicit DeviceCaseOperators(device::UniqueStream stream)
      : stream_(std::move(stream)) {}

  [[nodiscard]] std::string_view name() const override { return "cuda"; }

  [[nodiscard]] bool hasKernel(OperatorId op) const override { return op == OperatorId::RmsNorm; }

  void rmsNorm(Matrix<float> out,
               Matrix<const float> x,
               std::span<const float> weight,
               float eps) override {
    attempt(OperatorId::RmsNorm, [&] { return runRmsNorm(out, x, weight, eps); });
  }

 private:
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

  device::UniqueStream stream_;
};

}  // namespace

Result<std::unique_ptr<CaseOperators>> makeCaseOperators() {
  Result<device::UniqueStream> stream = device::makeStream();
  if (!stream) {
    return stream.error();
  }
  return std::unique_ptr<CaseOperators>(std::make_unique<DeviceCaseOperators>(std::move(*stream)));
}

}  // namespace tandem::cuda
