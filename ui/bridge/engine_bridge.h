// SPDX-License-Identifier: GPL-3.0-or-later
// Lets the panel see and steer an engine: what the service says to the view-models, requests back.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <QObject>
#include <QTimer>

#include "app/history/start_history.h"
#include "app/launcher/engine_service.h"
#include "ui/bridge/start_reading.h"

namespace tandem::ui {

class ChatBridge;
class EngineViewModel;
class MonitorViewModel;
class PanelViewModel;

/// Where the engine is shown. `chat` is null when the Chat page talks to another server.
struct EngineViews {
  PanelViewModel& panel;
  EngineViewModel& engine;
  MonitorViewModel& monitor;
  ChatBridge* chat = nullptr;
};

/// GUI thread.
class EngineBridge : public QObject {
  Q_OBJECT

 public:
  /// How often a running start is drawn.
  static constexpr int kFrameMs = 50;

  /// `cluster` is what Start starts: "Demo cluster on this machine".
  /// `history`, if any, is what starts are compared with; those seen from their begin are added.
  EngineBridge(const EngineViews& views,
               QString cluster,
               app::StartHistory* history,
               QObject* parent = nullptr);

  /// Connects everything below. `service` must outlive the bridge; its report is shown at once.
  void watch(app::EngineService& service);

  void showReport(const app::EngineReport& report);
  /// Takes over what `events` has beyond the last call; everything when it began anew.
  void takeStartEvents(const std::vector<api::PhaseEvent>& events, bool restarted);
  void addStats(const api::EngineStats& stats);
  void addLog(const std::vector<LogRecord>& records);

 private:
  void showEngine();
  void showStart();
  void chooseUsual();
  /// Adds the start that was seen to its end to the history, once its events are there.
  void keepStart();
  void showChat();
  void sayNews(const app::EngineReport& before);

  EngineViews views_;
  const QString cluster_;
  app::StartHistory* const history_;
  app::EngineReport report_;
  std::optional<api::EngineStats> stats_;
  std::vector<api::PhaseEvent> events_;
  app::UsualStart usual_;
  bool unkept_ = false;  // a start was seen to its end and is not in the history yet
  std::int64_t announcedPid_ = 0;
  QTimer frame_;  // to the next picture of the start
};

}  // namespace tandem::ui
