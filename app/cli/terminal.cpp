// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/terminal.h"

#include <fmt/core.h>

#include <cstdio>

#include <QJsonDocument>

namespace tandem::cli {

void printLine(std::string_view text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void printJson(const QJsonObject& object) {
  printLine(QJsonDocument(object).toJson(QJsonDocument::Compact).toStdString());
}

void printError(const Error& error) {
  fmt::print(stderr, "tandemctl: {}\n", error.text());
}

}  // namespace tandem::cli
