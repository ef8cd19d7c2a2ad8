// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/server/chat_request_codec.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "engine/server/json_field.h"
#include "engine/server/sampling_codec.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::server {

namespace {

using tokenizer::ChatMessage;
using tokenizer::ChatToolCall;
using tokenizer::JsonValue;
using tokenizer::ReasoningEffort;
using tokenizer::ThinkingMode;

constexpr std::size_t kMaxTools = 512;
constexpr std::size_t kMaxStops = 16;
constexpr int kMaxChoices = 8;

/// Text of a content field: a string, or a list of text parts joined by an empty line, as the
/// official encoder joins them.
std::string contentText(const JsonField& content) {
  if (content.isString()) {
    return content.string();
  }
  if (!content.isArray()) {
    content.fail("expected a string or a list of parts");
    return "";
  }
  std::string text;
  bool first = true;
  for (const JsonField& part : content.items()) {
    const JsonField type = part["type"];
    const std::string kind = part.isObject() ? type.stringOr("text") : "";
    if (!part.isObject()) {
      part.fail("expected a part like {\"type\": \"text\", \"text\": …}");
    } else if (kind == "text" || kind == "input_text" || kind == "output_text") {
      text += first ? "" : "\n\n";
      text += part["text"].string();
      first = false;
    } else if (kind == "refusal") {
      text += first ? "" : "\n\n";
      text += part["refusal"].string();
      first = false;
    } else {
      type.fail(fmt::format("this model reads text only, not {}", kind));
    }
  }
  return text;
}

ChatToolCall readToolCall(const JsonField& field) {
  (void)field.object();
  const JsonField function = field["function"];
  ChatToolCall call;
  call.id = field["id"].stringOr("");
  call.name = function["name"].string();
  const JsonField arguments = function["arguments"];
  // OpenAI sends the object as text; some clients send the object itself.
  call.argumentsJson =
      arguments.isObject() ? tokenizer::pythonJson(arguments.object()) : arguments.stringOr("{}");
  if (call.argumentsJson.empty()) {
    call.argumentsJson = "{}";
  }
  return call;
}

void readAssistant(const JsonField& field, ChatMessage& message) {
  const JsonField calls = field["tool_calls"];
  if (calls.present()) {
    for (const JsonField& call : calls.items()) {
      message.toolCalls.push_back(readToolCall(call));
    }
  }
  // Servers differ in the name; clients send back the one that they were given.
  const JsonField reasoning =
      field["reasoning_content"].present() ? field["reasoning_content"] : field["reasoning"];
  if (reasoning.isString()) {
    message.reasoningContent = reasoning.string();
  }
  message.openEnd = field["prefix"].booleanOr(false);
}

ChatMessage readMessage(const JsonField& field) {
  static constexpr std::array<std::string_view, 6> kRoles{"system",
                                                          "developer",
                                                          "user",
                                                          "assistant",
                                                          "tool",
                                                          "latest_reminder"};
  ChatMessage message;
  (void)field.object();
  message.role = field["role"].string();
  if (std::find(kRoles.begin(), kRoles.end(), message.role) == kRoles.end()) {
    field["role"].fail(fmt::format(
        "\"{}\" is not a role; the roles are system, developer, user, assistant and tool",
        message.role));
  }
  // The checkpoint's own "developer" role counts as a user turn; clients mean the system.
  if (message.role == "developer") {
    message.role = "system";
  }
  if (message.role == "assistant") {
    readAssistant(field, message);
  }
  if (message.role == "tool") {
    message.toolCallId = field["tool_call_id"].stringOr("");
  }
  const JsonField content = field["content"];
  if (content.present() || message.role != "assistant") {
    message.content = contentText(content);
  }
  return message;
}

void readMessages(const JsonField& body, ChatRequest& request) {
  const JsonField messages = body["messages"];
  const std::vector<JsonField> items = messages.items();
  if (messages.isArray() && items.empty()) {
    messages.fail("expected at least one message");
  }
  for (const JsonField& item : items) {
    request.conversation.messages.push_back(readMessage(item));
  }
  if (request.conversation.messages.empty()) {
    return;
  }
  ChatMessage& last = request.conversation.messages.back();
  if (last.role == "assistant") {
    last.openEnd = last.openEnd || body["continue_final_message"].booleanOr(false);
    if (!last.openEnd) {
      items.back().fail(
          "the last message is the assistant's own; end with a user or tool message, or set its "
          "\"prefix\" to true to have it continued");
    }
  }
  for (std::size_t i = 0; i + 1 < items.size(); ++i) {
    if (request.conversation.messages[i].openEnd) {
      items[i]["prefix"].fail("only the last message can be continued");
    }
  }
}

/// A name that fits between the quotes of the model's own call syntax.
bool isToolName(const std::string& name) {
  return !name.empty() && name.find_first_of("\"<>\n\r\t") == std::string::npos;
}

void readTools(const JsonField& body, ChatRequest& request, std::vector<std::string>& names) {
  const JsonField tools = body["tools"];
  if (!tools.present()) {
    return;
  }
  const std::vector<JsonField> items = tools.items();
  if (items.size() > kMaxTools) {
    tools.fail(
        fmt::format("{} tools are more than the {} that are supported", items.size(), kMaxTools));
  }
  std::vector<JsonValue> functions;
  for (const JsonField& tool : items) {
    const JsonValue& object = tool.object();
    if (tool["type"].stringOr("function") != "function") {
      continue;  // web_search and other hosted kinds: agents list them without need
    }
    const JsonField function = tool["function"];
    (void)function.object();
    const std::string& name = function["name"].string();
    if (function["name"].isString() && !isToolName(name)) {
      function["name"].fail("expected a name without quotes, angle brackets and line breaks");
    }
    if (function["parameters"].present()) {
      (void)function["parameters"].object();
    }
    names.push_back(name);
    functions.push_back(object);
  }
  if (!functions.empty()) {
    request.conversation.toolsJson = tokenizer::pythonJson(JsonValue::array(std::move(functions)));
  }
}

void readToolChoice(const JsonField& body,
                    const std::vector<std::string>& names,
                    ChatRequest& request) {
  request.parallelToolCalls = body["parallel_tool_calls"].booleanOr(true);
  const JsonField choice = body["tool_choice"];
  if (!choice.present()) {
    return;
  }
  if (choice.isObject()) {
    const JsonField name = choice["function"]["name"];
    if (choice["type"].stringOr("function") != "function") {
      choice["type"].fail("only \"function\" is supported");
    }
    request.toolChoice = {ToolChoiceKind::Named, name.string()};
    if (std::find(names.begin(), names.end(), request.toolChoice.name) == names.end()) {
      name.fail(fmt::format("\"{}\" is not among the tools", request.toolChoice.name));
    }
    return;
  }
  const std::string& kind = choice.string();
  if (kind == "none") {
    request.toolChoice.kind = ToolChoiceKind::None;
  } else if (kind == "required") {
    request.toolChoice.kind = ToolChoiceKind::Required;
    if (names.empty()) {
      choice.fail("\"required\" needs tools to choose from");
    }
  } else if (kind != "auto") {
    choice.fail("expected \"auto\", \"none\", \"required\" or a function");
  }
}

struct Effort {
  ThinkingMode thinking;
  ReasoningEffort level;
};

/// The hosted API's map of OpenAI's levels to its own three.
Effort readEffort(const JsonField& field) {
  const std::string& name = field.string();
  if (name == "none") {
    return {ThinkingMode::Chat, ReasoningEffort::None};
  }
  if (name == "minimal" || name == "low") {
    return {ThinkingMode::Thinking, ReasoningEffort::Low};
  }
  if (name == "medium" || name == "high" || name == "xhigh") {
    return {ThinkingMode::Thinking, ReasoningEffort::High};
  }
  if (name == "max" || name == "ultra") {
    return {ThinkingMode::Thinking, ReasoningEffort::Max};
  }
  field.fail("expected none, minimal, low, medium, high, xhigh, max or ultra");
  return {ThinkingMode::Chat, ReasoningEffort::None};
}

/// DeepSeek's `thinking`: {"type": "enabled" | "disabled" | "adaptive"}, or just true or false.
std::optional<bool> readThinkingField(const JsonField& field) {
  if (!field.present()) {
    return std::nullopt;
  }
  if (field.isBool()) {
    return field.boolean();
  }
  (void)field.object();
  const JsonField type = field["type"];
  if (!type.present()) {
    return std::nullopt;
  }
  const std::string& name = type.string();
  if (type.isString() && name != "enabled" && name != "disabled" && name != "adaptive") {
    type.fail("expected enabled, disabled or adaptive");
  }
  return name != "disabled";
}

std::optional<bool> readSwitch(const JsonField& field) {
  return field.present() ? std::optional(field.boolean()) : std::nullopt;
}

std::optional<bool> thinkingOfModel(const std::string& model) {
  if (model == "deepseek-reasoner") {
    return true;
  }
  if (model == "deepseek-chat") {
    return false;
  }
  return std::nullopt;
}

/// Clients know five ways to ask for thinking; the most explicit one that is there wins.
void readThinking(const JsonField& body, bool defaultThinking, ChatRequest& request) {
  const JsonField kwargs = body["chat_template_kwargs"];
  const JsonField reasoning = body["reasoning"];
  std::optional<Effort> effort;
  for (const JsonField& field :
       {body["reasoning_effort"], reasoning["effort"], kwargs["reasoning_effort"]}) {
    if (field.present() && !effort) {
      effort = readEffort(field);
    }
  }
  bool thinking = defaultThinking;
  for (const std::optional<bool>& wish :
       {readThinkingField(body["thinking"]),
        readSwitch(kwargs["thinking"]),
        readSwitch(kwargs["enable_thinking"]),
        readSwitch(body["think"]),
        readSwitch(reasoning["enabled"]),
        effort ? std::optional(effort->thinking == ThinkingMode::Thinking) : std::nullopt,
        thinkingOfModel(request.model)}) {
    if (wish) {
      thinking = *wish;
      break;
    }
  }
  request.conversation.thinking = thinking ? ThinkingMode::Thinking : ThinkingMode::Chat;
  request.conversation.effort = effort ? effort->level : ReasoningEffort::None;
}

void readStop(const JsonField& body, ChatRequest& request) {
  const JsonField stop = body["stop"];
  if (!stop.present()) {
    return;
  }
  if (stop.isString()) {
    request.stop.push_back(stop.string());
  } else if (stop.isArray()) {
    for (const JsonField& item : stop.items()) {
      request.stop.push_back(item.string());
      if (item.isString() && item.string().empty()) {
        item.fail("expected a string that is not empty");
      }
    }
  } else {
    stop.fail("expected a string or a list of strings");
  }
  if (request.stop.size() > kMaxStops) {
    stop.fail(fmt::format("{} strings are more than the {} that are supported",
                          request.stop.size(),
                          kMaxStops));
  }
}

void readStreaming(const JsonField& body, ChatRequest& request) {
  request.stream = body["stream"].booleanOr(false);
  request.includeUsage = body["stream_options"]["include_usage"].booleanOr(false);
  request.timingsPerToken = body["timings_per_token"].booleanOr(false);
}

/// Fields that would change the answer: better refused than silently left out.
void refuseUnsupported(const JsonField& body) {
  const JsonField format = body["response_format"];
  if (format.present() && format["type"].string() != "text") {
    format.fail("only {\"type\": \"text\"} is supported yet");
  }
  for (const char* name : {"functions", "function_call"}) {
    if (body[name].present()) {
      body[name].fail("is the old form; use tools and tool_choice");
    }
  }
}

}  // namespace

ApiResult<ChatRequest> parseChatRequest(std::string_view body, bool defaultThinking) {
  Result<JsonValue> document = tokenizer::parseJson(body);
  if (!document) {
    return invalidRequest("the body is not usable JSON: " + document.error().text());
  }
  std::optional<ApiError> problem;
  const JsonField fields(*document, problem);
  ChatRequest request;
  std::vector<std::string> toolNames;
  (void)fields.object();
  request.model = fields["model"].stringOr("");
  readMessages(fields, request);
  readTools(fields, request, toolNames);
  readToolChoice(fields, toolNames, request);
  readThinking(fields, defaultThinking, request);
  request.sampling = readSampling(fields);
  readChatLogprobs(fields, request.sampling);
  request.thinkingTokens = readThinkingBudget(fields);
  if (const JsonField n = fields["n"]; n.present()) {
    request.choices = static_cast<int>(n.integer(1, kMaxChoices));
  }
  readStop(fields, request);
  readStreaming(fields, request);
  refuseUnsupported(fields);
  if (problem) {
    return std::move(*problem);
  }
  return request;
}

}  // namespace tandem::server
