// SPDX-License-Identifier: GPL-3.0-or-later
// Puts the panel together.
#include "ui/panel.h"

#include "ui/bridge/engine_words.h"
#include "ui/shell/page_registry.h"

namespace tandem::ui {

Panel::Panel(QApplication& application, app::EngineHost& host, const PanelOptions& options)
    : options_(options),
      host_(host),
      theme_(application),
      window_({theme_, panel_, engine_, chat_, monitor_}, allPages()),
      history_(options.historyFile.isEmpty()
                   ? std::nullopt
                   : std::make_optional<app::StartHistory>(options.historyFile)),
      service_(host),
      engineBridge_(
          {panel_, engine_, monitor_, options.chatServer.isEmpty() ? &chatBridge_ : nullptr},
          host.name(),
          history_ ? &*history_ : nullptr) {
  theme_.setMode(options_.theme);
  engineBridge_.watch(service_);
  if (!options_.chatServer.isEmpty()) {
    chatBridge_.setEndpoint(options_.chatServer);
  }
}

void Panel::open() {
  if (!options_.page.isEmpty()) {
    window_.showPage(options_.page);
  }
  if (options_.welcome && !host_.find()) {
    window_.showFirstRun();
  }
  window_.show();
  if (history_ && history_->warning()) {
    panel_.say(sentenceOf(history_->warning()->message) + QLatin1Char(' ') +
               sentenceOf(history_->warning()->remedy));
  }
  service_.attach();
}

}  // namespace tandem::ui
