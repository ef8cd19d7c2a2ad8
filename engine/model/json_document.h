// SPDX-License-Identifier: GPL-3.0-or-later
// JSON from files that others wrote: bounded nesting, no key twice.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "engine/base/result.h"

namespace tandem::model {

/// Parses an object. `origin` names it in errors.
///
/// Fails    DataCorrupt when the text is not a JSON object, nests deeper than any file of a
///          checkpoint does, or has a key twice in one object.
[[nodiscard]] Result<nlohmann::json> parseJsonObject(const std::string& text,
                                                     const std::string& origin);

/// The same from a file.
/// Fails    NotFound, PermissionDenied; as parseJsonObject.
[[nodiscard]] Result<nlohmann::json> readJsonObject(const std::filesystem::path& file);

}  // namespace tandem::model
