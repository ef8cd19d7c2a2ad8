// SPDX-License-Identifier: GPL-3.0-or-later
// Where an OpenAI-compatible server is, and what opens it.
#pragma once

#include <QByteArray>
#include <QString>
#include <QUrl>

namespace tandem::app {

struct Endpoint {
  QUrl base;          // "http://127.0.0.1:8000/v1", with or without a slash at its end
  QByteArray apiKey;  // "" when the server wants none; never logged

  /// The address of `path` below the base: "/models" → "http://127.0.0.1:8000/v1/models".
  [[nodiscard]] QUrl resolve(const QString& path) const;

  /// The server in words: "127.0.0.1:8000".
  [[nodiscard]] QString server() const;

  bool operator==(const Endpoint&) const = default;
};

}  // namespace tandem::app
