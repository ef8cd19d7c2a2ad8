// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/chat_json.h"

#include <fmt/core.h>

#include <string>

namespace tandem::tokenizer {

namespace {

Error wrongType(const std::string& path, const char* expected) {
  return Error{ErrorCode::InvalidArgument, fmt::format("{}: expected {}", path, expected), ""};
}

bool isAbsent(const JsonValue* value) {
  return value == nullptr || value->kind() == JsonValue::Kind::Null;
}

/// Puts a string member into `out`; absent and null leave it alone.
Result<void> readString(const JsonValue& object,
                        std::string_view key,
                        const std::string& path,
                        std::string& out) {
  const JsonValue* value = object.find(key);
  if (isAbsent(value)) {
    return {};
  }
  if (!value->isString()) {
    return wrongType(fmt::format("{}.{}", path, key), "a string");
  }
  out = value->text();
  return {};
}

Result<void> readBoolean(const JsonValue& object,
                         std::string_view key,
                         const std::string& path,
                         bool& out) {
  const JsonValue* value = object.find(key);
  if (isAbsent(value)) {
    return {};
  }
  if (value->kind() != JsonValue::Kind::Boolean) {
    return wrongType(path + std::string(key), "true or false");
  }
  out = value->isTrue();
  return {};
}

/// The source text of a member that the encoder parses itself; empty containers count as absent.
std::string sourceOf(const JsonValue* value) {
  const bool isEmpty = isAbsent(value) || ((value->isArray() || value->isObject()) &&
                                           value->items().empty() && value->members().empty());
  return isEmpty ? std::string() : pythonJson(*value);
}

Result<std::string> contentFromJson(const JsonValue* content, const std::string& path) {
  if (isAbsent(content)) {
    return std::string();
  }
  if (content->isString()) {
    return content->text();
  }
  if (!content->isArray()) {
    return wrongType(path, "a string or a list of parts");
  }
  std::string joined;
  for (std::size_t i = 0; i < content->items().size(); ++i) {
    const JsonValue& part = content->items()[i];
    const std::string partPath = fmt::format("{}[{}]", path, i);
    const JsonValue* type = part.find("type");
    if (type == nullptr || !type->isString()) {
      return wrongType(partPath + ".type", "a string");
    }
    std::string text = fmt::format("[Unsupported {}]", type->text());
    if (type->text() == "text") {
      text.clear();
      if (const Result<void> read = readString(part, "text", partPath, text); !read) {
        return read.error();
      }
    }
    joined += (i == 0 ? "" : "\n\n") + text;
  }
  return joined;
}

Result<ChatToolCall> toolCallFromJson(const JsonValue& json, const std::string& path) {
  const JsonValue* function = json.find("function");
  if (function == nullptr || !function->isObject()) {
    return wrongType(path + ".function", "an object");
  }
  ChatToolCall call;
  if (const Result<void> read = readString(json, "id", path, call.id); !read) {
    return read.error();
  }
  if (const Result<void> read = readString(*function, "name", path + ".function", call.name);
      !read) {
    return read.error();
  }
  if (const JsonValue* arguments = function->find("arguments"); !isAbsent(arguments)) {
    // Some clients send the object itself instead of its text.
    call.argumentsJson = arguments->isString() ? arguments->text() : pythonJson(*arguments);
  }
  return call;
}

Result<ChatMessage> messageFromJson(const JsonValue& json, const std::string& path) {
  if (!json.isObject()) {
    return wrongType(path, "an object");
  }
  ChatMessage message;
  Result<std::string> content = contentFromJson(json.find("content"), path + ".content");
  if (!content) {
    return content.error();
  }
  message.content = std::move(*content);
  const std::pair<const char*, std::string*> strings[] = {
      {"role", &message.role},
      {"reasoning", &message.reasoningContent},
      {"reasoning_content", &message.reasoningContent},
      {"tool_call_id", &message.toolCallId},
      {"task", &message.task},
  };
  for (const auto& [key, field] : strings) {
    if (const Result<void> read = readString(json, key, path, *field); !read) {
      return read.error();
    }
  }
  for (const char* key : {"wo_eos", "prefix"}) {
    if (const Result<void> read = readBoolean(json, key, path + ".", message.openEnd); !read) {
      return read.error();
    }
  }
  if (const JsonValue* calls = json.find("tool_calls"); !isAbsent(calls)) {
    if (!calls->isArray()) {
      return wrongType(path + ".tool_calls", "an array");
    }
    for (std::size_t i = 0; i < calls->items().size(); ++i) {
      Result<ChatToolCall> call =
          toolCallFromJson(calls->items()[i], fmt::format("{}.tool_calls[{}]", path, i));
      if (!call) {
        return call.error();
      }
      message.toolCalls.push_back(std::move(*call));
    }
  }
  message.toolsJson = sourceOf(json.find("tools"));
  message.responseFormatJson = sourceOf(json.find("response_format"));
  return message;
}

}  // namespace

Result<std::vector<ChatMessage>> messagesFromJson(const JsonValue& messages) {
  if (!messages.isArray()) {
    return wrongType("messages", "an array");
  }
  std::vector<ChatMessage> read;
  for (std::size_t i = 0; i < messages.items().size(); ++i) {
    Result<ChatMessage> message =
        messageFromJson(messages.items()[i], fmt::format("messages[{}]", i));
    if (!message) {
      return message.error();
    }
    read.push_back(std::move(*message));
  }
  return read;
}

Result<ReasoningEffort> reasoningEffortFromName(std::string_view name) {
  if (name == "none") {
    return ReasoningEffort::None;
  }
  if (name == "low") {
    return ReasoningEffort::Low;
  }
  if (name == "high") {
    return ReasoningEffort::High;
  }
  if (name == "max") {
    return ReasoningEffort::Max;
  }
  return Error{ErrorCode::InvalidArgument,
               fmt::format("reasoning_effort is \"{}\"", name),
               "Use none, low, high or max"};
}

Result<Conversation> conversationFromJson(const JsonValue& request) {
  const JsonValue* messages = request.find("messages");
  if (messages == nullptr) {
    return wrongType("messages", "an array");
  }
  Conversation conversation;
  Result<std::vector<ChatMessage>> read = messagesFromJson(*messages);
  if (!read) {
    return read.error();
  }
  conversation.messages = std::move(*read);
  conversation.toolsJson = sourceOf(request.find("tools"));
  conversation.responseFormatJson = sourceOf(request.find("response_format"));
  bool thinking = false;
  if (const Result<void> done = readBoolean(request, "thinking", "", thinking); !done) {
    return done.error();
  }
  conversation.thinking = thinking ? ThinkingMode::Thinking : ThinkingMode::Chat;
  if (const Result<void> done =
          readBoolean(request, "drop_thinking", "", conversation.dropThinking);
      !done) {
    return done.error();
  }
  if (const JsonValue* effort = request.find("reasoning_effort"); !isAbsent(effort)) {
    const Result<ReasoningEffort> known = reasoningEffortFromName(effort->text());
    if (!known) {
      return known.error();
    }
    conversation.effort = *known;
  }
  return conversation;
}

}  // namespace tandem::tokenizer
