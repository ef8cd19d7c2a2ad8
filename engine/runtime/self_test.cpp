// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/self_test.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace tandem::runtime {

namespace {

// Crosses a compressed window of 4 several times and stays cheap on any machine.
constexpr std::int64_t kPromptTokens = 24;

// Unrelated logits differ by about 1.4 of their own spread; a healthy model by rounding only.
constexpr double kLargestDisagreement = 0.5;

constexpr const char* kRemedy =
    "The weights or the back end are broken: check the files, then try --backend reference.";

std::vector<TokenId> prompt(std::int64_t vocabSize, std::int64_t contextTokens) {
  std::vector<TokenId> tokens;
  const std::int64_t count = std::min(kPromptTokens, contextTokens - 1);
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<TokenId>(i * 7919 % vocabSize));
  }
  return tokens;
}

/// Logits behind the last token when the prompt is fed in pieces that end at `cuts`.
Result<std::vector<float>> lastLogits(LockstepRunner& runner,
                                      const std::vector<TokenId>& tokens,
                                      const std::vector<std::size_t>& cuts) {
  // Nothing else runs yet: the first slot and block are free, and position 0 begins anew.
  constexpr std::array<kvcache::BlockId, 1> kBlocks{0};
  std::vector<float> logits;
  std::size_t begin = 0;
  for (const std::size_t end : cuts) {
    const StepChunk chunk{.position = static_cast<std::int64_t>(begin),
                          .tokens = std::span(tokens).subspan(begin, end - begin),
                          .blocks = kBlocks,
                          .logitRows = 1};
    const Result<StepOutcome> step = runner.step({}, {&chunk, 1});
    if (!step) {
      return step.error();
    }
    logits.assign(step->logits.begin(), step->logits.end());
    begin = end;
  }
  return logits;
}

/// |a - b| over the spread of a, both as root mean squares.
double disagreement(const std::vector<float>& a, const std::vector<float>& b) {
  double mean = 0;
  for (const float value : a) {
    mean += value;
  }
  mean /= static_cast<double>(a.size());
  double difference = 0;
  double spread = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    spread += std::pow(a[i] - mean, 2);
  }
  return spread > 0 ? std::sqrt(difference / spread) : std::sqrt(difference);
}

}  // namespace

Result<std::string> selfTest(LockstepRunner& runner, std::int64_t contextTokens) {
  const std::vector<TokenId> tokens = prompt(runner.local().vocabSize(), contextTokens);
  const Result<std::vector<float>> first = lastLogits(runner, tokens, {tokens.size()});
  if (!first) {
    return first.error();
  }
  const auto broken =
      std::find_if(first->begin(), first->end(), [](float logit) { return !std::isfinite(logit); });
  if (broken != first->end()) {
    return Error{ErrorCode::Internal,
                 fmt::format("self-test: the logit of token {} is {}",
                             std::distance(first->begin(), broken),
                             *broken),
                 kRemedy};
  }
  const Result<std::vector<float>> again = lastLogits(runner, tokens, {tokens.size()});
  if (!again) {
    return again.error();
  }
  if (*again != *first) {
    return Error{ErrorCode::Internal, "self-test: the same prompt gave other logits", kRemedy};
  }
  const Result<std::vector<float>> decoded =
      lastLogits(runner, tokens, {tokens.size() - 1, tokens.size()});
  if (!decoded) {
    return decoded.error();
  }
  const double difference = disagreement(*first, *decoded);
  if (difference > kLargestDisagreement) {
    return Error{
        ErrorCode::Internal,
        fmt::format("self-test: prefill and decode disagree by {:.2f} of the logits' spread, "
                    "allowed {:.2f}",
                    difference,
                    kLargestDisagreement),
        kRemedy};
  }
  return fmt::format("{} tokens; decode differs from prefill by {:.1e}", tokens.size(), difference);
}

}  // namespace tandem::runtime
