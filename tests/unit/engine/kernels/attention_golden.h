// SPDX-License-Identifier: GPL-3.0-or-later
// Golden cases of the attention core and of the choice that feeds it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/unit/engine/kernels/golden_case.h"

namespace tandem::tests {

/// Owns the inputs of one call of sparseAttention.
struct AttentionInputs {
  Table q;  // [rows, heads * dim]
  Table window;
  std::int64_t windowTokens = 0;
  Table entries;
  std::vector<std::int32_t> chosen;  // [rows, topk], or empty
  std::vector<std::int32_t> entryCount;
  std::vector<std::int64_t> positions;
  std::vector<float> sinks;

  /// Row by row what sparseAttention attends to.
  [[nodiscard]] std::vector<const float*> keysOf(std::int64_t row) const;
  void run(Operators& operators, std::int64_t first, Matrix<float> out) const;
};

/// How far a golden may be that rounds the exponentials and its output to BF16, as the official
/// kernel does and the engine does not. `answer` [rows, heads * dim].
[[nodiscard]] Table attentionBounds(const AttentionInputs& inputs, const Table& answer);

[[nodiscard]] OperatorCase attentionGolden(std::string name,
                                           const std::shared_ptr<const AttentionInputs>& inputs,
                                           Table answer);

/// Which entries the k best are, for every k from 1 to the number of entries: together the order of
/// the golden scores. `visible` [rows].
[[nodiscard]] Table choicesByScore(const Table& scores, const std::vector<std::int32_t>& visible);

/// What the engine chooses, in the layout of choicesByScore.
void runChoices(Operators& operators,
                Matrix<float> out,
                Matrix<const float> q,
                Matrix<const float> headWeights,
                Matrix<const float> keys,
                std::span<const std::int32_t> visible);

}  // namespace tandem::tests
