// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/vocabulary.h"

#include <algorithm>

namespace tandem::model {

Vocabulary::Vocabulary(const WeightBinder& weights, comm::ShardSpec shard)
    : embedding_(weights.matrix("embed")),
      head_(weights.matrix("head")),
      range_(shard.slice(weights.config().vocabSize)),
      ranks_(shard.ranks) {}

Result<void> Vocabulary::embed(const Step& step,
                               kernels::Matrix<float> out,
                               std::span<const TokenId> tokens) {
  for (std::int64_t r = 0; r < out.rows; ++r) {
    const TokenId token = tokens[static_cast<std::size_t>(r)];
    if (token >= range_.begin && token < range_.end) {
      kernels::expandRow(embedding_, token - range_.begin, out.rowSpan(r));
    } else {
      std::fill_n(out.row(r), out.cols, 0.F);
    }
  }
  return step.communicator.allReduceSum({out.data, static_cast<std::size_t>(out.rows * out.cols)});
}

Result<void> Vocabulary::logits(const Step& step,
                                kernels::Matrix<float> logits,
                                kernels::Matrix<const float> h) {
  if (ranks_ == 1) {
    step.operators.linear(logits, h, head_, kernels::ActivationRounding::None);
    return {};
  }
  const kernels::Matrix<float> local = local_.take(h.rows, head_.rows);
  step.operators.linear(local, h, head_, kernels::ActivationRounding::None);
  const kernels::Matrix<float> all = gathered_.take(ranks_ * h.rows, head_.rows);
  const auto bytesOf = [](kernels::Matrix<float> matrix) {
    return std::as_writable_bytes(
        std::span(matrix.data, static_cast<std::size_t>(matrix.rows * matrix.cols)));
  };
  if (Result<void> gathered = step.communicator.allGather(bytesOf(local), bytesOf(all));
      !gathered) {
    return gathered;
  }
  for (std::int64_t rank = 0; rank < ranks_; ++rank) {
    for (std::int64_t r = 0; r < h.rows; ++r) {
      std::copy_n(all.row(rank * h.rows + r), head_.rows, logits.row(r) + rank * head_.rows);
    }
  }
  return {};
}

}  // namespace tandem::model
