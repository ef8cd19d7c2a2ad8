// SPDX-License-Identifier: GPL-3.0-or-later
// What tandemctl prints: text for people, or JSON lines.
#pragma once

#include <string_view>

#include <QJsonObject>

#include "engine/base/result.h"

namespace tandem::cli {

/// A line on stdout, visible at once.
void printLine(std::string_view text);

void printJson(const QJsonObject& object);

/// "tandemctl: message. remedy" on stderr.
void printError(const Error& error);

}  // namespace tandem::cli
