// SPDX-License-Identifier: GPL-3.0-or-later
// What is known about an answer while it is made and when it is done; nothing of its JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/api/request_output.h"
#include "engine/base/result.h"

namespace tandem::server {

/// What every part of an answer carries, decided before its first token.
struct ReplyHead {
  std::string id;  // "chatcmpl-" and 24 characters
  std::int64_t createdSeconds = 0;
  std::string model;
  std::string fingerprint;
};

struct ReasoningText {
  std::string text;
};
struct ContentText {
  std::string text;
};
struct ToolCallBegin {
  int index = 0;
  std::string id;
  std::string name;
};
struct ToolCallArguments {
  int index = 0;
  std::string text;
};
/// The call ended whole.
struct ToolCallEnd {
  int index = 0;
};
using ReplyEvent =
    std::variant<ReasoningText, ContentText, ToolCallBegin, ToolCallArguments, ToolCallEnd>;

struct ReplyUsage {
  api::RequestUsage tokens;
  std::int64_t reasoningTokens = 0;  // of tokens.completionTokens
};

/// The end of an answer. With `error` there is no reason: the answer broke off.
struct ReplyFinish {
  std::string reason;  // "stop", "length" or "tool_calls"
  std::optional<Error> error;
};

/// What is new since the last look.
struct ReplyProgress {
  std::vector<ReplyEvent> events;
  ReplyUsage usage;
  api::RequestTimings timings;
  std::optional<ReplyFinish> finish;
  bool more = false;  // there is more already: look again without waiting
};

struct ReplyToolCall {
  std::string id;
  std::string name;
  std::string arguments;
};

/// A whole answer: the events joined. Calls that did not end whole are left out.
struct ChatReply {
  std::string reasoning;
  std::string content;
  std::vector<ReplyToolCall> toolCalls;
};

}  // namespace tandem::server
