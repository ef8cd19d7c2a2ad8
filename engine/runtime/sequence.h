// SPDX-License-Identifier: GPL-3.0-or-later
// One generation in progress.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/output_queue.h"
#include "engine/api/sampling_params.h"
#include "engine/base/clock.h"
#include "engine/base/token_id.h"
#include "engine/runtime/sampling_state.h"
#include "engine/runtime/step_plan.h"

namespace tandem::runtime {

/// Prompt and answer are one list; `fedTokens` says how far the model has read it. Owned by the
/// scheduler, used on the engine thread.
struct Sequence {
  std::string id;
  std::vector<TokenId> tokens;
  std::int64_t promptTokens = 0;
  std::int64_t fedTokens = 0;
  std::int64_t maxTokens = 0;  // prompt and answer together
  api::SamplingParams sampling;
  std::uint64_t seed = 0;
  SamplingState samplingState;  // of `tokens`
  std::vector<TokenId> stopTokens;

  std::optional<SequenceSlot> slot;  // once the model has a state for it
  std::shared_ptr<api::OutputQueue> output;

  MonotonicTime submitted;
  std::optional<MonotonicTime> started;     // first prefill step
  std::optional<MonotonicTime> firstToken;  // first answer token
  std::optional<MonotonicTime> lastToken;

  [[nodiscard]] std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  [[nodiscard]] std::int64_t unfedTokens() const { return length() - fedTokens; }
  [[nodiscard]] std::int64_t completionTokens() const { return length() - promptTokens; }
};

}  // namespace tandem::runtime
