// SPDX-License-Identifier: GPL-3.0-or-later
// The tools a conversation offers to the model, as data.
#pragma once

#include <functional>
#include <vector>

#include <QByteArray>
#include <QJsonObject>
#include <QString>

#include "app/chat/chat_message.h"

namespace tandem::app {

struct Tool {
  QString name;
  QByteArray definition;  // {"type": "function", "function": {…}}, sent as it is written here
  std::function<QString(const QJsonObject& arguments)> run;  // quick; gives the text of the result
};

class ToolRegistry {
 public:
  explicit ToolRegistry(std::vector<Tool> tools);

  [[nodiscard]] std::vector<QByteArray> definitions() const;

  /// The result of a call. A tool that does not exist, or arguments that are no JSON object, give
  /// {"error": "…"} as result: that is for the model to read and to repair.
  [[nodiscard]] QString run(const ToolCall& call) const;

 private:
  std::vector<Tool> tools_;
};

/// {"error": "…"}
[[nodiscard]] QString toolError(const QString& reason);

}  // namespace tandem::app
