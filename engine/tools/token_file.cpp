// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/token_file.h"

#include <fmt/core.h>

#include <limits>

#include <nlohmann/json.hpp>

#include "engine/base/whole_file.h"

namespace tandem::tools {

Result<std::vector<NamedTokens>> readTokenFile(const std::filesystem::path& file) {
  constexpr const char* kShape = R"(Give a file such as {"prompt": [0, 17, 4]}.)";
  Result<std::string> text = readWholeFile(file);
  if (!text) {
    return Error{text.error().code, text.error().message, kShape};
  }
  const auto json = nlohmann::ordered_json::parse(*text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    return Error{ErrorCode::InvalidArgument, file.string() + " is not a JSON object", kShape};
  }
  std::vector<NamedTokens> prompts;
  for (const auto& [name, ids] : json.items()) {
    if (!ids.is_array() || ids.empty()) {
      return Error{
          ErrorCode::InvalidArgument,
          fmt::format("{}: {} is not a list of token ids with at least one", file.string(), name),
          kShape};
    }
    std::vector<TokenId> tokens;
    for (const auto& id : ids) {
      if (!id.is_number_integer() || id.get<std::int64_t>() < std::numeric_limits<TokenId>::min() ||
          id.get<std::int64_t>() > std::numeric_limits<TokenId>::max()) {
        return Error{
            ErrorCode::InvalidArgument,
            fmt::format("{}: {} holds {}, which is no token id", file.string(), name, id.dump()),
            kShape};
      }
      tokens.push_back(id.get<TokenId>());
    }
    prompts.emplace_back(name, std::move(tokens));
  }
  return prompts;
}

}  // namespace tandem::tools
