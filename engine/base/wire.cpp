// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/wire.h"

#include <fmt/core.h>

namespace tandem {

Result<void> ByteReader::finish(std::string_view name) const {
  const char* remedy = "Run the same version of Tandem on both nodes.";
  if (overran_) {
    return Error{ErrorCode::DataCorrupt, fmt::format("a {} message is cut short", name), remedy};
  }
  if (!rest_.empty()) {
    return Error{ErrorCode::DataCorrupt,
                 fmt::format("a {} message is {} bytes too long", name, rest_.size()),
                 remedy};
  }
  return {};
}

}  // namespace tandem
