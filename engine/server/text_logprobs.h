// SPDX-License-Identifier: GPL-3.0-or-later
// Which tokens' logprobs belong to a piece of an answer's text.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "engine/server/chat_reply.h"

namespace tandem::server {

/// Follows tokens on their way to a client. Their text is held back twice: by the output parser,
/// until it is known to be reasoning, content or markup, and by the stop matcher, until it is known
/// not to begin a stop string. The logprobs wait with the text, so that a client gets those of the
/// text it gets and no others.
class TextLogprobs {
 public:
  /// The newest token; its `bytes` bytes of text have gone to the parser.
  void add(ReplyLogprob logprob, std::size_t bytes);

  /// The parser made reasoning of what it held: these are its tokens.
  [[nodiscard]] std::vector<ReplyLogprob> takeReasoning();

  /// The parser made `bytes` bytes of content of what it held.
  void becameContent(std::size_t bytes);

  /// The parser made markup of what it held; nobody gets to see those tokens.
  void becameMarkup() { unread_.clear(); }

  /// The stop matcher let further `bytes` bytes of content out: these are its tokens. One that is
  /// let out in part counts.
  [[nodiscard]] std::vector<ReplyLogprob> letOut(std::size_t bytes);

 private:
  struct Unread {
    ReplyLogprob logprob;
    std::size_t bytes = 0;
  };
  struct Content {
    ReplyLogprob logprob;
    std::size_t from = 0;  // byte of the content
  };

  std::vector<Unread> unread_;
  std::deque<Content> content_;
  std::size_t contentBytes_ = 0;  // that the parser made
  std::size_t letOutBytes_ = 0;
};

}  // namespace tandem::server
