// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/generation.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "engine/server/random_id.h"
#include "engine/tokenizer/chat_markup.h"

namespace tandem::server {

namespace {

using tokenizer::EndOfOutput;
using tokenizer::OutputEvent;

template <typename Text>
void join(Text& text, Text more) {
  text.text += more.text;
  std::move(more.logprobs.begin(), more.logprobs.end(), std::back_inserter(text.logprobs));
}

/// Joins `event` to the one before it where both carry text of the same kind: one piece of the
/// engine gives one chunk per kind, however many tokens it holds.
void append(std::vector<ReplyEvent>& events, ReplyEvent event) {
  if (!events.empty() && events.back().index() == event.index()) {
    if (auto* text = std::get_if<ReasoningText>(&event)) {
      join(std::get<ReasoningText>(events.back()), std::move(*text));
      return;
    }
    if (auto* text = std::get_if<ContentText>(&event)) {
      join(std::get<ContentText>(events.back()), std::move(*text));
      return;
    }
    auto* piece = std::get_if<ToolCallArguments>(&event);
    auto* before = std::get_if<ToolCallArguments>(&events.back());
    if (piece != nullptr && before->index == piece->index) {
      before->text += piece->text;
      return;
    }
  }
  events.push_back(std::move(event));
}

}  // namespace

Generation::Generation(api::EngineClient& engine,
                       const tokenizer::Tokenizer& tokenizer,
                       Logger& logger,
                       std::shared_ptr<api::OutputQueue> queue,
                       GenerationOptions options)
    : engine_(engine),
      tokenizer_(tokenizer),
      logger_(logger),
      queue_(std::move(queue)),
      options_(std::move(options)),
      thinkEnd_(tokenizer.tokenId(tokenizer::kThinkEnd)),
      detokenizer_(tokenizer, stopTokensOf(tokenizer)),
      reasoning_(options_.parser.thinking),
      parser_(std::move(options_.parser)),
      stops_(std::move(options_.stop)) {}

Generation::~Generation() {
  if (!finished_) {
    engine_.cancel(options_.id);
  }
}

ReplyProgress Generation::advance() {
  ReplyProgress progress;
  if (!finished_ && !piece_) {
    piece_ = queue_->pop();
    read_ = 0;
  }
  if (piece_) {
    usage_.tokens = piece_->usage;
    timings_ = piece_->timings;
    if (!options_.forcedPrefix.empty()) {
      addEvents(parser_.push(std::exchange(options_.forcedPrefix, "")), progress);
    }
    const std::size_t turn = std::min(piece_->tokens.size() - read_, kTokensPerTurn);
    addTokens(read_, turn, progress);
    read_ += turn;
    if (ended()) {
      cutShort(progress);
    } else if (read_ < piece_->tokens.size()) {
      progress.more = true;
    } else {
      finish(*piece_, progress);
    }
    if (!progress.more) {
      piece_.reset();
    }
  }
  progress.usage = usage_;
  progress.timings = timings_;
  return progress;
}

/// Reads `count` tokens of the piece, beginning with the token `from`.
void Generation::addTokens(std::size_t from, std::size_t count, ReplyProgress& progress) {
  for (std::size_t i = from; i < from + count; ++i) {
    if (ended()) {
      return;
    }
    const TokenId token = piece_->tokens[i];
    // The token that closes the reasoning is markup and counts as neither.
    const bool closes = reasoning_ && token == thinkEnd_;
    reasoning_ = reasoning_ && !closes;
    if (i < piece_->logprobs.size() && !closes) {
      follow(token, piece_->logprobs[i]);
    }
    addEvents(parser_.push(detokenizer_.push(std::span(&token, 1))), progress);
    usage_.reasoningTokens += reasoning_ ? 1 : 0;
  }
}

void Generation::follow(TokenId token, const api::TokenLogprobs& logprobs) {
  const auto named = [this](TokenId id, double logprob) {
    return ReplyToken{std::string(tokenizer_.tokenBytes(id)), logprob};
  };
  ReplyLogprob reply{named(token, logprobs.logprob), {}};
  for (const api::TokenLogprob& other : logprobs.top) {
    reply.top.push_back(named(other.token, other.logprob));
  }
  const std::size_t bytes = reply.token.bytes.size();
  logprobs_.add(std::move(reply), bytes);
}

void Generation::addEvents(std::vector<OutputEvent> events, ReplyProgress& progress) {
  for (OutputEvent& event : events) {
    if (ended()) {
      return;
    }
    reasoning_ = reasoning_ && event.kind == OutputEvent::Kind::Reasoning;
    switch (event.kind) {
      case OutputEvent::Kind::Reasoning:
        append(progress.events, ReasoningText{std::move(event.text), logprobs_.takeReasoning()});
        break;
      case OutputEvent::Kind::Content:
        logprobs_.becameContent(event.text.size());
        addContent(stops_.push(event.text), progress);
        break;
      case OutputEvent::Kind::ToolCallBegin:
        logprobs_.becameMarkup();
        if (options_.callTools && event.index > 0 && !options_.parallelToolCalls) {
          callsEnded_ = true;
        } else if (options_.callTools) {
          addContent(stops_.flush(), progress);
          append(progress.events,
                 ToolCallBegin{event.index, randomId("call"), std::move(event.name)});
        }
        break;
      case OutputEvent::Kind::ToolCallDelta:
        logprobs_.becameMarkup();
        if (options_.callTools) {
          append(progress.events, ToolCallArguments{event.index, std::move(event.text)});
        }
        break;
      case OutputEvent::Kind::ToolCallEnd:
        logprobs_.becameMarkup();
        if (options_.callTools) {
          append(progress.events, ToolCallEnd{event.index});
        }
        break;
      case OutputEvent::Kind::ToolCallDropped:
        logprobs_.becameMarkup();
        logger_.write(LogLevel::Warning,
                      "http",
                      options_.id,
                      fmt::format("tool call {} was not whole and is dropped", event.index));
        break;
      case OutputEvent::Kind::Malformed:
        logprobs_.becameMarkup();
        // Its length only: what a model says is not for the log.
        logger_.write(
            LogLevel::Warning,
            "http",
            options_.id,
            fmt::format("{} bytes of broken tool-call markup are dropped", event.text.size()));
        break;
      case OutputEvent::Kind::Finish:
        progress.finish = ReplyFinish{std::move(event.text), {}};
        break;
    }
  }
}

void Generation::addContent(std::string text, ReplyProgress& progress) {
  if (!text.empty()) {
    std::vector<ReplyLogprob> logprobs = logprobs_.letOut(text.size());
    append(progress.events, ContentText{std::move(text), std::move(logprobs)});
  }
}

/// Lets out what the detokenizer, the parser and the stop matcher still hold.
void Generation::endText(EndOfOutput end, ReplyProgress& progress) {
  addEvents(parser_.push(detokenizer_.flush()), progress);
  addEvents(parser_.finish(end), progress);
  addContent(stops_.flush(), progress);
}

/// The answer is whole although the model would go on.
void Generation::cutShort(ReplyProgress& progress) {
  engine_.cancel(options_.id);
  finished_ = true;
  progress.finish = ReplyFinish{callsEnded_ ? "tool_calls" : "stop", {}};
}

void Generation::finish(const api::RequestOutput& piece, ReplyProgress& progress) {
  if (!piece.finish) {
    return;
  }
  finished_ = true;
  switch (*piece.finish) {
    case api::FinishReason::Stop:
    case api::FinishReason::Length: {
      const bool cut = *piece.finish == api::FinishReason::Length;
      endText(cut ? EndOfOutput::Length : EndOfOutput::Stop, progress);
      if (ended()) {  // the last held-back text completed a stop string
        progress.finish = ReplyFinish{"stop", {}};
      } else if (!progress.finish || !options_.callTools) {
        progress.finish = ReplyFinish{cut ? "length" : "stop", {}};
      }
      return;
    }
    case api::FinishReason::Cancelled:
      progress.finish = ReplyFinish{"",
                                    Error{ErrorCode::Unavailable,
                                          "the engine is stopping; the answer is not complete",
                                          "Send the request again when it is back."}};
      return;
    case api::FinishReason::Failed:
      progress.finish =
          ReplyFinish{"",
                      piece.error.value_or(
                          Error{ErrorCode::Internal, "the engine failed without saying why", ""})};
      return;
  }
}

std::vector<TokenId> stopTokensOf(const tokenizer::Tokenizer& tokenizer) {
  // A sound answer ends with the end of sentence; the others would only start gibberish.
  constexpr std::array kLiterals{tokenizer::kEndOfSentence,
                                 tokenizer::kBeginOfSentence,
                                 tokenizer::kPad,
                                 tokenizer::kUser};
  std::vector<TokenId> tokens;
  for (const std::string_view literal : kLiterals) {
    if (const std::optional<TokenId> token = tokenizer.tokenId(literal)) {
      tokens.push_back(*token);
    }
  }
  return tokens;
}

}  // namespace tandem::server
