// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/chat_answer.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "engine/server/chat_reply_codec.h"
#include "engine/server/ready_set.h"

namespace tandem::server {

namespace {

/// What both forms share: the choices, and what the access log says of them.
class ChatAnswer : public LiveAnswer {
 public:
  ChatAnswer(std::string id, std::vector<std::unique_ptr<Generation>> generations)
      : id_(std::move(id)),
        generations_(std::move(generations)),
        open_(generations_.size()) {}

  /// Needed before readyFd() when there are several choices.
  Result<void> watchAll() {
    Result<ReadySet> ready = ReadySet::create();
    if (!ready) {
      return ready.error();
    }
    ready_ = *std::move(ready);
    for (const std::unique_ptr<Generation>& generation : generations_) {
      if (Result<void> added = ready_->add(generation->readyFd()); !added) {
        return added;
      }
    }
    return {};
  }

  [[nodiscard]] int readyFd() const override {
    return ready_ ? ready_->fd() : generations_.front()->readyFd();
  }
  [[nodiscard]] const std::string& id() const override { return id_; }
  [[nodiscard]] std::string summary() const override {
    return summaryOf(usage(), timings()) + outcome_;
  }

  Step advance() final {
    Step step;
    for (std::size_t i = 0; i < generations_.size() && !step.done; ++i) {
      if (!open_.isOpen(i)) {
        continue;
      }
      ReplyProgress progress = generations_[i]->advance();
      const int index = static_cast<int>(i);
      add(index, progress, step);
      step.more = step.more || progress.more;
      if (progress.finish) {
        close(index, *progress.finish, step);
      }
    }
    return step;
  }

 protected:
  /// What is new of the choice `index`.
  virtual void add(int index, ReplyProgress& progress, Step& step) = 0;
  /// The choice `index` has ended; `last`: no other goes on.
  virtual void end(int index, const std::string& reason, bool last, Step& step) = 0;
  virtual void fail(const ApiError& error, Step& step) = 0;

  /// Of all choices: they share the prompt, and each has completion tokens of its own.
  [[nodiscard]] ReplyUsage usage() const {
    ReplyUsage sum = generations_.front()->usage();
    for (std::size_t i = 1; i < generations_.size(); ++i) {
      sum.tokens.completionTokens += generations_[i]->usage().tokens.completionTokens;
      sum.reasoningTokens += generations_[i]->usage().reasoningTokens;
    }
    sum.choices = static_cast<int>(generations_.size());
    return sum;
  }

  /// The wait and the prefill of the first choice; the decodes added up, so that a rate is that of
  /// one choice whether they ran side by side or one after the other.
  [[nodiscard]] api::RequestTimings timings() const {
    api::RequestTimings sum = generations_.front()->timings();
    for (std::size_t i = 1; i < generations_.size(); ++i) {
      sum.decode += generations_[i]->timings().decode;
    }
    return sum;
  }

 private:
  /// Which choices have not ended.
  class OpenChoices {
   public:
    explicit OpenChoices(std::size_t count)
        : open_(count, true),
          count_(count) {}
    [[nodiscard]] bool isOpen(std::size_t index) const { return open_[index]; }
    [[nodiscard]] bool none() const { return count_ == 0; }
    void close(std::size_t index) {
      open_[index] = false;
      --count_;
    }

   private:
    std::vector<bool> open_;
    std::size_t count_;
  };

  void close(int index, const ReplyFinish& finish, Step& step) {
    const auto i = static_cast<std::size_t>(index);
    open_.close(i);
    if (ready_) {
      // The engine may still say that it cancelled: nobody reads that, and it must wake nobody.
      ready_->remove(generations_[i]->readyFd());
    }
    if (finish.error) {
      outcome_ += ", failed: " + finish.error->message;
      fail(fromError(*finish.error), step);
      step.done = true;
      return;
    }
    outcome_ += ", " + finish.reason;
    end(index, finish.reason, open_.none(), step);
    step.done = open_.none();
  }

  std::string id_;
  std::vector<std::unique_ptr<Generation>> generations_;
  OpenChoices open_;
  std::optional<ReadySet> ready_;
  std::string outcome_;
};

class StreamedAnswer final : public ChatAnswer {
 public:
  StreamedAnswer(std::string id,
                 std::vector<std::unique_ptr<Generation>> generations,
                 ChunkWriter writer)
      : ChatAnswer(std::move(id), std::move(generations)),
        writer_(std::move(writer)) {}

