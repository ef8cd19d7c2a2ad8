// SPDX-License-Identifier: GPL-3.0-or-later
// A stretch of a text, in bytes.
#pragma once

#include <cstddef>

namespace tandem::tokenizer {

struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;  // exclusive

  bool operator==(const TextRange&) const = default;
};

}  // namespace tandem::tokenizer
