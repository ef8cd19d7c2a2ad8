// SPDX-License-Identifier: GPL-3.0-or-later
// What the engine service reports, in the words and values of the panel.
#pragma once

#include <optional>

#include <QString>

#include "app/launcher/engine_service.h"
#include "engine/base/result.h"
#include "ui/shell/engine_snapshot.h"

namespace tandem::ui {

/// `text` with a capital letter and a full stop. A path or a program's name at its front stays.
[[nodiscard]] QString sentenceOf(const std::string& text);

/// `stats` are shown only while the engine runs.
[[nodiscard]] EngineSnapshot snapshotOf(const app::EngineReport& report,
                                        const QString& cluster,
                                        const std::optional<api::EngineStats>& stats);

/// Why there is nobody to chat with; "" while there is.
[[nodiscard]] QString whyNoChat(const app::EngineReport& report);

/// What is worth saying when an engine was there before the window.
[[nodiscard]] QString foundSentence(const app::EngineReport& report);

}  // namespace tandem::ui
