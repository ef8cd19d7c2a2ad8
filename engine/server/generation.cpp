// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/generation.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "engine/server/random_id.h"
#include "engine/tokenizer/chat_markup.h"

namespace tandem::server {

namespace {

using tokenizer::EndOfOutput;
using tokenizer::OutputEvent;

/// Joins `event` to the one before it where both carry text of the same kind: one piece of the
/// engine gives one chunk per kind, however many tokens it holds.
void append(std::vector<ReplyEvent>& events, ReplyEvent event) {
  if (!events.empty() && events.back().index() == event.index()) {
    if (auto* text = std::get_if<ReasoningText>(&event)) {
      std::get<ReasoningText>(events.back()).text += text->text;
      return;
    }
    if (auto* text = std::get_if<ContentText>(&event)) {
      std::get<ContentText>(events.back()).text += text->text;
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
    const auto rest = std::span<const TokenId>(piece_->tokens).subspan(read_);
    const auto turn = rest.first(std::min(rest.size(), kTokensPerTurn));
    addTokens(turn, progress);
    read_ += turn.size();
    if (ended()) {
      cutShort(progress);
    } else if (turn.size() < rest.size()) {
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

void Generation::addTokens(std::span<const TokenId> tokens, ReplyProgress& progress) {
  for (const TokenId token : tokens) {
    if (ended()) {
      return;
    }
    // The token that closes the reasoning is markup and counts as neither.
    reasoning_ = reasoning_ && token != thinkEnd_;
    addEvents(parser_.push(detokenizer_.push(std::span(&token, 1))), progress);
    usage_.reasoningTokens += reasoning_ ? 1 : 0;
  }
}

void Generation::addEvents(std::vector<OutputEvent> events, ReplyProgress& progress) {
  for (OutputEvent& event : events) {
    if (ended()) {
      return;
    }
    reasoning_ = reasoning_ && event.kind == OutputEvent::Kind::Reasoning;
    switch (event.kind) {
      case OutputEvent::Kind::Reasoning:
        append(progress.events, ReasoningText{std::move(event.text)});
        break;
      case OutputEvent::Kind::Content:
        addContent(stops_.push(event.text), progress);
        break;
      case OutputEvent::Kind::ToolCallBegin:
        if (options_.callTools && event.index > 0 && !options_.parallelToolCalls) {
          callsEnded_ = true;
        } else if (options_.callTools) {
          addContent(stops_.flush(), progress);
          append(progress.events,
                 ToolCallBegin{event.index, randomId("call"), std::move(event.name)});
        }
        break;
      case OutputEvent::Kind::ToolCallDelta:
        if (options_.callTools) {
          append(progress.events, ToolCallArguments{event.index, std::move(event.text)});
        }
        break;
      case OutputEvent::Kind::ToolCallEnd:
        if (options_.callTools) {
          append(progress.events, ToolCallEnd{event.index});
        }
        break;
      case OutputEvent::Kind::ToolCallDropped:
        logger_.write(LogLevel::Warning,
                      "http",
                      options_.id,
                      fmt::format("tool call {} was not whole and is dropped", event.index));
        break;
      case OutputEvent::Kind::Malformed:
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

void Generation::addContent(const std::string& text, ReplyProgress& progress) {
  if (!text.empty()) {
    append(progress.events, ContentText{text});
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
