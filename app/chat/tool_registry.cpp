// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the tool of a call and runs it.
#include "app/chat/tool_registry.h"

#include <algorithm>
#include <utility>

#include <QJsonDocument>

namespace tandem::app {

ToolRegistry::ToolRegistry(std::vector<Tool> tools)
    : tools_(std::move(tools)) {}

std::vector<QByteArray> ToolRegistry::definitions() const {
  std::vector<QByteArray> definitions;
  definitions.reserve(tools_.size());
  for (const Tool& tool : tools_) {
    definitions.push_back(tool.definition);
  }
  return definitions;
}

QString ToolRegistry::run(const ToolCall& call) const {
  const auto tool = std::find_if(tools_.begin(), tools_.end(), [&call](const Tool& candidate) {
    return candidate.name == call.name;
  });
  if (tool == tools_.end()) {
    return toolError(QStringLiteral("there is no tool named %1").arg(call.name));
  }
  const QJsonDocument arguments = QJsonDocument::fromJson(call.arguments.toUtf8());
  if (!arguments.isObject()) {
    return toolError(QStringLiteral("the arguments are not a JSON object: %1").arg(call.arguments));
  }
  return tool->run(arguments.object());
}

QString toolError(const QString& reason) {
  const QJsonObject error{{QStringLiteral("error"), reason}};
  return QString::fromUtf8(QJsonDocument(error).toJson(QJsonDocument::Compact));
}

}  // namespace tandem::app
