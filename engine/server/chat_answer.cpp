// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/chat_answer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/server/chat_reply_codec.h"

namespace tandem::server {

namespace {

/// What both forms share: the generation and what the access log says of it.
class ChatAnswer : public LiveAnswer {
 public:
  explicit ChatAnswer(std::unique_ptr<Generation> generation)
      : generation_(std::move(generation)) {}

  [[nodiscard]] int readyFd() const override { return generation_->readyFd(); }
  [[nodiscard]] const std::string& id() const override { return generation_->id(); }
  [[nodiscard]] std::string summary() const override {
    return summaryOf(generation_->usage(), generation_->timings()) + outcome_;
  }

 protected:
  ReplyProgress look() {
    ReplyProgress progress = generation_->advance();
    if (progress.finish) {
      outcome_ = progress.finish->error ? ", failed: " + progress.finish->error->message
                                        : ", " + progress.finish->reason;
    }
    return progress;
  }

 private:
  std::unique_ptr<Generation> generation_;
  std::string outcome_;
};

class StreamedAnswer final : public ChatAnswer {
 public:
  StreamedAnswer(std::unique_ptr<Generation> generation, ChunkWriter writer)
      : ChatAnswer(std::move(generation)),
        writer_(std::move(writer)) {}

  [[nodiscard]] bool streams() const override { return true; }

  Step advance() override {
    const ReplyProgress progress = look();
    Step step;
    // Not with the head: until there is something to say, comments keep the connection alive.
    if (!begun_ && (!progress.events.empty() || progress.finish)) {
      begun_ = true;
      step.bytes = writer_.role();
    }
    step.bytes += writer_.events(progress);
    step.more = progress.more;
    if (progress.finish) {
      const ReplyFinish& finish = *progress.finish;
      step.bytes += finish.error ? ChunkWriter::error(fromError(*finish.error))
                                 : writer_.finish(finish.reason, progress.usage, progress.timings);
      step.done = true;
    }
    return step;
  }

 private:
  ChunkWriter writer_;
  bool begun_ = false;
};

class WholeAnswer final : public ChatAnswer {
 public:
  WholeAnswer(std::unique_ptr<Generation> generation, ReplyHead head)
      : ChatAnswer(std::move(generation)),
        head_(std::move(head)) {}

  [[nodiscard]] bool streams() const override { return false; }

  Step advance() override {
    ReplyProgress progress = look();
    for (ReplyEvent& event : progress.events) {
      std::visit([this](auto& part) { add(part); }, event);
    }
    Step step;
    step.more = progress.more;
    if (progress.finish) {
      step.done = true;
      step.response = progress.finish->error ? errorResponse(fromError(*progress.finish->error))
                                             : jsonResponse(completion(progress));
    }
    return step;
  }

 private:
  void add(ReasoningText& part) { reply_.reasoning += part.text; }
  void add(ContentText& part) { reply_.content += part.text; }
  void add(ToolCallBegin& part) {
    open_ = ReplyToolCall{std::move(part.id), std::move(part.name), ""};
  }
  void add(ToolCallArguments& part) { open_.arguments += part.text; }
  void add(ToolCallEnd& /*part*/) { reply_.toolCalls.push_back(std::exchange(open_, {})); }

  std::string completion(const ReplyProgress& progress) {
    return completionJson(head_, reply_, progress.finish->reason, progress.usage, progress.timings);
  }

  ReplyHead head_;
  ChatReply reply_;
  ReplyToolCall open_;  // the model writes one call after the other
};

}  // namespace

std::unique_ptr<LiveAnswer> makeChatAnswer(const ChatRequest& request,
                                           ReplyHead head,
                                           std::unique_ptr<Generation> generation) {
  if (request.stream) {
    return std::make_unique<StreamedAnswer>(
        std::move(generation),
        ChunkWriter(std::move(head), request.includeUsage, request.timingsPerToken));
  }
  return std::make_unique<WholeAnswer>(std::move(generation), std::move(head));
}

}  // namespace tandem::server
