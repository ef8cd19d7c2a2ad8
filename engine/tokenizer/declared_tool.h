// SPDX-License-Identifier: GPL-3.0-or-later
// The tools of a request, as far as reading a model's calls needs them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace tandem::tokenizer {

/// What the parser knows of a tool that the request declared: decides what may be recovered.
struct DeclaredTool {
  struct Property {
    std::string name;
    bool isString = false;  // its schema has "type": "string"
  };
  std::string name;
  std::vector<Property> properties;
  std::vector<std::string> required;
};

/// Reads the declared tools from a request's `tools` array. Kinds other than function are left out.
///
/// Fails   InvalidArgument when `toolsJson` is not an array of objects
Result<std::vector<DeclaredTool>> declaredTools(std::string_view toolsJson);

}  // namespace tandem::tokenizer
