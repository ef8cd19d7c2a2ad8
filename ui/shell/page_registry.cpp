// SPDX-License-Identifier: GPL-3.0-or-later
// The list of pages.
#include "ui/shell/page_registry.h"

#include <QCoreApplication>

#include "ui/pages/chat/chat_page.h"
#include "ui/pages/engine/engine_page.h"
#include "ui/pages/monitor/monitor_page.h"

namespace tandem::ui {

namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("tandem::ui::PageEntry", text);
}

}  // namespace

std::vector<PageEntry> allPages() {
  return {
      {QStringLiteral("engine"),
       tr("Engine"),
       QStringLiteral("engine"),
       [](const PageContext& context, QWidget* parent) -> QWidget* {
         return new EnginePage(context.theme, context.panel, context.engine, parent);
       }},
      {QStringLiteral("chat"),
       tr("Chat"),
       QStringLiteral("chat"),
       [](const PageContext& context, QWidget* parent) -> QWidget* {
         return new ChatPage(context.theme, context.chat, parent);
       }},
      {QStringLiteral("monitor"),
       tr("Monitor"),
       QStringLiteral("monitor"),
       [](const PageContext& context, QWidget* parent) -> QWidget* {
         return new MonitorPage(context.theme, context.panel, context.monitor, parent);
       }},
  };
}

}  // namespace tandem::ui
