// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/chat_encoder.h"

#include <fmt/core.h>

#include <algorithm>

#include "engine/tokenizer/chat_markup.h"
#include "engine/tokenizer/chat_turns.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::tokenizer {

namespace {

// The checkpoints were trained on these very texts.
constexpr std::string_view kToolsBeforeSchemas = R"(## Tools

You have access to a set of tools to help answer the user's question. You can invoke tools by writing a "<｜DSML｜tool_calls>" block like the following:

<｜DSML｜tool_calls>
<｜DSML｜invoke name="$TOOL_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$TOOL_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜tool_calls>

String parameters should be specified as is and set `string="true"`. For all other types (numbers, booleans, arrays, objects), pass the value in JSON format and set `string="false"`.

If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside <think>...</think> BEFORE any tool calls or final response.

Otherwise, output directly after </think> with tool calls or final response.

### Available Tool Schemas

)";
constexpr std::string_view kToolsAfterSchemas = R"(

You MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.
)";
constexpr std::string_view kResponseFormat =
    "## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n";
constexpr std::string_view kMaximumEffort =
    R"(Reasoning Effort: Absolute maximum with no shortcuts permitted.
You MUST be very thorough in your thinking and comprehensively decompose the problem to resolve the root cause, rigorously stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.
Explicitly write out your entire deliberation process, documenting every intermediate step, considered alternative, and rejected hypothesis to ensure absolutely no assumption is left unchecked.

)";
constexpr std::string_view kBeyondMaximumEffort =
    R"(Reasoning Effort: Beyond maximum — exhaustive, relentless, and uncompromising.
You MUST reason with the utmost depth and rigor, leaving absolutely nothing to chance: exhaustively decompose the problem into its most fundamental components, trace every causal chain to its root, and resolve the underlying cause rather than any surface symptom.
Do not stop reasoning until you have independently verified the solution from multiple angles and are certain that no assumption remains unchecked and no error remains undiscovered.

)";

std::string_view effortPrefix(ChatDialect dialect, ReasoningEffort effort) {
  const bool is0731 = dialect == ChatDialect::V4Flash0731;
  switch (effort) {
    case ReasoningEffort::None:
    case ReasoningEffort::Low:
      return {};
    case ReasoningEffort::High:
      return is0731 ? kMaximumEffort : std::string_view();
    case ReasoningEffort::Max:
      return is0731 ? kBeyondMaximumEffort : kMaximumEffort;
  }
  return {};
}

/// The `function` objects of a tools array, in order. Tools of other kinds (web search, …) have no
/// place in the prompt.
Result<std::vector<JsonValue>> functionsOf(const std::string& toolsJson) {
  std::vector<JsonValue> functions;
  if (toolsJson.empty()) {
    return functions;
  }
  const Result<JsonValue> tools = parseJson(toolsJson);
  if (!tools) {
    return tools.error().within("tools");
  }
  if (!tools->isArray()) {
    return Error{ErrorCode::InvalidArgument, "tools is not an array", ""};
  }
  for (std::size_t i = 0; i < tools->items().size(); ++i) {
    const JsonValue& tool = tools->items()[i];
    if (!tool.isObject()) {
      return Error{ErrorCode::InvalidArgument, fmt::format("tools[{}] is not an object", i), ""};
    }
    const JsonValue* function = tool.find("function");
    if (function == nullptr) {
      continue;
    }
    if (!function->isObject()) {
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("tools[{}].function is not an object", i),
                   ""};
    }
    functions.push_back(*function);
  }
  return functions;
}

/// The request's own tools and response format belong to the first system message, behind its text.
Result<void> attachToSystemMessage(Conversation& conversation) {
  const Result<std::vector<JsonValue>> functions = functionsOf(conversation.toolsJson);
  if (!functions) {
    return functions.error();
  }
  const bool hasTools = !functions->empty();
  const bool hasFormat = !conversation.responseFormatJson.empty();
  if (!hasTools && !hasFormat) {
    return {};
  }
  std::vector<ChatMessage>& messages = conversation.messages;
  auto system = std::find_if(messages.begin(), messages.end(), [](const ChatMessage& message) {
    return message.role == "system";
  });
  if (system == messages.end()) {
    system = messages.insert(messages.begin(), ChatMessage{});
    system->role = "system";
  }
  if ((hasTools && !system->toolsJson.empty()) ||
      (hasFormat && !system->responseFormatJson.empty())) {
    return Error{ErrorCode::InvalidArgument,
                 "tools or response_format are given on the request and on its system message",
                 "Give each once"};
  }
  if (hasTools) {
    system->toolsJson = conversation.toolsJson;
  }
  if (hasFormat) {
    system->responseFormatJson = conversation.responseFormatJson;
  }
  return {};
}

