// SPDX-License-Identifier: GPL-3.0-or-later
// The real program and real requests to it, for tests that run tandem-engine as its users do.
#pragma once

#include <signal.h>

#include <functional>

#include <QElapsedTimer>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QRegularExpression>
#include <QString>
#include <QStringList>
#include <QTcpSocket>

namespace tandem::test {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitFatal = 75;

// A sanitizer makes a forward pass of the model many times slower.
#ifdef TANDEM_SANITIZED
inline constexpr int kSlowness = 4;
#else
inline constexpr int kSlowness = 1;
#endif

inline constexpr int kPatienceMs = 90000 * kSlowness;

/// One run of tandem-engine; killed when it goes out of scope.
class Engine {
 public:
  /// `inChild`, if any, runs in the child before the program: async-signal-safe calls only.
  explicit Engine(const QStringList& arguments, const std::function<void()>& inChild = {}) {
    process_.setProcessChannelMode(QProcess::MergedChannels);
    if (inChild) {
      process_.setChildProcessModifier(inChild);
    }
    process_.start(QStringLiteral(TANDEM_ENGINE), arguments);
    process_.waitForStarted();
  }
  ~Engine() {
    process_.kill();
    process_.waitForFinished();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Everything printed so far.
  const QString& output() {
    output_ += QString::fromUtf8(process_.readAll());
    return output_;
  }

  /// Waits for a line that matches and gives the first capture, or "" after the deadline.
  QString waitFor(const QString& pattern, int deadlineMs = kPatienceMs) {
    const QRegularExpression expression(pattern);
    QElapsedTimer timer;
    timer.start();
    while (timer.elapsed() < deadlineMs) {
      const QRegularExpressionMatch match = expression.match(output());
      if (match.hasMatch()) {
        return match.captured(match.lastCapturedIndex());
      }
      if (process_.state() == QProcess::NotRunning) {
        return {};  // it has ended, or never started: nothing will come
      }
      process_.waitForReadyRead(50);
    }
    return {};
  }

  /// The exit code, or -1 if it still runs after the deadline.
  int waitForExit(int deadlineMs = kPatienceMs) {
    if (process_.state() != QProcess::NotRunning && !process_.waitForFinished(deadlineMs)) {
      return -1;
    }
    return process_.exitStatus() == QProcess::NormalExit ? process_.exitCode() : -2;
  }

  void send(int signal) const { ::kill(static_cast<pid_t>(process_.processId()), signal); }

  quint16 waitForPort() {
    return waitFor(QStringLiteral("ready at http://127\\.0\\.0\\.1:(\\d+)/v1")).toUShort();
  }
  qint64 workerPid() {
    return waitFor(QStringLiteral("local worker with pid (\\d+)")).toLongLong();
  }

 private:
  QProcess process_;
  QString output_;
};

/// A connection that has sent one request and collects the answer.
class HttpRequest {
 public:
  HttpRequest(quint16 port,
              const QByteArray& method,
              const QByteArray& path,
              const QByteArray& body) {
    socket_.connectToHost(QStringLiteral("127.0.0.1"), port);
    socket_.waitForConnected();
    socket_.write(method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" +
                  "Content-Type: application/json\r\nContent-Length: " +
                  QByteArray::number(body.size()) + "\r\n\r\n" + body);
    socket_.flush();
  }

  bool waitForText(const QByteArray& text, int deadlineMs = kPatienceMs) {
    QElapsedTimer timer;
    timer.start();
    while (!received_.contains(text) && timer.elapsed() < deadlineMs) {
      socket_.waitForReadyRead(50);
      received_ += socket_.readAll();
      if (socket_.state() == QAbstractSocket::UnconnectedState && socket_.bytesAvailable() == 0) {
        break;
      }
    }
    return received_.contains(text);
  }

  QByteArray waitForAll(int deadlineMs = kPatienceMs) {
    QElapsedTimer timer;
    timer.start();
    while (socket_.state() != QAbstractSocket::UnconnectedState && timer.elapsed() < deadlineMs) {
      socket_.waitForReadyRead(50);
      received_ += socket_.readAll();
    }
    received_ += socket_.readAll();
    return received_;
  }

 private:
  QTcpSocket socket_;
  QByteArray received_;
};

inline QByteArray chatBody(const QString& text, bool stream, int maxTokens) {
  const QJsonObject message{{QStringLiteral("role"), QStringLiteral("user")},
                            {QStringLiteral("content"), text}};
  return QJsonDocument(QJsonObject{{QStringLiteral("model"), QStringLiteral("any")},
                                   {QStringLiteral("temperature"), 0},
                                   {QStringLiteral("stream"), stream},
                                   {QStringLiteral("max_tokens"), maxTokens},
                                   {QStringLiteral("messages"), QJsonArray{message}}})
      .toJson(QJsonDocument::Compact);
}

}  // namespace tandem::test
