// SPDX-License-Identifier: GPL-3.0-or-later
// The fast operators for processors: threads, vector loops, weights unpacked row by row.
#pragma once

#include <vector>

#include "engine/kernels/cpu/thread_pool.h"
#include "engine/kernels/reference/reference_operators.h"
#include "engine/kernels/unpacked_keys.h"

namespace tandem::kernels {

/// Overrides what costs time; what is cheap stays the reference's, on this back end's inner
/// product. Sums are in float.
class CpuOperators final : public ReferenceOperators {
 public:
  /// threads >= 1, the calling thread included.
  explicit CpuOperators(int threads)
      : pool_(threads),
        unpacked_(static_cast<std::size_t>(threads)),
        keyTiles_(static_cast<std::size_t>(threads)) {}

  [[nodiscard]] std::string_view name() const override { return "cpu"; }

  void linear(Matrix<float> out,
              Matrix<const float> x,
              const WeightMatrix& weight,
              ActivationRounding rounding) override;
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
  void experts(Matrix<float> out,
               Matrix<const float> x,
               Matrix<const std::int32_t> picks,
               Matrix<const float> weights,
               const ExpertWeights& experts,
               float limit,
               ActivationRounding rounding) override;

 protected:
  [[nodiscard]] double innerProduct(const float* a,
                                    const float* b,
                                    std::int64_t count) const override;

 private:
  Matrix<const float> roundedInput(Matrix<const float> x,
                                   const WeightMatrix& weight,
                                   ActivationRounding rounding);

  ThreadPool pool_;
  // Scratch, kept so that a step allocates nothing once it has grown.
  std::vector<std::vector<float>> unpacked_;  // a few weight rows a thread
  std::vector<float> rounded_;
  std::vector<float> gathered_;
  std::vector<float> gate_;
  std::vector<float> up_;
  std::vector<float> down_;
  UnpackedKeys keys_;
  std::vector<float> scores_;                 // of the indexer
  std::vector<std::vector<float>> keyTiles_;  // unpacked keys of the indexer, one tile a thread
  std::vector<std::int64_t> members_;         // rows that chose one expert
};

}  // namespace tandem::kernels
