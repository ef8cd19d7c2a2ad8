// SPDX-License-Identifier: GPL-3.0-or-later
// One generation, from the engine's tokens to the parts of an answer.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/api/engine_client.h"
#include "engine/base/log.h"
#include "engine/server/chat_reply.h"
#include "engine/server/stop_matcher.h"
#include "engine/server/text_logprobs.h"
#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/output_parser.h"

namespace tandem::server {

/// How the text of one generation is to be read.
struct GenerationOptions {
  std::string id;
  tokenizer::OutputParserOptions parser;
  std::string forcedPrefix;  // text the prompt already ends with, but that belongs to the answer
  std::vector<std::string> stop;
  bool callTools = true;          // false: calls are swallowed
  bool parallelToolCalls = true;  // false: the answer ends after the first call
};

/// Owns the request until it has finished: destroying it earlier cancels the request, which frees
/// the engine at its next step. Used by one thread at a time.
class Generation {
 public:
  /// `engine`, `tokenizer` and `logger` must outlive it.
  Generation(api::EngineClient& engine,
             const tokenizer::Tokenizer& tokenizer,
             Logger& logger,
             std::shared_ptr<api::OutputQueue> queue,
             GenerationOptions options);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  [[nodiscard]] int readyFd() const { return queue_->readyFd(); }
  [[nodiscard]] const std::string& id() const { return options_.id; }

  /// Reads at most this many tokens in one advance(): what piled up while a client was slow must
  /// not keep the thread from the others.
  static constexpr std::size_t kTokensPerTurn = 512;

  /// What the engine has given since the last call. Never blocks; gives nothing after `finish`.
  ReplyProgress advance();

  [[nodiscard]] const ReplyUsage& usage() const { return usage_; }
  [[nodiscard]] const api::RequestTimings& timings() const { return timings_; }

 private:
  void addTokens(std::size_t from, std::size_t count, ReplyProgress& progress);
  void addEvents(std::vector<tokenizer::OutputEvent> events, ReplyProgress& progress);
  void addContent(std::string text, ReplyProgress& progress);
  void follow(TokenId token, const api::TokenLogprobs& logprobs);
  void endText(tokenizer::EndOfOutput end, ReplyProgress& progress);
  void cutShort(ReplyProgress& progress);
  void finish(const api::RequestOutput& piece, ReplyProgress& progress);
  [[nodiscard]] bool ended() const { return stops_.matched() || callsEnded_; }

  api::EngineClient& engine_;
  const tokenizer::Tokenizer& tokenizer_;
  Logger& logger_;
  std::shared_ptr<api::OutputQueue> queue_;
  GenerationOptions options_;
  std::optional<TokenId> thinkEnd_;
  tokenizer::Detokenizer detokenizer_;
  bool reasoning_;  // tokens still belong to the reasoning
  tokenizer::OutputParser parser_;
  StopMatcher stops_;
  TextLogprobs logprobs_;                    // stays empty unless the engine gives some
  std::optional<api::RequestOutput> piece_;  // the engine's newest, until its tokens are read
  std::size_t read_ = 0;                     // of piece_->tokens
  ReplyUsage usage_;
  api::RequestTimings timings_;
  bool callsEnded_ = false;  // no further call is wanted
  bool finished_ = false;
};

/// The tokens that give no text and end an answer: end and begin of sentence, padding, a user turn.
[[nodiscard]] std::vector<TokenId> stopTokensOf(const tokenizer::Tokenizer& tokenizer);

}  // namespace tandem::server