/// Text with the client's part marked.
class PromptWriter {
 public:
  void markup(std::string_view text) { prompt_.text += text; }
  void foreign(std::string_view text) {
    if (!text.empty()) {
      prompt_.foreign.push_back({prompt_.text.size(), prompt_.text.size() + text.size()});
      prompt_.text += text;
    }
  }
  [[nodiscard]] ChatPrompt take() { return std::move(prompt_); }

 private:
  ChatPrompt prompt_;
};

/// Renders prepared turns, one after the other, with nothing between them.
class Renderer {
 public:
  Renderer(const std::vector<ChatTurn>& turns, ThinkingMode thinking, bool dropThinking)
      : turns_(turns),
        isThinking_(thinking == ThinkingMode::Thinking),
        dropThinking_(dropThinking),
        lastUser_(lastUserTurn(turns)) {}

  Result<ChatPrompt> render(std::string_view effortPrefix) {
    out_.markup(kBeginOfSentence);
    if (isThinking_) {
      out_.markup(effortPrefix);
    }
    for (std::size_t i = 0; i < turns_.size(); ++i) {
      if (const Result<void> done = renderTurn(i); !done) {
        return done.error();
      }
      renderTransition(i);
    }
    return out_.take();
  }

 private:
  Result<void> renderTurn(std::size_t index) {
    const ChatTurn& turn = turns_[index];
    switch (turn.role) {
      case ChatRole::System:
        out_.foreign(turn.message.content);
        return renderToolsAndFormat(turn.message);
      case ChatRole::Developer:
        out_.markup(kUser);
        out_.foreign(turn.message.content);
        return renderToolsAndFormat(turn.message);
      case ChatRole::User:
        out_.markup(kUser);
        renderBlocks(turn.blocks);
        return {};
      case ChatRole::Assistant:
        renderAssistant(index);
        return {};
      case ChatRole::LatestReminder:
        out_.markup(kLatestReminder);
        out_.foreign(turn.message.content);
        return {};
    }
    return {};
  }

  Result<void> renderToolsAndFormat(const ChatMessage& message) {
    const Result<std::vector<JsonValue>> functions = functionsOf(message.toolsJson);
    if (!functions) {
      return functions.error();
    }
    if (!functions->empty()) {
      out_.markup("\n\n");
      out_.markup(kToolsBeforeSchemas);
      std::string_view separator;
      for (const JsonValue& function : *functions) {
        out_.markup(separator);
        separator = "\n";
        out_.foreign(pythonJson(function));
      }
      out_.markup(kToolsAfterSchemas);
    }
    if (!message.responseFormatJson.empty()) {
      const Result<JsonValue> format = parseJson(message.responseFormatJson);
      if (!format) {
        return format.error().within("response_format");
      }
      out_.markup("\n\n");
      out_.markup(kResponseFormat);
      out_.foreign(pythonJson(*format));
    }
    return {};
  }

  void renderBlocks(const std::vector<TurnBlock>& blocks) {
    std::string_view separator;
    for (const TurnBlock& block : blocks) {
      out_.markup(separator);
      separator = "\n\n";
      const bool isResult = block.kind == TurnBlock::Kind::ToolResult;
      out_.markup(isResult ? "<tool_result>" : "");
      out_.foreign(block.text);
      out_.markup(isResult ? "</tool_result>" : "");
    }
  }

