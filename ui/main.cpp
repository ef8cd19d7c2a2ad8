// SPDX-License-Identifier: GPL-3.0-or-later
// The panel: reads the command line, opens the window on the demo cluster, and runs.
#include <cstdio>
#include <cstdlib>

#include <QApplication>
#include <QCommandLineParser>
#include <QUrl>

#include "app/history/start_history.h"
#include "app/launcher/local_engine_host.h"
#include "app/launcher/standard_folders.h"
#include "ui/panel.h"
#include "ui/shell/page_registry.h"

namespace {

namespace app = tandem::app;
namespace ui = tandem::ui;

struct Options {
  ui::PanelOptions panel;
  app::LocalEngineOptions engine;
};

QString tr(const char* text) {
  return QCoreApplication::translate("main", text);
}

[[noreturn]] void refuse(const QString& sentence) {
  std::fputs(qPrintable(sentence + QLatin1Char('\n')), stderr);
  std::exit(EXIT_FAILURE);
}

QUrl serverOf(const QString& text) {
  const QUrl server(text);
  if ((server.scheme() != u"http" && server.scheme() != u"https") || server.host().isEmpty()) {
    refuse(tr("%1 is no address of a server. Give one like http://127.0.0.1:8000/v1.").arg(text));
  }
  return server;
}

std::uint16_t portOf(const QString& text) {
  bool isNumber = false;
  const std::uint16_t port = text.toUShort(&isNumber);
  if (!isNumber) {
    refuse(tr("%1 is no port. Give a number from 0 (any free one) to 65535.").arg(text));
  }
  return port;
}

/// Ends the process with a sentence when an option is unknown or has no such value.
Options readOptions(const QApplication& application) {
  QStringList ids;
  for (const ui::PageEntry& page : ui::allPages()) {
    ids << page.id;
  }
  QCommandLineParser parser;
  parser.setApplicationDescription(tr("Control panel of the Tandem engine."));
  parser.addHelpOption();
  parser.addVersionOption();
  const QCommandLineOption demo(QStringLiteral("demo"),
                                tr("Open on the demo cluster of this machine."));
  const QCommandLineOption page(QStringLiteral("page"),
                                tr("Open this page first: %1.").arg(ids.join(u", ")),
                                QStringLiteral("name"),
                                ids.value(0));
  const QCommandLineOption theme(QStringLiteral("theme"),
                                 tr("dark or light."),
                                 QStringLiteral("mode"),
                                 QStringLiteral("dark"));
  const QCommandLineOption endpoint(
      QStringLiteral("endpoint"),
      tr("Chat with this server instead, e.g. http://127.0.0.1:8000/v1."),
      QStringLiteral("url"));
  const QCommandLineOption model(QStringLiteral("model"),
                                 tr("Start the demo cluster with the checkpoint in this folder."),
                                 QStringLiteral("folder"));
  const QCommandLineOption port(QStringLiteral("port"),
                                tr("Port of /v1; 0 takes any free one."),
                                QStringLiteral("number"),
                                QStringLiteral("8000"));
  const QCommandLineOption engine(QStringLiteral("engine"),
                                  tr("The tandem-engine to start, if not the one beside this."),
                                  QStringLiteral("program"));
  parser.addOptions({demo, page, theme, endpoint, model, port, engine});
  parser.process(application);

  const QString mode = parser.value(theme);
  if (!ids.contains(parser.value(page)) || (mode != u"dark" && mode != u"light")) {
    refuse(tr("No such page or theme. Pages: %1. Themes: dark, light.").arg(ids.join(u", ")));
  }
  Options options;
  options.panel.page = parser.value(page);
  options.panel.theme = mode == u"dark" ? ui::ThemeMode::Dark : ui::ThemeMode::Light;
  if (parser.isSet(endpoint)) {
    options.panel.chatServer = serverOf(parser.value(endpoint));
  }
  options.panel.historyFile = app::StartHistory::fileIn(app::stateFolder());
  options.panel.welcome = !parser.isSet(demo) && !parser.isSet(endpoint) && !parser.isSet(model);
  options.engine.modelFolder = parser.value(model);
  options.engine.port = portOf(parser.value(port));
  options.engine.program = parser.value(engine);
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  QApplication application(argc, argv);
  QApplication::setApplicationName(QStringLiteral("tandem"));
  QApplication::setApplicationDisplayName(QStringLiteral("Tandem"));
  QApplication::setApplicationVersion(QStringLiteral(TANDEM_VERSION));
  QApplication::setDesktopFileName(QStringLiteral("tandem"));

  const Options options = readOptions(application);
  app::LocalEngineHost host(options.engine);
  ui::Panel panel(application, host, options.panel);
  panel.open();
  const int code = QApplication::exec();
  if (panel.viewModel().actionStops()) {
    std::puts(qPrintable(tr("The engine goes on without the window (process %1). Open the panel "
                            "again to find it, or end it with: tandemctl stop")
                             .arg(panel.service().report().pid)));
  }
  return code;
}
