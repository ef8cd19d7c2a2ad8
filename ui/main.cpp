// SPDX-License-Identifier: GPL-3.0-or-later
// The panel: reads the command line, puts theme, view-models and window together, and runs.
#include <cstdio>

#include <QApplication>
#include <QCommandLineParser>
#include <QUrl>

#include "ui/bridge/chat_bridge.h"
#include "ui/pages/chat/chat_view_model.h"
#include "ui/pages/engine/engine_view_model.h"
#include "ui/pages/monitor/monitor_view_model.h"
#include "ui/shell/main_window.h"
#include "ui/shell/page_registry.h"
#include "ui/shell/panel_view_model.h"
#include "ui/theme/theme.h"

namespace {

using namespace tandem;

struct Options {
  bool demo = false;
  QString page;
  ui::ThemeMode theme = ui::ThemeMode::Dark;
  QUrl endpoint;  // empty: that of the engine
};

/// Ends the process with a sentence when an option is unknown or has no such value.
Options readOptions(const QApplication& application, const std::vector<ui::PageEntry>& pages) {
  QStringList ids;
  for (const ui::PageEntry& page : pages) {
    ids << page.id;
  }
  QCommandLineParser parser;
  parser.setApplicationDescription(
      QCoreApplication::translate("main", "Control panel of the Tandem engine."));
  parser.addHelpOption();
  parser.addVersionOption();
  const QCommandLineOption demo(
      QStringLiteral("demo"),
      QCoreApplication::translate("main", "Start or find the demo cluster on this machine."));
  const QCommandLineOption page(
      QStringLiteral("page"),
      QCoreApplication::translate("main", "Open this page first: %1.").arg(ids.join(u", ")),
      QStringLiteral("name"),
      ids.value(0));
  const QCommandLineOption theme(QStringLiteral("theme"),
                                 QCoreApplication::translate("main", "dark or light."),
                                 QStringLiteral("mode"),
                                 QStringLiteral("dark"));
  const QCommandLineOption endpoint(
      QStringLiteral("endpoint"),
      QCoreApplication::translate("main",
                                  "Chat with this server instead, e.g. http://127.0.0.1:8000/v1."),
      QStringLiteral("url"));
  parser.addOptions({demo, page, theme, endpoint});
  parser.process(application);

  const QString mode = parser.value(theme);
  if (!ids.contains(parser.value(page)) || (mode != u"dark" && mode != u"light")) {
    std::fputs(qPrintable(QCoreApplication::translate(
                              "main",
                              "No such page or theme. Pages: %1. Themes: dark, light.\n")
                              .arg(ids.join(u", "))),
               stderr);
    std::exit(EXIT_FAILURE);
  }
  const QUrl server(parser.value(endpoint));
  if (parser.isSet(endpoint) &&
      ((server.scheme() != u"http" && server.scheme() != u"https") || server.host().isEmpty())) {
    std::fputs(qPrintable(QCoreApplication::translate("main",
                                                      "%1 is no address of a server. Give one like "
                                                      "http://127.0.0.1:8000/v1.\n")
                              .arg(parser.value(endpoint))),
               stderr);
    std::exit(EXIT_FAILURE);
  }
  return {parser.isSet(demo),
          parser.value(page),
          mode == u"dark" ? ui::ThemeMode::Dark : ui::ThemeMode::Light,
          server};
}

}  // namespace

int main(int argc, char** argv) {
  QApplication application(argc, argv);
  QApplication::setApplicationName(QStringLiteral("tandem"));
  QApplication::setApplicationDisplayName(QStringLiteral("Tandem"));
  QApplication::setApplicationVersion(QStringLiteral(TANDEM_VERSION));
  QApplication::setDesktopFileName(QStringLiteral("tandem"));

  const std::vector<ui::PageEntry> pages = ui::allPages();
  const Options options = readOptions(application, pages);

  ui::Theme theme(application);
  theme.setMode(options.theme);
  ui::PanelViewModel panel;
  ui::EngineViewModel engine(panel);
  ui::ChatViewModel chat;
  ui::MonitorViewModel monitor;
  ui::MainWindow window({theme, panel, engine, chat, monitor}, pages);

  ui::EngineSnapshot none;
  none.cluster = QCoreApplication::translate("main", "Demo cluster on this machine");
  panel.setEngine(none);
  ui::ChatBridge chatBridge(chat);
  if (options.endpoint.isEmpty()) {
    chatBridge.clearEndpoint(
        QCoreApplication::translate("main", "Start the engine to chat with it."));
  } else {
    chatBridge.setEndpoint(options.endpoint);
  }
  // The services that start and watch an engine are not linked yet: say so, do not pretend.
  QObject::connect(&panel, &ui::PanelViewModel::startRequested, &panel, [&panel] {
    panel.say(QCoreApplication::translate(
        "main",
        "This build cannot start an engine yet. Run tandem-engine serve in a terminal."));
  });

  window.showPage(options.page);
  if (!options.demo && options.endpoint.isEmpty()) {
    window.showFirstRun();
  }
  window.show();
  return QApplication::exec();
}
