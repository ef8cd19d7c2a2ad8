// SPDX-License-Identifier: GPL-3.0-or-later
// The printable alphabet in which byte-level vocabularies spell bytes.
#pragma once

#include <string>
#include <string_view>

namespace tandem::tokenizer {

/// The bytes that `spelled` stands for. Bytes 33–126, 161–172 and 174–255 are spelled as the code
/// point of the same number, the other 68, in order, as U+0100 onwards. Characters outside the
/// alphabet stand for their own UTF-8, which is how added tokens are listed in a vocabulary.
///
/// Source  GPT-2's bytes_to_unicode; Hugging Face's ByteLevel decoder
[[nodiscard]] std::string bytesFromAlphabet(std::string_view spelled);

}  // namespace tandem::tokenizer
