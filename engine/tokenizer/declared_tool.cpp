// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/declared_tool.h"

#include <fmt/core.h>

#include "engine/tokenizer/json_value.h"

namespace tandem::tokenizer {

namespace {

/// What a schema leaves unsaid, or says in a way that we do not follow, stays empty: then less is
/// recovered, and nothing is refused.
DeclaredTool fromFunction(const JsonValue& function) {
  DeclaredTool tool;
  if (const JsonValue* name = function.find("name")) {
    tool.name = name->text();
  }
  const JsonValue* schema = function.find("parameters");
  if (schema == nullptr) {
    return tool;
  }
  if (const JsonValue* properties = schema->find("properties")) {
    for (const JsonValue::Member& property : properties->members()) {
      const JsonValue* type = property.second.find("type");
      tool.properties.push_back({property.first, type != nullptr && type->text() == "string"});
    }
  }
  if (const JsonValue* required = schema->find("required")) {
    for (const JsonValue& name : required->items()) {
      tool.required.push_back(name.text());
    }
  }
  return tool;
}

}  // namespace

Result<std::vector<DeclaredTool>> declaredTools(std::string_view toolsJson) {
  const Result<JsonValue> tools = parseJson(toolsJson);
  if (!tools) {
    return tools.error().within("tools");
  }
  if (!tools->isArray()) {
    return Error{ErrorCode::InvalidArgument, "tools is not an array", ""};
  }
  std::vector<DeclaredTool> declared;
  for (std::size_t i = 0; i < tools->items().size(); ++i) {
    const JsonValue& tool = tools->items()[i];
    if (!tool.isObject()) {
      return Error{ErrorCode::InvalidArgument, fmt::format("tools[{}] is not an object", i), ""};
    }
    if (const JsonValue* function = tool.find("function")) {
      declared.push_back(fromFunction(*function));
    }
  }
  return declared;
}

}  // namespace tandem::tokenizer
