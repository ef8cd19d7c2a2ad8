// SPDX-License-Identifier: GPL-3.0-or-later
// What a client asks of POST /v1/chat/completions, checked and with every default filled in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/sampling_params.h"
#include "engine/tokenizer/chat_message.h"

namespace tandem::server {

enum class ToolChoiceKind {
  Auto,      // the model decides
  None,      // the tools stay unmentioned
  Required,  // the answer begins with a call of any tool
  Named,     // the answer begins with a call of ToolChoice::name
};

struct ToolChoice {
  ToolChoiceKind kind = ToolChoiceKind::Auto;
  std::string name;
};

struct ChatRequest {
  std::string model;  // as sent; any name is served
  tokenizer::Conversation conversation;
  ToolChoice toolChoice;
  bool parallelToolCalls = true;
  api::SamplingParams sampling;
  std::optional<std::int64_t> thinkingTokens;  // none: thinking ends when the model ends it
  int choices = 1;  // answers to the same prompt, each with its own draws
  std::vector<std::string> stop;
  bool stream = false;
  bool includeUsage = false;     // stream_options.include_usage
  bool timingsPerToken = false;  // timings in every chunk, not only in the last
};

}  // namespace tandem::server
