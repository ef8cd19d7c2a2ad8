// SPDX-License-Identifier: GPL-3.0-or-later
// The meaning of every operator: scalar, sums in double, nothing clever.
#pragma once

#include <vector>

#include "engine/kernels/operators.h"

namespace tandem::kernels {

class ReferenceOperators : public Operators {
 public:
  [[nodiscard]] std::string_view name() const override { return "reference"; }

  void linear(Matrix<float> out,
              Matrix<const float> x,
              const WeightMatrix& weight,
              ActivationRounding rounding) override;
  void groupedLinear(Matrix<float> out,
                     Matrix<const float> x,
                     const WeightMatrix& weight,
                     int groups) override;
  void rmsNorm(Matrix<float> out,
               Matrix<const float> x,
               std::span<const float> weight,
               float eps) override;
  void hyperPre(Matrix<float> x,
                HyperConnectionMix mix,
                Matrix<const float> streams,
                const HyperConnectionWeights& weights) override;
  void hyperPost(Matrix<float> streams,
                 Matrix<const float> y,
                 const HyperConnectionMix& mix) override;
  void hyperHead(Matrix<float> x,
                 Matrix<const float> streams,
                 const HyperConnectionWeights& weights) override;
  void rope(Matrix<float> x,
            std::int64_t headDim,
            std::span<const std::int64_t> positions,
            std::span<const double> frequencies,
            RopeDirection direction) override;
  void roundKvEntries(Matrix<float> x, std::int64_t ropeDim) override;
  void roundIndexerEntries(Matrix<float> x, std::int64_t headDim) override;
  void storeEntries(const EntryPages<std::byte>& entries,
                    std::int64_t first,
                    Matrix<const float> x) override;
  void storeRing(const EntryRing<std::byte>& ring,
                 std::int64_t first,
                 Matrix<const float> x) override;
  void storeRawRing(Matrix<float> ring, std::int64_t first, Matrix<const float> x) override;
  void compress(Matrix<float> out,
                const CompressorRows& rows,
                std::int64_t firstEntry,
                int ratio) override;
  void indexerTopK(Matrix<std::int32_t> chosen,
                   std::span<std::int32_t> count,
                   Matrix<const float> q,
                   Matrix<const float> headWeights,
                   const EntryPages<const std::byte>& keys,
                   std::span<const std::int32_t> visible) override;
  void sparseAttention(Matrix<float> out,
                       Matrix<const float> q,
                       const AttentionKeys& keys,
                       std::span<const std::int64_t> positions,
                       std::span<const float> sinks) override;
  void route(Matrix<std::int32_t> picks,
             Matrix<float> weights,
             Matrix<const float> x,
             std::span<const TokenId> tokens,
             const RouterWeights& router) override;
  void experts(Matrix<float> out,
               Matrix<const float> x,
               Matrix<const std::int32_t> picks,
               Matrix<const float> weights,
               const ExpertWeights& experts,
               float limit,
               ActivationRounding rounding) override;

 protected:
  /// Σ a[i] * b[i], in double and in order. A faster back end may sum otherwise.
  [[nodiscard]] virtual double innerProduct(const float* a,
                                            const float* b,
                                            std::int64_t count) const;

 private:
  /// (fn · v) / sqrt(mean(v^2) + normEps) of one row's streams.
  [[nodiscard]] std::vector<double> hyperLogits(std::span<const float> v,
                                                const HyperConnectionWeights& weights) const;
};

}  // namespace tandem::kernels
