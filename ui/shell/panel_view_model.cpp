// SPDX-License-Identifier: GPL-3.0-or-later
// Words and figures for the engine's state.
#include "ui/shell/panel_view_model.h"

#include <optional>

#include "ui/widgets/quantity.h"

namespace tandem::ui {

void PanelViewModel::setEngine(const EngineSnapshot& engine) {
  engine_ = engine;
  emit changed();
}

Status PanelViewModel::status() const {
  if (engine_.failed()) {
    return Status::Bad;
  }
  if (engine_.silent()) {
    return Status::Caution;
  }
  if (engine_.starting()) {
    return Status::Busy;
  }
  if (engine_.ready()) {
    return Status::Good;
  }
  return engine_.running() ? Status::Busy : Status::Off;
}

QString PanelViewModel::stateWord() const {
  if (engine_.link == app::EngineLink::Lost) {
    return tr("Engine lost");
  }
  if (engine_.failed()) {
    return tr("Failed");
  }
  if (engine_.silent()) {
    return tr("Not answering");
  }
  if (engine_.starting()) {
    return tr("Starting");
  }
  if (engine_.link == app::EngineLink::Attached) {
    switch (engine_.state) {
      case api::EngineState::Starting:
        return tr("Starting");
      case api::EngineState::Ready:
        return tr("Ready");
      case api::EngineState::Draining:
        return tr("Stopping");
      case api::EngineState::Failed:
        return tr("Failed");
      case api::EngineState::Stopped:
        break;
    }
  }
  return tr("Stopped");
}

QString PanelViewModel::decodeText() const {
  return engine_.ready() && engine_.stats
             ? tr("%1 tok/s").arg(rateText(engine_.stats->decodeTokensPerSecond))
             : unknownQuantity();
}

QString PanelViewModel::kvText() const {
  if (!engine_.ready() || !engine_.stats) {
    return unknownQuantity();
  }
  const api::KvTokens tokens = api::kvTokens(*engine_.stats);
  return percentText(tokens.total > 0 ? std::optional(double(tokens.live) / double(tokens.total))
                                      : std::nullopt);
}

const api::RankMemory* PanelViewModel::memoryOf(int rank) const {
  if (engine_.stats && engine_.running()) {
    for (const api::RankMemory& memory : engine_.stats->ranks) {
      if (memory.rank == rank) {
        return &memory;
      }
    }
  }
  return nullptr;
}

QString PanelViewModel::memoryText(int rank) const {
  const api::RankMemory* memory = memoryOf(rank);
  return memory == nullptr ? unknownQuantity() : bytesText(memory->processBytes);
}

QString PanelViewModel::memoryDetail(int rank) const {
  const api::RankMemory* memory = memoryOf(rank);
  return memory == nullptr || memory->hostTotalBytes == 0
             ? QString()
             : tr("%1 of %2 free on this host")
                   .arg(bytesText(memory->hostAvailableBytes), bytesText(memory->hostTotalBytes));
}

bool PanelViewModel::actionStops() const {
  return engine_.starting() || engine_.running() || engine_.silent();
}

QString PanelViewModel::actionText() const {
  if (engine_.starting()) {
    return tr("Cancel start");
  }
  if (engine_.running() && engine_.state == api::EngineState::Draining) {
    return tr("Stop now");
  }
  return actionStops() ? tr("Stop engine") : tr("Start engine");
}

void PanelViewModel::requestAction() {
  if (actionStops()) {
    emit stopRequested();
  } else {
    emit startRequested();
  }
}

}  // namespace tandem::ui
