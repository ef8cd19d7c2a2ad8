// SPDX-License-Identifier: GPL-3.0-or-later
// A conversation to the prompt text that a DeepSeek-V4 checkpoint was trained on.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/tokenizer/chat_message.h"
#include "engine/tokenizer/text_range.h"

namespace tandem::tokenizer {

struct ChatPrompt {
  std::string text;
  /// Where `text` holds what a client wrote: message texts, names, arguments, schemas. Pass it to
  /// Tokenizer::encode to keep added-token literals in there from being obeyed; or encode `text`
  /// with AddedTokens::Recognise, as the official encoder does.
  std::vector<TextRange> foreign;
};

/// Renders a conversation. Pure and thread-safe: the same input gives the same bytes.
///
/// Fails   InvalidArgument when there is no message, a role or task is unknown, tools is not an
///         array of objects, or a JSON text does not parse; the message's index is named
/// Source  the official encoding_dsv4 and its test vectors
class ChatEncoder {
 public:
  explicit ChatEncoder(ChatDialect dialect)
      : dialect_(dialect) {}

  [[nodiscard]] Result<ChatPrompt> encode(Conversation conversation) const;

 private:
  ChatDialect dialect_;
};

}  // namespace tandem::tokenizer
