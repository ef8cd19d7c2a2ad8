// SPDX-License-Identifier: GPL-3.0-or-later
// The server's parts that need neither an engine nor a client.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include "engine/base/event_fd.h"
#include "engine/server/api_key.h"
#include "engine/server/http_message.h"
#include "engine/server/listen_socket.h"
#include "engine/server/random_id.h"
#include "engine/server/ready_set.h"
#include "engine/server/request_gate.h"
#include "engine/server/router.h"
#include "engine/server/stop_matcher.h"

using namespace tandem;
using namespace tandem::server;

namespace {

constexpr const char* kKey = "a-key-of-enough-characters";

std::string writeKeyFile(const QTemporaryDir& folder, const QByteArray& text, mode_t mode) {
  const QString path = folder.filePath(QStringLiteral("key"));
  QFile file(path);
  if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size()) {
    qFatal("cannot write the key file");
  }
  file.close();
  ::chmod(path.toUtf8().constData(), mode);
  return path.toStdString();
}

Answer answerNothing(const RouteRequest&) {
  return HttpResponse();
}

Router someRouter() {
  return Router(
      {{"GET", "/v1/models", Access::Open, Runs::InlineOnIo, answerNothing},
       {"GET", "/v1/models/", Access::Open, Runs::InlineOnIo, answerNothing},
       {"POST", "/v1/chat/completions", Access::NeedsKey, Runs::InlineOnIo, answerNothing}});
}

/// Pushes `text` in pieces of `size` bytes.
std::string through(StopMatcher& matcher, const std::string& text, std::size_t size) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += size) {
    out += matcher.push(text.substr(at, size));
  }
  return out;
}

}  // namespace

class ServerTest : public QObject {
  Q_OBJECT

 private slots:
  void stopStringsAreFoundHoweverTheTextIsCut() {
    const std::string text = "one two STOP three";
    for (std::size_t size = 1; size <= text.size(); ++size) {
      StopMatcher matcher({"STOP", "never"});
      QCOMPARE(through(matcher, text, size), std::string("one two "));
      QVERIFY(matcher.matched());
      QCOMPARE(matcher.flush(), std::string());
    }
  }

  void theEarliestStopStringWins() {
    StopMatcher matcher({"later", "now"});
    QCOMPARE(matcher.push("a now b later"), std::string("a "));
  }

  void onlyWhatMayBeginAStopStringIsHeldBack() {
    StopMatcher matcher({"abcd"});
    QCOMPARE(matcher.push("xab"), std::string("x"));
    QCOMPARE(matcher.push("ac"), std::string("abac"));
    QCOMPARE(matcher.push("abc"), std::string());
    QVERIFY(!matcher.matched());
    QCOMPARE(matcher.flush(), std::string("abc"));
  }

  void aReadySetIsReadyWhileOneOfItIsAndForgetsWhatWasRemoved() {
    const auto isReady = [](const ReadySet& set) {
      pollfd entry{set.fd(), POLLIN, 0};
      return ::poll(&entry, 1, 0) == 1;
    };
    Result<ReadySet> set = ReadySet::create();
    const Result<EventFd> first = EventFd::create();
    const Result<EventFd> second = EventFd::create();
    QVERIFY(set->add(first->fd()).ok() && set->add(second->fd()).ok());
    QVERIFY(!isReady(*set));
    first->raise();
    second->raise();
    QVERIFY(isReady(*set));
    first->clear();
    QVERIFY(isReady(*set));
    set->remove(second->fd());  // still raised, but nobody reads it any more
    QVERIFY(!isReady(*set));
    first->raise();
    QVERIFY(isReady(*set));
  }

