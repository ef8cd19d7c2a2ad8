// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/sampling_check.h"

#include <fmt/core.h>

#include <array>
#include <limits>

namespace tandem::runtime {

namespace {

struct Range {
  const char* name;
  double value;
  double low;
  double high;
};

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

Error outside(const Range& range) {
  return Error{
      ErrorCode::InvalidArgument,
      range.high == kNoLimit
          ? fmt::format("{} is {}; it must be at least {}", range.name, range.value, range.low)
          : fmt::format("{} is {}; it must be {} to {}",
                        range.name,
                        range.value,
                        range.low,
                        range.high),
      ""};
}

Error notAToken(const char* where, TokenId token, std::int64_t vocabSize) {
  return Error{
      ErrorCode::InvalidArgument,
      fmt::format("{} names token {}; the vocabulary has ids 0 to {}", where, token, vocabSize - 1),
      "Use the tokenizer of this model."};
}

}  // namespace

Result<void> checkSampling(const api::TokenRequest& request, std::int64_t vocabSize) {
  const api::SamplingParams& params = request.sampling;
  const std::array<Range, 9> ranges{{
      {"temperature", params.temperature, 0, 2},
      {"topP", params.topP, 1e-9, 1},
      {"topK", static_cast<double>(params.topK), 0, kNoLimit},
      {"minP", params.minP, 0, 1},
      {"presencePenalty", params.presencePenalty, -2, 2},
      {"frequencyPenalty", params.frequencyPenalty, -2, 2},
      {"repetitionPenalty", params.repetitionPenalty, 0.01, 100},
      {"maxTokens", static_cast<double>(params.maxTokens.value_or(1)), 1, kNoLimit},
      {"topLogprobs", static_cast<double>(params.topLogprobs), 0, 20},
  }};
  for (const Range& range : ranges) {
    if (!(range.value >= range.low && range.value <= range.high)) {  // also when it is no number
      return outside(range);
    }
  }
  const auto isToken = [vocabSize](TokenId token) { return token >= 0 && token < vocabSize; };
  for (const api::LogitBias& bias : params.logitBias) {
    if (!isToken(bias.token)) {
      return notAToken("logitBias", bias.token, vocabSize);
    }
    if (!(bias.bias >= -100 && bias.bias <= 100)) {
      return outside({"a logitBias", bias.bias, -100, 100});
    }
  }
  if (!request.thinking) {
    return {};
  }
  if (request.thinking->tokens < 0) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("the thinking budget is {} tokens; it cannot be below 0",
                             request.thinking->tokens),
                 ""};
  }
  for (const TokenId token : request.thinking->endTokens) {
    if (!isToken(token)) {
      return notAToken("the end of the thinking", token, vocabSize);
    }
  }
  return {};
}

}  // namespace tandem::runtime
