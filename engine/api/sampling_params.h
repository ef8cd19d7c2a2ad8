// SPDX-License-Identifier: GPL-3.0-or-later
// How the next token is chosen from the logits.
#pragma once

#include <cstdint>
#include <optional>

namespace tandem::api {

/// Ranges are checked where the values are parsed; the sampler assumes them.
struct SamplingParams {
  double temperature = 1.0;               // [0, 2]; 0 is greedy
  double topP = 1.0;                      // (0, 1]
  std::optional<std::uint64_t> seed;      // none: drawn at random for this request
  std::optional<std::int64_t> maxTokens;  // none: to the end of the context
  bool ignoreEos = false;                 // for benchmarks
};

}  // namespace tandem::api
