// SPDX-License-Identifier: GPL-3.0-or-later
// Why a request failed, in words for a person: what happened and what to do.
#pragma once

#include <optional>

#include <QByteArray>
#include <QJsonValue>
#include <QNetworkReply>
#include <QString>

namespace tandem::app {

struct HttpProblem {
  int status = 0;  // of HTTP; 0 when no answer came, or the problem is inside an answer
  QString code;    // the server's own word, e.g. "queue_full", or ""
  QString what;    // with values
  QString remedy;  // or ""
  std::optional<int> retryAfterSeconds;

  bool operator==(const HttpProblem&) const = default;
};

/// An answer with an error status. `body` may hold OpenAI's {"error": {"message", "code", …}}, one
/// of its flat relatives, or anything.
[[nodiscard]] HttpProblem problemOfAnswer(int status,
                                          const QByteArray& body,
                                          const QByteArray& retryAfter,
                                          const QString& server);

/// An error object that came inside a stream which had begun well.
[[nodiscard]] HttpProblem problemInStream(const QJsonValue& error, const QString& server);

/// No answer, or one that broke off. `answerBegan`: the server had sent its head already.
[[nodiscard]] HttpProblem problemOfNetwork(QNetworkReply::NetworkError error,
                                           const QString& detail,
                                           const QString& server,
                                           bool answerBegan);

/// An answer that is not what was asked for, e.g. a web page instead of a stream.
[[nodiscard]] HttpProblem problemOfContent(const QString& what, const QString& server);

}  // namespace tandem::app
