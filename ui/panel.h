// SPDX-License-Identifier: GPL-3.0-or-later
// The panel put together: services, bridges, view-models and the window.
#pragma once

#include <optional>

#include <QString>
#include <QUrl>

#include "app/history/start_history.h"
#include "app/launcher/engine_service.h"
#include "ui/bridge/chat_bridge.h"
#include "ui/bridge/engine_bridge.h"
#include "ui/pages/chat/chat_view_model.h"
#include "ui/pages/engine/engine_view_model.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/main_window.h"
#include "ui/shell/panel_view_model.h"
#include "ui/theme/theme.h"

class QApplication;

namespace tandem::ui {

struct PanelOptions {
  ThemeMode theme = ThemeMode::Dark;
  QString page;          // the first one to show; "": the registry's first
  QUrl chatServer;       // chat with this one instead of the host's engine
  QString historyFile;   // of earlier starts; "": none is kept
  bool welcome = false;  // begin with the first-run card, unless an engine runs already
};

/// The one place where everything meets. An engine goes on when the panel ends. GUI thread.
class Panel {
 public:
  /// `host` must outlive it.
  Panel(QApplication& application, app::EngineHost& host, const PanelOptions& options);

  /// Shows the window and looks for a running engine.
  void open();

  [[nodiscard]] MainWindow& window() { return window_; }
  [[nodiscard]] ChatBridge& chatBridge() { return chatBridge_; }
  [[nodiscard]] const app::EngineService& service() const { return service_; }
  [[nodiscard]] const PanelViewModel& viewModel() const { return panel_; }
  [[nodiscard]] EngineViewModel& engine() { return engine_; }
  [[nodiscard]] const MonitorViewModel& monitor() const { return monitor_; }
  [[nodiscard]] const ChatViewModel& chat() const { return chat_; }

 private:
  const PanelOptions options_;
  app::EngineHost& host_;
  Theme theme_;
  PanelViewModel panel_;
  EngineViewModel engine_{panel_};
  ChatViewModel chat_;
  MonitorViewModel monitor_;
  MainWindow window_;
  ChatBridge chatBridge_{chat_};
  std::optional<app::StartHistory> history_;
  app::EngineService service_;
  EngineBridge engineBridge_;
};

}  // namespace tandem::ui
