// SPDX-License-Identifier: GPL-3.0-or-later
// The index of a token in the vocabulary.
#pragma once

#include <cstdint>

namespace tandem {

using TokenId = std::int32_t;

}  // namespace tandem
