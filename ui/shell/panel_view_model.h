// SPDX-License-Identifier: GPL-3.0-or-later
// The engine as the header and every page see it, and what a person may ask of it.
#pragma once

#include <QObject>

#include "ui/shell/engine_snapshot.h"
#include "ui/widgets/status_glyph.h"

namespace tandem::ui {

/// Holds no widget and no service: a bridge puts snapshots in and acts on the requests. GUI thread.
class PanelViewModel : public QObject {
  Q_OBJECT

 public:
  using QObject::QObject;

  [[nodiscard]] const EngineSnapshot& engine() const { return engine_; }
  void setEngine(const EngineSnapshot& engine);

  [[nodiscard]] Status status() const;
  [[nodiscard]] QString stateWord() const;
  /// "62.1 tok/s", or a dash while nothing is known.
  [[nodiscard]] QString decodeText() const;
  /// "16 %" of the KV cache that requests hold, or a dash.
  [[nodiscard]] QString kvText() const;
  /// "1.2 GiB" of one rank's process, or a dash.
  [[nodiscard]] QString memoryText(int rank) const;
  /// What is left on that rank's host: "of 121.7 GiB, 82.0 free", or "".
  [[nodiscard]] QString memoryDetail(int rank) const;
  /// What the one big button does now.
  [[nodiscard]] QString actionText() const;
  [[nodiscard]] bool actionStops() const;

  void requestAction();
  void requestStart() { emit startRequested(); }

  /// Something worth saying once, e.g. that the panel found a running engine. "" takes it back.
  void say(const QString& sentence) { emit said(sentence); }

 signals:
  void changed();
  void startRequested();
  void stopRequested();
  void said(const QString& sentence);

 private:
  [[nodiscard]] const api::RankMemory* memoryOf(int rank) const;

  EngineSnapshot engine_;
};

}  // namespace tandem::ui
