// SPDX-License-Identifier: GPL-3.0-or-later
// What tandemctl prints with --json; app/README.md lists the fields.
#pragma once

#include <optional>

#include <QJsonObject>
#include <QString>

#include "app/launcher/engine_service.h"
#include "engine/api/phase_event.h"
#include "engine/base/result.h"
#include "engine/protocol/control_message.h"

namespace tandem::cli {

/// {"event": name, "pid": …} and what the caller adds.
[[nodiscard]] QJsonObject eventJson(const QString& name, std::int64_t pid);

/// {"event": "phase", …}; seconds only for one that has ended
[[nodiscard]] QJsonObject phaseJson(const api::PhaseEvent& event, std::optional<double> seconds);

[[nodiscard]] QJsonObject errorJson(const Error& error);

[[nodiscard]] QJsonObject infoJson(const api::EngineInfo& info);

/// "running": true, and everything the engine says of itself
[[nodiscard]] QJsonObject statusJson(std::int64_t pid, const protocol::Status& status);

}  // namespace tandem::cli
