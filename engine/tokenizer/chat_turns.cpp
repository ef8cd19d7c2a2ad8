// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/chat_turns.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

namespace tandem::tokenizer {

namespace {

std::optional<ChatRole> roleFromName(std::string_view name) {
  if (name == "system") {
    return ChatRole::System;
  }
  if (name == "developer") {
    return ChatRole::Developer;
  }
  if (name == "user" || name == "tool") {
    return ChatRole::User;
  }
  if (name == "assistant") {
    return ChatRole::Assistant;
  }
  if (name == "latest_reminder") {
    return ChatRole::LatestReminder;
  }
  return std::nullopt;
}

/// A text joins the user turn before it unless that turn asks for a task; a tool result always
/// does.
bool joins(const ChatMessage& message, const std::vector<ChatTurn>& turns) {
  return !turns.empty() && turns.back().role == ChatRole::User &&
         (message.role == "tool" || turns.back().message.task.empty());
}

using CallOrder = std::unordered_map<std::string, std::size_t>;

/// Tool results change places among themselves; texts stay where they are. A result of an unknown
/// call counts as one of the first call, as the official encoder has it.
void sortToolResults(std::vector<TurnBlock>& blocks, const CallOrder& callOrder) {
  std::vector<TurnBlock> results;
  for (const TurnBlock& block : blocks) {
    if (block.kind == TurnBlock::Kind::ToolResult) {
      results.push_back(block);
    }
  }
  const auto placeOf = [&](const TurnBlock& block) {
    const auto place = callOrder.find(block.toolCallId);
    return place == callOrder.end() ? 0 : place->second;
  };
  std::stable_sort(results.begin(), results.end(), [&](const TurnBlock& a, const TurnBlock& b) {
    return placeOf(a) < placeOf(b);
  });
  std::size_t next = 0;
  for (TurnBlock& block : blocks) {
    if (block.kind == TurnBlock::Kind::ToolResult) {
      block = std::move(results[next++]);
    }
  }
}

void sortToolResults(std::vector<ChatTurn>& turns) {
  CallOrder callOrder;
  for (ChatTurn& turn : turns) {
    if (turn.role == ChatRole::Assistant && !turn.message.toolCalls.empty()) {
      callOrder.clear();
      for (std::size_t i = 0; i < turn.message.toolCalls.size(); ++i) {
        if (const std::string& id = turn.message.toolCalls[i].id; !id.empty()) {
          callOrder[id] = i;
        }
      }
    } else if (turn.role == ChatRole::User && !callOrder.empty()) {
      sortToolResults(turn.blocks, callOrder);
    }
  }
}

}  // namespace

std::string_view taskToken(std::string_view task) {
  struct Entry {
    std::string_view task;
    std::string_view token;
  };
  static constexpr std::array kTasks{
      Entry{"action", "<｜action｜>"},
      Entry{"query", "<｜query｜>"},
      Entry{"authority", "<｜authority｜>"},
      Entry{"domain", "<｜domain｜>"},
      Entry{"title", "<｜title｜>"},
      Entry{"read_url", "<｜read_url｜>"},
  };
  for (const Entry& entry : kTasks) {
    if (entry.task == task) {
      return entry.token;
    }
  }
  return {};
}

Result<std::vector<ChatTurn>> turnsFromMessages(std::vector<ChatMessage> messages) {
  std::vector<ChatTurn> turns;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ChatMessage& message = messages[i];
    const std::optional<ChatRole> role = roleFromName(message.role);
    if (!role) {
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("messages[{}].role is \"{}\"", i, message.role),
                   "Use system, developer, user, assistant, tool or latest_reminder"};
    }
    if (!message.task.empty() && taskToken(message.task).empty()) {
      return Error{ErrorCode::InvalidArgument,
                   fmt::format("messages[{}].task is \"{}\"", i, message.task),
                   "Use action, query, authority, domain, title or read_url"};
    }
    if (*role != ChatRole::User) {
      turns.push_back({*role, std::move(message), {}});
      continue;
    }
    const bool isTool = message.role == "tool";
    TurnBlock block{isTool ? TurnBlock::Kind::ToolResult : TurnBlock::Kind::Text,
                    std::move(message.content),
                    std::move(message.toolCallId)};
    if (!joins(message, turns)) {
      turns.push_back({*role, std::move(message), {}});
    }
    turns.back().blocks.push_back(std::move(block));
  }
  sortToolResults(turns);
  return turns;
}

int lastUserTurn(const std::vector<ChatTurn>& turns) {
  for (std::size_t i = turns.size(); i-- > 0;) {
    if (turns[i].role == ChatRole::User || turns[i].role == ChatRole::Developer) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

std::vector<ChatTurn> withoutPastReasoning(std::vector<ChatTurn> turns) {
  const int last = lastUserTurn(turns);
  std::vector<ChatTurn> kept;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const bool isPast = static_cast<int>(i) < last;
    if (isPast && turns[i].role == ChatRole::Developer) {
      continue;
    }
    if (isPast) {
      turns[i].message.reasoningContent.clear();
    }
    kept.push_back(std::move(turns[i]));
  }
  return kept;
}

}  // namespace tandem::tokenizer
