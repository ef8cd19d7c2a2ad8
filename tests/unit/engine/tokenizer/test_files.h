// SPDX-License-Identifier: GPL-3.0-or-later
// Where these tests find their files.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/token_id.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::tokenizer {

/// Made by make_fixture.py there, with a slow reference of its own.
inline std::filesystem::path fixtureFolder() {
  return std::filesystem::path(TANDEM_SOURCE_DIR) / "tests/fixtures/tokenizer";
}

/// Official data that may be read but not shipped; absent on most machines.
inline std::filesystem::path sharedData() {
  for (const char* path : {"../shared/data", "../../shared/data"}) {
    const std::filesystem::path folder = std::filesystem::path(TANDEM_SOURCE_DIR) / path;
    if (std::filesystem::exists(folder)) {
      return folder;
    }
  }
  return {};
}

inline std::string readFile(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::vector<TokenId> idsFrom(const JsonValue& array) {
  std::vector<TokenId> ids;
  for (const JsonValue& id : array.items()) {
    ids.push_back(std::stoi(id.text()));
  }
  return ids;
}

}  // namespace tandem::tokenizer
