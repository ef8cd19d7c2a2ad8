// SPDX-License-Identifier: GPL-3.0-or-later
// One turn of a conversation as the page shows it: all texts ready, nothing left to compute.
#pragma once

#include <vector>

#include <QString>

namespace tandem::ui {

/// A call the model made. `answered` once its result went back to the model.
struct ToolCallCard {
  QString id;
  QString name;
  QString arguments;     // indented, or as received while it is not whole yet
  QString rawArguments;  // byte for byte
  QString result;        // proposed or sent
  bool answered = false;

  bool operator==(const ToolCallCard&) const = default;
};

/// Why a turn ended early: what happened, the likely cause or remedy.
struct TurnError {
  QString what;
  QString remedy;

  bool operator==(const TurnError&) const = default;
};

enum class TurnStage { Waiting, Thinking, Answering, Finished, Stopped, Failed };

struct ChatTurn {
  bool fromUser = false;
  QString text;
  QString reasoning;
  QString progress;          // "Thinking 00:12 · 840 tokens" while live, else ""
  QString reasoningSummary;  // "Thought for 12.1 s · 840 tokens"
  QString numbers;           // "42.3 tok/s · first token 0.81 s · …" or ""
  TurnStage stage = TurnStage::Finished;
  std::vector<ToolCallCard> calls;
  TurnError error;  // of a failed turn

  [[nodiscard]] bool live() const {
    return stage == TurnStage::Waiting || stage == TurnStage::Thinking ||
           stage == TurnStage::Answering;
  }
  [[nodiscard]] bool awaitsResults() const {
    for (const ToolCallCard& call : calls) {
      if (!call.answered) {
        return true;
      }
    }
    return false;
  }
};

}  // namespace tandem::ui
