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

/// A token and how likely the model found it.
struct ReplyToken {
  std::string bytes;  // perhaps a part of a character
  double logprob = 0;
};

/// A token of the text, and the likeliest tokens in its place.
struct ReplyLogprob {
  ReplyToken token;
  std::vector<ReplyToken> top;
};

struct ReasoningText {
  std::string text;
  std::vector<ReplyLogprob> logprobs = {};  // of the tokens that made the text, if asked for
};
struct ContentText {
  std::string text;
  std::vector<ReplyLogprob> logprobs = {};
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

/// Of one choice, or of all: then the prompt counts once and the completions are added up.
struct ReplyUsage {
  api::RequestUsage tokens;
  std::int64_t reasoningTokens = 0;  // of tokens.completionTokens
  int choices = 1;
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

/// One choice of a whole answer: the events joined. Calls that did not end whole are left out.
struct ChatReply {
  std::string reasoning;
  std::string content;
  std::vector<ReplyToolCall> toolCalls;
  std::string finishReason;

  bool withLogprobs = false;  // asked for
  std::vector<ReplyLogprob> reasoningLogprobs;
  std::vector<ReplyLogprob> contentLogprobs;
};

}  // namespace tandem::server
