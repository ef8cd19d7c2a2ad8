// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the words for an error status, an error object and a broken connection.
#include "app/net/http_problem.h"

#include <QCoreApplication>
#include <QJsonDocument>
#include <QJsonObject>

namespace tandem::app {

namespace {

struct HttpWords {
  Q_DECLARE_TR_FUNCTIONS(tandem::app::HttpProblem)
};

/// What the server says about its error; both may be "".
struct ServerWords {
  QString message;
  QString code;
};

ServerWords wordsOf(const QJsonValue& error) {
  if (error.isString()) {
    return {error.toString(), {}};
  }
  const QJsonObject object = error.toObject();
  const QJsonValue code = object[u"code"];
  return {object[u"message"].toString(),
          code.isDouble() ? QString::number(code.toInt()) : code.toString()};
}

ServerWords wordsOfBody(const QByteArray& body) {
  const QJsonObject object = QJsonDocument::fromJson(body).object();
  if (object.contains(u"error")) {
    return wordsOf(object[u"error"]);
  }
  if (object[u"detail"].isString()) {
    return {object[u"detail"].toString(), {}};
  }
  return wordsOf(object);
}

/// "the model is loading" → "The model is loading."
QString sentence(QString text) {
  text = text.trimmed();
  if (text.isEmpty()) {
    return text;
  }
  text[0] = text[0].toUpper();
  const QChar last = text.back();
  return last == u'.' || last == u'!' || last == u'?' ? text : text + QLatin1Char('.');
}

QString remedyOf(int status, const QString& code, std::optional<int> retryAfterSeconds) {
  if (code == u"context_length_exceeded" || status == 413) {
    return HttpWords::tr("Start a new chat, or send a shorter message.");
  }
  switch (status) {
    case 401:
    case 403:
      return HttpWords::tr("Check the API key and the address of the server.");
    case 404:
      return HttpWords::tr("Check that the address ends with /v1.");
    case 429:
    case 503:
      return retryAfterSeconds ? HttpWords::tr("Retry in %1 s.").arg(*retryAfterSeconds)
                               : HttpWords::tr("See the Engine page, then retry.");
    default:
      return status >= 500 ? HttpWords::tr("Its log on the Engine page says more. Then retry.")
                           : QString();
  }
}

}  // namespace

HttpProblem problemOfAnswer(int status,
                            const QByteArray& body,
                            const QByteArray& retryAfter,
                            const QString& server) {
  HttpProblem problem;
  problem.status = status;
  bool isNumber = false;
  const int seconds = retryAfter.trimmed().toInt(&isNumber);
  if (isNumber && seconds >= 0) {
    problem.retryAfterSeconds = seconds;
  }
  const ServerWords words = wordsOfBody(body);
  problem.code = words.code;
  problem.what =
      words.message.isEmpty()
          ? HttpWords::tr("%1 answered with HTTP status %2 and no reason.").arg(server).arg(status)
          : sentence(words.message);
  problem.remedy = remedyOf(status, problem.code, problem.retryAfterSeconds);
  return problem;
}

HttpProblem problemInStream(const QJsonValue& error, const QString& server) {
  const ServerWords words = wordsOf(error);
  HttpProblem problem;
  problem.code = words.code;
  problem.what = words.message.isEmpty()
                     ? HttpWords::tr("%1 broke the answer off and gave no reason.").arg(server)
                     : sentence(words.message);
  problem.remedy = HttpWords::tr("The text so far is kept. See the Engine page, then retry.");
  return problem;
}

HttpProblem problemOfNetwork(QNetworkReply::NetworkError error,
                             const QString& detail,
                             const QString& server,
                             bool answerBegan) {
  HttpProblem problem;
  if (error == QNetworkReply::OperationCanceledError || error == QNetworkReply::TimeoutError) {
    // Nobody cancels but the time limit: an exchange that its owner drops says nothing.
    problem.what = HttpWords::tr("%1 was silent for too long.").arg(server);
    problem.remedy = HttpWords::tr("See on the Engine page whether it still works, then retry.");
  } else if (answerBegan) {
    problem.what =
        HttpWords::tr("The connection to %1 closed before the answer ended.").arg(server);
    problem.remedy = HttpWords::tr("The text so far is kept. See the Engine page, then retry.");
  } else if (error == QNetworkReply::ConnectionRefusedError) {
    problem.what = HttpWords::tr("Nothing answers at %1.").arg(server);
    problem.remedy = HttpWords::tr("Start the engine, then retry.");
  } else if (error == QNetworkReply::RemoteHostClosedError) {
    problem.what = HttpWords::tr("%1 closed the connection without an answer.").arg(server);
    problem.remedy = HttpWords::tr("See the Engine page, then retry.");
  } else {
    problem.what = HttpWords::tr("%1 cannot be reached: %2").arg(server, sentence(detail));
    problem.remedy = HttpWords::tr("Check the address and the network, then retry.");
  }
  return problem;
}

HttpProblem problemOfContent(const QString& what, const QString& server) {
  HttpProblem problem;
  problem.what = what;
  problem.remedy =
      HttpWords::tr(
          "Check that %1 is an OpenAI-compatible server and that its address ends with "
          "/v1.")
          .arg(server);
  return problem;
}

}  // namespace tandem::app
