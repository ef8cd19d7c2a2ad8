// SPDX-License-Identifier: GPL-3.0-or-later
// Reading a whole file into memory.
#pragma once

#include <filesystem>
#include <string>

#include "engine/base/result.h"

namespace tandem {

/// The bytes of `file`, to its end. For small files: configuration, indexes, token lists.
///
/// Fails    NotFound, PermissionDenied; Unavailable when reading fails, as it does for a folder.
///          The message names the file and the reason; the remedy is the caller's to give.
[[nodiscard]] Result<std::string> readWholeFile(const std::filesystem::path& file);

}  // namespace tandem
