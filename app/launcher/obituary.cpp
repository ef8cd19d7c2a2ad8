// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/launcher/obituary.h"

#include <fmt/core.h>

#include <optional>
#include <string>

#include "app/launcher/output_tail.h"

namespace tandem::app {

namespace {

std::string howItEnded(const QString& end) {
  return end.isEmpty() ? std::string() : fmt::format(" with {}", end.toStdString());
}

std::string linesOf(const std::vector<QString>& lastOutput) {
  if (lastOutput.empty()) {
    return "it printed nothing";
  }
  std::string text = "it printed last:";
  for (const QString& line : lastOutput) {
    text += "\n  " + line.toStdString();
  }
  return text;
}

}  // namespace

Error failedStart(std::int64_t pid, const QString& end, const std::vector<QString>& lastOutput) {
  if (const std::optional<QString> sentence = failureSentence(lastOutput)) {
    // It names its own remedy.
    return {ErrorCode::Unavailable, sentence->toStdString(), ""};
  }
  return {ErrorCode::Unavailable,
          fmt::format("the engine (pid {}) ended{} before it could be reached; {}",
                      pid,
                      howItEnded(end),
                      linesOf(lastOutput)),
          ""};
}

Error lostEngine(std::int64_t pid, const QString& end, const std::vector<QString>& lastOutput) {
  return {ErrorCode::Unavailable,
          fmt::format("the engine was lost: its process (pid {}) ended{} without saying why; {}",
                      pid,
                      howItEnded(end),
                      linesOf(lastOutput)),
          "If the machine was short of memory, close other programs; then start it again."};
}

}  // namespace tandem::app