  void renderAssistant(std::size_t index) {
    const ChatMessage& message = turns_[index].message;
    // An answer to a task (a title, a query) is given without thinking.
    const bool answersTask = index > 0 && !turns_[index - 1].message.task.empty();
    const bool isCurrent = !dropThinking_ || static_cast<int>(index) > lastUser_;
    if (isThinking_ && isCurrent && !answersTask) {
      out_.foreign(message.reasoningContent);
      out_.markup(kThinkEnd);
    }
    out_.foreign(message.content);
    if (!message.toolCalls.empty()) {
      renderToolCalls(message.toolCalls);
    }
    if (!message.openEnd) {
      out_.markup(kEndOfSentence);
    }
  }

  void renderToolCalls(const std::vector<ChatToolCall>& calls) {
    out_.markup("\n\n");
    out_.markup(kToolCallsBegin);
    for (const ChatToolCall& call : calls) {
      out_.markup("\n");
      out_.markup(kInvokeBegin);
      out_.foreign(call.name);
      out_.markup("\">\n");
      renderArguments(call.argumentsJson);
      out_.markup("\n");
      out_.markup(kInvokeEnd);
    }
    out_.markup("\n");
    out_.markup(kToolCallsEnd);
  }

  void renderArguments(const std::string& argumentsJson) {
    const Result<JsonValue> arguments = parseJson(argumentsJson);
    if (!arguments || !arguments->isObject()) {
      // A client may hand back what the model once got wrong; the model sees it as it was.
      renderParameter("arguments", "true", argumentsJson);
      return;
    }
    std::string_view separator;
    for (const JsonValue::Member& member : arguments->members()) {
      out_.markup(separator);
      separator = "\n";
      const JsonValue& value = member.second;
      renderParameter(member.first,
                      value.isString() ? "true" : "false",
                      value.isString() ? value.text() : pythonJson(value));
    }
  }

  void renderParameter(std::string_view name, std::string_view isString, std::string_view value) {
    out_.markup(kParameterBegin);
    out_.foreign(name);
    out_.markup("\" string=\"");
    out_.markup(isString);
    out_.markup("\">");
    out_.foreign(value);
    out_.markup(kParameterEnd);
  }

  /// What asks for an answer stands behind a turn that is the last, or that an assistant's turn (or
  /// a reminder) follows.
  void renderTransition(std::size_t index) {
    if (index + 1 < turns_.size()) {
      const ChatRole next = turns_[index + 1].role;
      if (next != ChatRole::Assistant && next != ChatRole::LatestReminder) {
        return;
      }
    }
    const ChatTurn& turn = turns_[index];
    if (!turn.message.task.empty()) {
      if (turn.message.task == "action") {
        out_.markup(kAssistant);
        out_.markup(isThinking_ ? kThinkBegin : kThinkEnd);
      }
      out_.markup(taskToken(turn.message.task));
    } else if (turn.role == ChatRole::User || turn.role == ChatRole::Developer) {
      const bool isCurrent = !dropThinking_ || static_cast<int>(index) >= lastUser_;
      out_.markup(kAssistant);
      out_.markup(isThinking_ && isCurrent ? kThinkBegin : kThinkEnd);
    }
  }

  const std::vector<ChatTurn>& turns_;
  const bool isThinking_;
  const bool dropThinking_;
  const int lastUser_;
  PromptWriter out_;
};

bool hasTools(const ChatTurn& turn) {
  const Result<std::vector<JsonValue>> functions = functionsOf(turn.message.toolsJson);
  return functions && !functions->empty();
}

}  // namespace

Result<ChatPrompt> ChatEncoder::encode(Conversation conversation) const {
  if (conversation.messages.empty()) {
    return Error{ErrorCode::InvalidArgument, "messages is empty", "Send at least one message"};
  }
  if (const Result<void> attached = attachToSystemMessage(conversation); !attached) {
    return attached.error();
  }
  Result<std::vector<ChatTurn>> turns = turnsFromMessages(std::move(conversation.messages));
  if (!turns) {
    return turns.error();
  }
  // Calls only make sense beside the reasoning that led to them.
  const bool dropThinking =
      conversation.dropThinking && std::none_of(turns->begin(), turns->end(), hasTools);
  if (dropThinking && conversation.thinking == ThinkingMode::Thinking) {
    *turns = withoutPastReasoning(std::move(*turns));
  }
  return Renderer(*turns, conversation.thinking, dropThinking)
      .render(effortPrefix(dialect_, conversation.effort));
}

}  // namespace tandem::tokenizer
