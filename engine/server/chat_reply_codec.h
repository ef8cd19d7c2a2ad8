// SPDX-License-Identifier: GPL-3.0-or-later
// Answers to a chat request as JSON, in the exact shapes of the OpenAI API. Pure.
#pragma once

#include <span>
#include <string>

#include "engine/server/api_error.h"
#include "engine/server/chat_reply.h"

namespace tandem::server {

/// A whole answer: an object "chat.completion".
///
/// choices  one or more; `content` is null in JSON when there are only tool calls
/// Source   `logprobs` is OpenAI's, with reasoning_content as DeepSeek has it; usage also carries
/// DeepSeek's prompt_cache_hit/miss_tokens; `timings` has the fields of
///          llama.cpp, where the rates count what the engine did: prompt tokens that were not
///          cached over the prefill, and the intervals between generated tokens over the decode
[[nodiscard]] std::string completionJson(const ReplyHead& head,
                                         std::span<const ChatReply> choices,
                                         const ReplyUsage& usage,
                                         const api::RequestTimings& timings);

/// Writes the events of one stream, each "data: {…}\n\n" with an object "chat.completion.chunk".
class ChunkWriter {
 public:
  /// includeUsage      the client asked for a usage chunk: all others then say "usage": null
  /// timingsPerToken   every chunk carries timings
  ChunkWriter(ReplyHead head, bool includeUsage, bool timingsPerToken);

  /// The first chunk of the choice `index`: who speaks.
  [[nodiscard]] std::string role(int index) const;

  /// One chunk per event of the choice `index`; nothing for ToolCallEnd.
  [[nodiscard]] std::string events(int index, const ReplyProgress& progress) const;

  /// The chunk with the finish_reason of a choice, while others go on.
  [[nodiscard]] std::string finishChoice(int index, const std::string& reason) const;

  /// The same for the last choice to end, then the usage chunk if asked for, and [DONE]. The last
  /// chunk carries the timings.
  [[nodiscard]] std::string finish(int index,
                                   const std::string& reason,
                                   const ReplyUsage& usage,
                                   const api::RequestTimings& timings) const;

  /// {"error":{…}} in mid-stream. No [DONE] follows: the answer is not complete.
  [[nodiscard]] static std::string error(const ApiError& error);

 private:
  ReplyHead head_;
  bool includeUsage_;
  bool timingsPerToken_;
};

/// "prompt 812 (768 cached), 96 tokens, ttft 0.213 s, 41.7 tok/s", for the access log.
[[nodiscard]] std::string summaryOf(const ReplyUsage& usage, const api::RequestTimings& timings);

}  // namespace tandem::server
