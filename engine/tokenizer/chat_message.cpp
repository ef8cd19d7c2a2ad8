// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/chat_message.h"

namespace tandem::tokenizer {

std::optional<ChatDialect> chatDialectFromName(const std::string& name) {
  if (name == "v4-flash") {
    return ChatDialect::V4Flash;
  }
  if (name == "v4-flash-0731") {
    return ChatDialect::V4Flash0731;
  }
  return std::nullopt;
}

}  // namespace tandem::tokenizer