  [[nodiscard]] bool streams() const override { return true; }

 protected:
  void add(int index, ReplyProgress& progress, Step& step) override {
    // Not with the head: until there is something to say, comments keep the connection alive.
    const bool speaks = !progress.events.empty() || progress.finish;
    if (speaks && begun_.insert(index).second) {
      step.bytes += writer_.role(index);
    }
    step.bytes += writer_.events(index, progress);
  }

  void end(int index, const std::string& reason, bool last, Step& step) override {
    step.bytes += last ? writer_.finish(index, reason, usage(), timings())
                       : writer_.finishChoice(index, reason);
  }

  void fail(const ApiError& error, Step& step) override { step.bytes += ChunkWriter::error(error); }

 private:
  ChunkWriter writer_;
  std::set<int> begun_;  // choices
};

class WholeAnswer final : public ChatAnswer {
 public:
  WholeAnswer(ReplyHead head, std::vector<std::unique_ptr<Generation>> generations, bool logprobs)
      : ChatAnswer(head.id, std::move(generations)),
        head_(std::move(head)),
        withLogprobs_(logprobs) {}

  [[nodiscard]] bool streams() const override { return false; }

 protected:
  void add(int index, ReplyProgress& progress, Step& /*step*/) override {
    Choice& choice = choiceAt(index);
    for (ReplyEvent& event : progress.events) {
      std::visit([&choice](auto& part) { choice.add(part); }, event);
    }
  }

  void end(int index, const std::string& reason, bool last, Step& step) override {
    choiceAt(index).reply.finishReason = reason;
    if (last) {
      std::vector<ChatReply> replies;
      for (Choice& choice : choices_) {
        replies.push_back(std::move(choice.reply));
        replies.back().withLogprobs = withLogprobs_;
      }
      step.response = jsonResponse(completionJson(head_, replies, usage(), timings()));
    }
  }

  void fail(const ApiError& error, Step& step) override { step.response = errorResponse(error); }

 private:
  struct Choice {
    ChatReply reply;
    ReplyToolCall open;  // the model writes one call after the other

    void add(ReasoningText& part) {
      reply.reasoning += part.text;
      std::move(part.logprobs.begin(),
                part.logprobs.end(),
                std::back_inserter(reply.reasoningLogprobs));
    }
    void add(ContentText& part) {
      reply.content += part.text;
      std::move(part.logprobs.begin(),
                part.logprobs.end(),
                std::back_inserter(reply.contentLogprobs));
    }
    void add(ToolCallBegin& part) {
      open = ReplyToolCall{std::move(part.id), std::move(part.name), ""};
    }
    void add(ToolCallArguments& part) { open.arguments += part.text; }
    void add(ToolCallEnd& /*part*/) { reply.toolCalls.push_back(std::exchange(open, {})); }
  };

  Choice& choiceAt(int index) {
    const auto i = static_cast<std::size_t>(index);
    choices_.resize(std::max(choices_.size(), i + 1));
    return choices_[i];
  }

  ReplyHead head_;
  bool withLogprobs_;
  std::vector<Choice> choices_;
};

}  // namespace

Result<std::unique_ptr<LiveAnswer>> makeChatAnswer(
    const ChatRequest& request,
    ReplyHead head,
    std::vector<std::unique_ptr<Generation>> generations) {
  const bool several = generations.size() > 1;
  std::unique_ptr<ChatAnswer> answer;
  if (request.stream) {
    std::string id = head.id;
    answer = std::make_unique<StreamedAnswer>(
        std::move(id),
        std::move(generations),
        ChunkWriter(std::move(head), request.includeUsage, request.timingsPerToken));
  } else {
    answer = std::make_unique<WholeAnswer>(std::move(head),
                                           std::move(generations),
                                           request.sampling.logprobs);
  }
  if (several) {
    if (Result<void> watched = answer->watchAll(); !watched) {
      return watched.error();
    }
  }
  return std::unique_ptr<LiveAnswer>(std::move(answer));
}

}  // namespace tandem::server
