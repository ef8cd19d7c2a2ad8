// SPDX-License-Identifier: GPL-3.0-or-later
// A tokenizer that is known by heart: every byte is a token, and so is each chat marker.
#pragma once

#include "engine/tokenizer/tokenizer.h"

namespace tandem::testing {

/// Ids 0 to 2 are BOS, EOS and padding, byte b is 3 + b, the other markers follow. Streams cut
/// characters and markers anywhere, which is what tests want.
[[nodiscard]] tokenizer::Tokenizer makeByteTokenizer();

}  // namespace tandem::testing
