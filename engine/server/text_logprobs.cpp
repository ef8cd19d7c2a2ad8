// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/text_logprobs.h"

#include <algorithm>
#include <utility>

namespace tandem::server {

void TextLogprobs::add(ReplyLogprob logprob, std::size_t bytes) {
  unread_.push_back({std::move(logprob), bytes});
}

std::vector<ReplyLogprob> TextLogprobs::takeReasoning() {
  std::vector<ReplyLogprob> taken;
  for (Unread& unread : unread_) {
    taken.push_back(std::move(unread.logprob));
  }
  unread_.clear();
  return taken;
}

void TextLogprobs::becameContent(std::size_t bytes) {
  std::size_t from = contentBytes_;
  contentBytes_ += bytes;
  for (Unread& unread : unread_) {
    // Text that the parser took away, or goes on holding, may leave a token none of the content.
    content_.push_back(
        {std::move(unread.logprob), std::min(from, std::max<std::size_t>(contentBytes_, 1) - 1)});
    from += unread.bytes;
  }
  unread_.clear();
}

std::vector<ReplyLogprob> TextLogprobs::letOut(std::size_t bytes) {
  letOutBytes_ += bytes;
  std::vector<ReplyLogprob> out;
  while (!content_.empty() && content_.front().from < letOutBytes_) {
    out.push_back(std::move(content_.front().logprob));
    content_.pop_front();
  }
  return out;
}

}  // namespace tandem::server
