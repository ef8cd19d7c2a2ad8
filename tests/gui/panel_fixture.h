// SPDX-License-Identifier: GPL-3.0-or-later
// The whole window on view-models that a test fills by hand.
#pragma once

#include <memory>

#include <QString>

#include "ui/pages/chat/chat_view_model.h"
#include "ui/pages/engine/engine_view_model.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/main_window.h"
#include "ui/shell/panel_view_model.h"
#include "ui/theme/theme.h"

namespace tandem::test {

struct PanelFixture {
  PanelFixture();

  ui::Theme theme;
  ui::PanelViewModel panel;
  ui::EngineViewModel engine{panel};
  ui::ChatViewModel chat;
  ui::MonitorViewModel monitor;
  ui::MainWindow window;
};

/// Two ranks with 13.9 MiB of weights each, decoding.
[[nodiscard]] api::EngineStats sampleStats(std::int64_t wallMs, double decode, double prefill);

[[nodiscard]] ui::EngineSnapshot stoppedEngine();
[[nodiscard]] ui::EngineSnapshot startingEngine();
[[nodiscard]] ui::EngineSnapshot readyEngine();
[[nodiscard]] ui::EngineSnapshot failedEngine();

/// A start that is `elapsed` seconds old, with the worker slower than usual while it loads.
[[nodiscard]] ui::StartRecord sampleStart(double elapsed);
/// A start that ended in Ready, or in a failed Connect.
[[nodiscard]] ui::StartRecord finishedStart();
[[nodiscard]] ui::StartRecord failedStart();
void fillLog(ui::EngineViewModel& engine);

[[nodiscard]] ui::ChatTurn userTurn(const QString& text);
[[nodiscard]] ui::ChatTurn markdownTurn();
[[nodiscard]] ui::ChatTurn weatherTurn(bool answered);

/// Saves the window as build/…/screens/<name>.png.
void saveScreen(ui::MainWindow& window, const QString& name);

}  // namespace tandem::test