  void idsHaveLettersAndDigitsOnlyAndDiffer() {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
      const std::string id = randomId("call");
      QCOMPARE(id.size(), 28U);
      QVERIFY(std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isalnum(c); }));
      seen.insert(id);
    }
    QCOMPARE(seen.size(), 1000U);
  }

  void pathsAreDecodedAndLoseTheirQuery() {
    QCOMPARE(*pathOfTarget("/v1/models/a%2Fb?x=%zz"), std::string("/v1/models/a/b"));
    QVERIFY(!pathOfTarget("/v1/%2"));
    QVERIFY(!pathOfTarget("/v1/%zz"));
    QVERIFY(!pathOfTarget("http://elsewhere/"));
    QVERIFY(!pathOfTarget(""));
  }

  void routesAreFoundByMethodAndPath() {
    const Router router = someRouter();
    QVERIFY(router.find("GET", "/v1/models"));
    QVERIFY(router.find("HEAD", "/v1/models"));
    const auto model = router.find("GET", "/v1/models/org/name");
    QVERIFY(model);
    QCOMPARE(model->rest, std::string_view("org/name"));
    QCOMPARE(router.find("GET", "/v1/models/").error().status, 404);
    QCOMPARE(router.find("GET", "/v1/chat/completions").error().status, 405);
    QCOMPARE(router.find("OPTIONS", "/v1/models").error().status, 405);
    QCOMPARE(router.find("GET", "/nope").error().code, std::string("unknown_url"));
    QCOMPARE(router.allowedMethods("/v1/models"), std::string("GET, HEAD"));
  }

  void keysAreReadFromAPrivateFile() {
    const QTemporaryDir folder;
    const std::string path =
        writeKeyFile(folder,
                     QByteArray("# the panel\n") + kKey + "\r\n\nanother-key-of-the-list\n",
                     0600);
    const Result<ApiKeys> keys = ApiKeys::load(path);
    QVERIFY2(keys.ok(), keys.ok() ? "" : keys.error().text().c_str());
    QVERIFY(keys->required());
    QVERIFY(keys->accept(kKey));
    QVERIFY(keys->accept("another-key-of-the-list"));
    QVERIFY(!keys->accept(""));
    QVERIFY(!keys->accept("a-key-of-enough-characterS"));
    QVERIFY(!keys->accept("# the panel"));
  }

  void aKeyFileThatOthersMayReadIsRefused() {
    const QTemporaryDir folder;
    const Result<ApiKeys> keys = ApiKeys::load(writeKeyFile(folder, kKey, 0640));
    QVERIFY(!keys.ok());
    QCOMPARE(keys.error().code, ErrorCode::PermissionDenied);
    QVERIFY(keys.error().text().find("0640") != std::string::npos);
    QVERIFY(keys.error().remedy.find("chmod 600") != std::string::npos);
  }

  void anEmptyShortOrMissingKeyIsRefused() {
    const QTemporaryDir folder;
    QCOMPARE(ApiKeys::load(writeKeyFile(folder, "\n# none\n", 0600)).error().code,
             ErrorCode::InvalidArgument);
    QCOMPARE(ApiKeys::load(writeKeyFile(folder, "short\n", 0600)).error().code,
             ErrorCode::InvalidArgument);
    QCOMPARE(ApiKeys::load("/nonexistent/key").error().code, ErrorCode::NotFound);
    QVERIFY(!ApiKeys::load({})->required());
  }

  void theKeyMayComeAsBearerOrXApiKey() {
    const QTemporaryDir folder;
    const RequestGate gate(*ApiKeys::load(writeKeyFile(folder, kKey, 0600)), true);
    RequestHead head;
    QCOMPARE(gate.checkKey(head)->status, 401);
    head.authorization = std::string("Bearer ") + kKey;
    QVERIFY(!gate.checkKey(head));
    head.authorization = std::string("bearer  ") + kKey;
    QVERIFY(!gate.checkKey(head));
    head.authorization = std::string("Basic ") + kKey;
    QVERIFY(gate.checkKey(head));
    head.authorization.clear();
    head.xApiKey = kKey;
    QVERIFY(!gate.checkKey(head));
  }

  void onLoopbackOnlyLoopbackNamesAreAnswered_data() {
    QTest::addColumn<QByteArray>("host");
    QTest::addColumn<QByteArray>("origin");
    QTest::addColumn<bool>("allowed");
    const auto row = [](const char* host, const char* origin, bool allowed) {
      QTest::addRow("%s from %s", host, origin)
          << QByteArray(host) << QByteArray(origin) << allowed;
    };
    row("127.0.0.1:8000", "", true);
    row("localhost", "", true);
    row("[::1]:8000", "", true);
    row("127.9.9.9", "", true);
    row("", "", true);
    row("evil.example:8000", "", false);
    row("127.0.0.1.evil.example", "", false);
    row("localhost.evil.example", "", false);
    row("10.0.0.5", "", false);
    row("localhost", "http://localhost:3000", true);
    row("localhost", "https://evil.example", false);
    row("localhost", "null", false);
    row("localhost", "vscode-webview://abc", true);
  }

  void onLoopbackOnlyLoopbackNamesAreAnswered() {
    QFETCH(QByteArray, host);
    QFETCH(QByteArray, origin);
    QFETCH(bool, allowed);
    const RequestGate gate(*ApiKeys::load({}), true);
    RequestHead head;
    head.host = host.toStdString();
    head.origin = origin.toStdString();
    const auto refusal = gate.checkSource(head);
    QCOMPARE(!refusal, allowed);
    QVERIFY(allowed || refusal->status == 403);
  }

  void offLoopbackAnyHostNameIsAnswered() {
    const RequestGate gate(*ApiKeys::load({}), false);
    RequestHead head;
    head.host = "spark-1.local:8000";
    QVERIFY(!gate.checkSource(head));
  }

  void aTakenPortIsNamedWithItsProcess() {
    const Result<ListenSocket> first = listenOn("127.0.0.1", 0);
    QVERIFY(first.ok());
    QVERIFY(first->port != 0);
    QVERIFY(first->loopback);
    const Result<ListenSocket> second = listenOn("127.0.0.1", first->port);
    QVERIFY(!second.ok());
    QCOMPARE(second.error().code, ErrorCode::AlreadyExists);
    const std::string& message = second.error().message;
    QVERIFY2(message.find(std::to_string(first->port)) != std::string::npos, message.c_str());
    const std::string pid = "(pid " + std::to_string(::getpid()) + ")";
    QVERIFY2(message.find(pid) != std::string::npos, message.c_str());
  }

  void aHostThatIsNotHereIsRefused() {
    QCOMPARE(listenOn("no-such-host.invalid", 0).error().code, ErrorCode::InvalidArgument);
    QCOMPARE(listenOn("192.0.2.1", 0).error().code, ErrorCode::InvalidArgument);
  }
};

QTEST_APPLESS_MAIN(ServerTest)
#include "server_test.moc"
