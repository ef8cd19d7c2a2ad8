// SPDX-License-Identifier: GPL-3.0-or-later
// The prompts of score and generate: a JSON object of named token lists.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"

namespace tandem::tools {

using NamedTokens = std::pair<std::string, std::vector<TokenId>>;

/// Reads {"name": [ids…], …} in the order of the file.
/// Fails    NotFound; InvalidArgument naming the entry that is no list of integers, or is empty.
[[nodiscard]] Result<std::vector<NamedTokens>> readTokenFile(const std::filesystem::path& file);

}  // namespace tandem::tools
