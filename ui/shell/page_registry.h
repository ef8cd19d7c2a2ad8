// SPDX-License-Identifier: GPL-3.0-or-later
// The pages of the panel as data: a new page is one folder and one line here.
#pragma once

#include <functional>
#include <vector>

#include <QString>

class QWidget;

namespace tandem::ui {

class ChatViewModel;
class EngineViewModel;
class MonitorViewModel;
class PanelViewModel;
class Theme;

/// What pages are made of. Outlives every page.
struct PageContext {
  Theme& theme;
  PanelViewModel& panel;
  EngineViewModel& engine;
  ChatViewModel& chat;
  MonitorViewModel& monitor;
};

struct PageEntry {
  QString id;     // for --page
  QString title;  // in the navigation
  QString icon;   // resources/icons/<icon>.svg
  std::function<QWidget*(const PageContext&, QWidget* parent)> create;
};

/// In the order of the navigation; Ctrl+1 opens the first.
[[nodiscard]] std::vector<PageEntry> allPages();

}  // namespace tandem::ui
