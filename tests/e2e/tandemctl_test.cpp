// SPDX-License-Identifier: GPL-3.0-or-later
// tandemctl as its users run it, with the real engine and the demo model on two ranks. Every test
// has folders of its own, so that engines of others are neither seen nor touched.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QProcess>
#include <QRegularExpression>
#include <QSet>
#include <QTcpServer>
#include <QTemporaryDir>
#include <QTest>
#include <QUrl>

#include "tests/support/engine_process.h"

namespace tandem::test {

namespace {

constexpr int kExitNotRunning = 3;
// A start takes about a second; beside other tests on few cores, many times that.
constexpr int kLongMs = 90000;

struct Answer {
  int code = -1;
  QString out;
  QString error;

  [[nodiscard]] QJsonObject json() const { return jsonLines().value(0); }
  [[nodiscard]] QList<QJsonObject> jsonLines() const {
    QList<QJsonObject> objects;
    for (const QString& line : out.split(u'\n', Qt::SkipEmptyParts)) {
      objects << QJsonDocument::fromJson(line.toUtf8()).object();
    }
    return objects;
  }
  /// The last object of this event.
  [[nodiscard]] QJsonObject event(const QString& name) const {
    QJsonObject found;
    for (const QJsonObject& object : jsonLines()) {
      if (object[u"event"].toString() == name) {
        found = object;
      }
    }
    return found;
  }
  [[nodiscard]] QByteArray all() const { return (out + error).toUtf8(); }
};

/// One running tandemctl.
class Run {
 public:
  Run(const QProcessEnvironment& environment, const QStringList& arguments) {
    process_.setProcessEnvironment(environment);
    process_.start(QStringLiteral(TANDEMCTL), arguments);
    process_.waitForStarted();
  }
  ~Run() {
    process_.kill();
    process_.waitForFinished();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void send(int signal) const { ::kill(static_cast<pid_t>(process_.processId()), signal); }

  /// Until stdout has this text.
  bool waitForText(const QString& text) {
    QElapsedTimer timer;
    timer.start();
    while (!out_.contains(text) && timer.elapsed() < kLongMs) {
      process_.waitForReadyRead(50);
      out_ += QString::fromUtf8(process_.readAllStandardOutput());
    }
    return out_.contains(text);
  }

  Answer wait() {
    if (process_.state() != QProcess::NotRunning) {
      process_.waitForFinished(kLongMs);
    }
    Answer answer;
    if (process_.state() == QProcess::NotRunning && process_.exitStatus() == QProcess::NormalExit) {
      answer.code = process_.exitCode();
    }
    answer.out = out_ + QString::fromUtf8(process_.readAllStandardOutput());
    answer.error = QString::fromUtf8(process_.readAllStandardError());
    return answer;
  }

 private:
  QProcess process_;
  QString out_;
};

/// A user without any other engine, whose processes all end with it.
class User {
 public:
  User() {
    QDir(folder_.path()).mkdir(QStringLiteral("run"));
    ::chmod(QFile::encodeName(runFolder()).constData(), 0700);
    environment_.insert(QStringLiteral("XDG_RUNTIME_DIR"), runFolder());
    environment_.insert(QStringLiteral("XDG_STATE_HOME"),
                        folder_.filePath(QStringLiteral("state")));
  }
  ~User() {
    for (const pid_t pid : processes()) {
      ::kill(pid, SIGKILL);
    }
  }
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  [[nodiscard]] QString runFolder() const { return folder_.filePath(QStringLiteral("run")); }
  [[nodiscard]] QString socket() const {
    return runFolder() + QStringLiteral("/tandem/demo/engine-0.sock");
  }
  [[nodiscard]] QString file(const QString& name) const { return folder_.filePath(name); }

  [[nodiscard]] std::unique_ptr<Run> begin(const QStringList& arguments) const {
    return std::make_unique<Run>(environment_, arguments);
  }
  [[nodiscard]] Answer run(const QStringList& arguments) const { return begin(arguments)->wait(); }
  [[nodiscard]] Answer start() const {
    return run({QStringLiteral("start"),
                QStringLiteral("--port"),
                QStringLiteral("0"),
                QStringLiteral("--json")});
  }
  [[nodiscard]] Answer status() const {
    return run({QStringLiteral("status"), QStringLiteral("--json")});
  }

  /// Every process that was started with this user's folders and still runs.
  [[nodiscard]] QList<pid_t> processes() const {
    QList<pid_t> found;
    const QByteArray mark = "XDG_RUNTIME_DIR=" + QFile::encodeName(runFolder());
    const QStringList names = QDir(QStringLiteral("/proc")).entryList(QDir::Dirs);
    for (const QString& name : names) {
      QFile variables(QStringLiteral("/proc/%1/environ").arg(name));
      // That of a process which has ended is empty.
      if (name.toInt() > 0 && variables.open(QIODevice::ReadOnly) &&
          variables.readAll().split('\0').contains(mark)) {
        found << name.toInt();
      }
    }
    return found;
  }
  [[nodiscard]] bool waitUntilNothingRuns() const {
    return QTest::qWaitFor([this] { return processes().isEmpty(); }, kLongMs);
  }

 private:
  QTemporaryDir folder_;
  QProcessEnvironment environment_ = QProcessEnvironment::systemEnvironment();
};

quint16 portOf(const QJsonObject& ready) {
  return static_cast<quint16>(QUrl(ready[u"endpoint"].toString()).port(0));
}

/// An answer of thousands of tokens, of which the first have come.
std::unique_ptr<HttpRequest> longAnswer(quint16 port) {
  QJsonObject body =
      QJsonDocument::fromJson(chatBody(QStringLiteral("What is Tandem?"), true, 12000)).object();
  body[QStringLiteral("ignore_eos")] = true;
  auto request = std::make_unique<HttpRequest>(port,
                                               "POST",
                                               "/v1/chat/completions",
                                               QJsonDocument(body).toJson(QJsonDocument::Compact));
  return request->waitForText("\"content\":\"") ? std::move(request) : nullptr;
}

}  // namespace

class TandemctlTest : public QObject {
  Q_OBJECT

 private slots:
  void oneEngineIsStartedFoundAskedAndStopped();
  void aPersonReadsPhasesEndpointAndStatus();
  void theLogIsReadFromTheEngineAndFromItsFile();
  void followGoesOnUntilTheEngineEnds();
  void twoStartsAtOnceGiveOneEngine();
  void anInterruptedStartLeavesNothingBehind_data();
  void anInterruptedStartLeavesNothingBehind();
  void whoDoesNotWaitCanAskAndStopAtOnce();
  void aKilledEngineIsReportedAsLostAndStartsAgain();
  void aWorkerKilledInMidAnswerIsTheReasonGiven();
  void aModelThatIsNotThereIsNamed_data();
  void aModelThatIsNotThereIsNamed();
  void aPortInUseIsTheEnginesOwnSentence();
  void aForcedStopDoesNotWaitForAnAnswer();
  void aForcedStopEndsAnEngineThatHangs();
  void aRunFolderOpenToOthersIsRefused();
  void withoutAnEngineEveryCommandSaysSo();
  void theCommandLineIsExplained_data();
  void theCommandLineIsExplained();
};

void TandemctlTest::oneEngineIsStartedFoundAskedAndStopped() {
  const User user;
  const Answer started = user.start();
  QVERIFY2(started.code == kExitOk, started.all());
  const QJsonObject ready = started.event(QStringLiteral("ready"));
  QCOMPARE(ready[u"found"].toBool(true), false);
  QSet<QString> ended;
  for (const QJsonObject& object : started.jsonLines()) {
    if (object[u"event"] == QStringLiteral("phase") && object[u"state"] == QStringLiteral("end")) {
      ended << object[u"phase"].toString() + QString::number(object[u"rank"].toInt());
      QVERIFY(object[u"seconds"].toDouble(-1) >= 0);
    }
  }
  for (const char* phase : {"spawn0", "connect0", "connect1", "weights0", "weights1", "api0"}) {
    QVERIFY2(ended.contains(QString::fromLatin1(phase)), phase);
  }

  const QJsonObject again = user.start().event(QStringLiteral("ready"));
  QCOMPARE(again[u"found"].toBool(false), true);
  QCOMPARE(again[u"pid"], ready[u"pid"]);
  QCOMPARE(again[u"endpoint"], ready[u"endpoint"]);
  QCOMPARE(user.processes().size(), 2);

  const Answer status = user.status();
  QCOMPARE(status.code, kExitOk);
  QCOMPARE(status.json()[u"state"].toString(), QStringLiteral("ready"));
  QCOMPARE(status.json()[u"pid"], ready[u"pid"]);
  QCOMPARE(status.json()[u"info"][u"model"].toString(), QStringLiteral("demo-model"));
  QCOMPARE(status.json()[u"stats"][u"ranks"].toArray().size(), 2);

  const QByteArray models = HttpRequest(portOf(ready), "GET", "/v1/models", {}).waitForAll();
  QVERIFY2(models.contains("200 OK") && models.contains("demo-model"), models);

  const Answer stopped = user.run({QStringLiteral("stop")});
  QCOMPARE(stopped.code, kExitOk);
  QVERIFY2(stopped.out.contains(QStringLiteral("has ended")), stopped.all());
  QVERIFY(user.processes().isEmpty());
  QVERIFY(!QFile::exists(user.socket()));
  const Answer gone = user.status();
  QCOMPARE(gone.code, kExitNotRunning);
  QCOMPARE(gone.json()[u"running"].toBool(true), false);
  QCOMPARE(gone.json()[u"lost"].toBool(true), false);
  QVERIFY(!gone.json().contains(u"failure"));
}

void TandemctlTest::aPersonReadsPhasesEndpointAndStatus() {
  const User user;
  const QStringList start{QStringLiteral("start"),
                          QStringLiteral("--demo"),
                          QStringLiteral("--ranks"),
                          QStringLiteral("1"),
                          QStringLiteral("--port"),
                          QStringLiteral("0")};
  const Answer first = user.run(start);
  QVERIFY2(first.code == kExitOk, first.all());
  QVERIFY(first.error.isEmpty());
  static const QRegularExpression weights(
      QStringLiteral("rank 0  weights   done +[\\d.]+ m?s  [\\d.]+ MiB"));
  static const QRegularExpression curl(
      QStringLiteral("try +curl -s http://127\\.0\\.0\\.1:\\d+/v1/chat/completions"));
  QVERIFY2(weights.match(first.out).hasMatch(), first.all());
  QVERIFY2(curl.match(first.out).hasMatch(), first.all());
  QVERIFY2(!first.out.contains(QStringLiteral("rank 1")), first.all());
  QVERIFY2(!first.out.contains(QStringLiteral("usually")), first.all());
  const Answer status = user.run({QStringLiteral("status")});
  QVERIFY2(status.out.startsWith(QStringLiteral("state      ready, pid ")), status.all());
  QVERIFY2(status.out.contains(QStringLiteral("1 rank, cpu back end")), status.all());
  QCOMPARE(user.run({QStringLiteral("stop"), QStringLiteral("--json")})
               .event(QStringLiteral("stopped"))[u"was_running"]
               .toBool(false),
           true);
  // The second start knows how long the first one took.
  const Answer second = user.run(start);
  QVERIFY2(second.out.contains(QStringLiteral("(usually ")), second.all());
}

void TandemctlTest::theLogIsReadFromTheEngineAndFromItsFile() {
  const User user;
  QCOMPARE(user.start().code, kExitOk);
  const Answer live = user.run({QStringLiteral("logs")});
  QCOMPARE(live.code, kExitOk);
  QVERIFY2(live.out.contains(QStringLiteral("info engine: ready at http://127.0.0.1:")),
           live.all());
  const QList<QJsonObject> records =
      user.run({QStringLiteral("logs"), QStringLiteral("--json")}).jsonLines();
  QVERIFY(records.size() > 5);
  for (qsizetype i = 0; i < records.size(); ++i) {
    QCOMPARE(records[i][u"seq"].toInteger(), i + 1);
  }
  QCOMPARE(user.run({QStringLiteral("stop")}).code, kExitOk);
  const Answer file = user.run({QStringLiteral("logs")});
  QCOMPARE(file.code, kExitOk);
  QVERIFY2(file.out.startsWith(live.out), file.all());
  QVERIFY2(file.out.contains(QStringLiteral("info engine: stopped")), file.all());
}

void TandemctlTest::followGoesOnUntilTheEngineEnds() {
  const User user;
  const Answer started = user.start();
  const quint16 port = portOf(started.event(QStringLiteral("ready")));
  const std::unique_ptr<Run> follow =
      user.begin({QStringLiteral("logs"), QStringLiteral("--follow")});
  QVERIFY(follow->waitForText(QStringLiteral("ready at")));
  HttpRequest(port, "POST", "/v1/chat/completions", chatBody(QStringLiteral("Hi"), false, 4))
      .waitForAll();
  QVERIFY(follow->waitForText(QStringLiteral("4 tokens")));
  QCOMPARE(user.run({QStringLiteral("stop")}).code, kExitOk);
  const Answer answer = follow->wait();
  QCOMPARE(answer.code, kExitOk);
  QVERIFY2(answer.out.contains(QStringLiteral("asks for the end")), answer.all());
}

void TandemctlTest::twoStartsAtOnceGiveOneEngine() {
  const User user;
  const QStringList arguments{QStringLiteral("start"),
                              QStringLiteral("--port"),
                              QStringLiteral("0"),
                              QStringLiteral("--json")};
  const std::unique_ptr<Run> one = user.begin(arguments);
  const std::unique_ptr<Run> two = user.begin(arguments);
  const Answer first = one->wait();
  const Answer second = two->wait();
  QVERIFY2(first.code == kExitOk, first.all());
  QVERIFY2(second.code == kExitOk, second.all());
  const QJsonObject a = first.event(QStringLiteral("ready"));
  const QJsonObject b = second.event(QStringLiteral("ready"));
  QCOMPARE(a[u"pid"], b[u"pid"]);
  QVERIFY(a[u"found"].toBool() != b[u"found"].toBool());
  QCOMPARE(user.processes().size(), 2);
}

void TandemctlTest::anInterruptedStartLeavesNothingBehind_data() {
  QTest::addColumn<QString>("after");
  QTest::newRow("at once") << QStringLiteral("spawn");
  QTest::newRow("while the ranks connect") << QStringLiteral("connect");
  QTest::newRow("while weights are read") << QStringLiteral("weights");
  QTest::newRow("while it tests itself") << QStringLiteral("selftest");
}

void TandemctlTest::anInterruptedStartLeavesNothingBehind() {
  QFETCH(QString, after);
  const User user;
  const std::unique_ptr<Run> start = user.begin({QStringLiteral("start"),
                                                 QStringLiteral("--port"),
                                                 QStringLiteral("0"),
                                                 QStringLiteral("--json")});
  QVERIFY(start->waitForText(QStringLiteral("\"phase\":\"%1\"").arg(after)));
  start->send(SIGINT);
  const Answer answer = start->wait();
  QVERIFY2(answer.code == kExitFailed, answer.all());
  QVERIFY2(!answer.event(QStringLiteral("cancelled")).isEmpty(), answer.all());
  QVERIFY(user.processes().isEmpty());
  QVERIFY(!QFile::exists(user.socket()));
  const Answer status = user.status();
  QCOMPARE(status.code, kExitNotRunning);
  QVERIFY2(!status.json()[u"lost"].toBool(true), status.all());
}

void TandemctlTest::whoDoesNotWaitCanAskAndStopAtOnce() {
  const User user;
  const Answer started = user.run({QStringLiteral("start"),
                                   QStringLiteral("--port"),
                                   QStringLiteral("0"),
                                   QStringLiteral("--no-wait"),
                                   QStringLiteral("--json")});
  QCOMPARE(started.code, kExitOk);
  QVERIFY(started.event(QStringLiteral("ready")).isEmpty());
  const Answer status = user.status();
  QVERIFY2(status.code == kExitOk, status.all());
  QCOMPARE(status.json()[u"pid"], started.event(QStringLiteral("started"))[u"pid"]);
  const Answer stopped = user.run({QStringLiteral("stop")});
  QVERIFY2(stopped.code == kExitOk, stopped.all());
  QVERIFY(user.processes().isEmpty());
}

void TandemctlTest::aKilledEngineIsReportedAsLostAndStartsAgain() {
  const User user;
  const QJsonObject ready = user.start().event(QStringLiteral("ready"));
  QVERIFY(ready[u"pid"].toInteger() > 0);
  ::kill(static_cast<pid_t>(ready[u"pid"].toInteger()), SIGKILL);
  // Rank 1 goes with it.
  QVERIFY(user.waitUntilNothingRuns());
  const Answer status = user.status();
  QCOMPARE(status.code, kExitNotRunning);
  QCOMPARE(status.json()[u"lost"].toBool(false), true);
  const QString why = status.json()[u"failure"][u"message"].toString();
  QVERIFY2(why.contains(QString::number(ready[u"pid"].toInteger())) &&
               why.contains(QStringLiteral("lost")) && why.contains(QStringLiteral("ready at")),
           qPrintable(why));
  QVERIFY(user.run({QStringLiteral("status")}).error.contains(QStringLiteral("lost")));
  const Answer again = user.start();
  QVERIFY2(again.code == kExitOk, again.all());
  QCOMPARE(user.run({QStringLiteral("stop")}).code, kExitOk);
  QCOMPARE(user.status().json()[u"lost"].toBool(true), false);
}

void TandemctlTest::aWorkerKilledInMidAnswerIsTheReasonGiven() {
  const User user;
  const QJsonObject ready = user.start().event(QStringLiteral("ready"));
  const auto pid = static_cast<pid_t>(ready[u"pid"].toInteger());
  const std::unique_ptr<HttpRequest> answer = longAnswer(portOf(ready));
  QVERIFY(answer);
  QList<pid_t> workers = user.processes();
  QVERIFY(workers.removeOne(pid));
  QCOMPARE(workers.size(), 1);
  ::kill(workers[0], SIGKILL);
  QVERIFY(user.waitUntilNothingRuns());
  const Answer status = user.status();
  QCOMPARE(status.code, kExitNotRunning);
  QCOMPARE(status.json()[u"lost"].toBool(true), false);
  const QString why = status.json()[u"failure"][u"message"].toString();
  QVERIFY2(why.contains(QStringLiteral("signal 9")), status.all());
}

void TandemctlTest::aModelThatIsNotThereIsNamed_data() {
  QTest::addColumn<QString>("folder");
  QTest::newRow("missing") << QStringLiteral("no-model");
  QTest::newRow("empty") << QStringLiteral("empty");
  QTest::newRow("config.json is a folder") << QStringLiteral("odd");
}

void TandemctlTest::aModelThatIsNotThereIsNamed() {
  QFETCH(QString, folder);
  const User user;
  QDir().mkpath(user.file(QStringLiteral("empty")));
  QDir().mkpath(user.file(QStringLiteral("odd/config.json")));
  const Answer answer = user.run({QStringLiteral("start"),
                                  QStringLiteral("--json"),
                                  QStringLiteral("--port"),
                                  QStringLiteral("0"),
                                  QStringLiteral("--model"),
                                  user.file(folder)});
  QCOMPARE(answer.code, kExitFailed);
  QVERIFY2(answer.error.contains(user.file(folder)), answer.all());
  const QString why = answer.event(QStringLiteral("failed"))[u"error"][u"message"].toString();
  QVERIFY2(why.contains(user.file(folder)), answer.all());
  QVERIFY(user.waitUntilNothingRuns());  // the engine may still be on its way out
  QCOMPARE(user.status().code, kExitNotRunning);
}

void TandemctlTest::aPortInUseIsTheEnginesOwnSentence() {
  const User user;
  QTcpServer other;
  QVERIFY(other.listen(QHostAddress::LocalHost));
  const QString port = QString::number(other.serverPort());
  const Answer answer = user.run({QStringLiteral("start"), QStringLiteral("--port"), port});
  QCOMPARE(answer.code, kExitFailed);
  QVERIFY2(answer.error.contains(port) && answer.error.contains(QStringLiteral("tandemctl_test")),
           answer.all());
  QVERIFY(user.processes().isEmpty());
  // Whoever asks later is told, too.
  const Answer status = user.status();
  QVERIFY2(status.json()[u"failure"][u"message"].toString().contains(port), status.all());
}

void TandemctlTest::aForcedStopDoesNotWaitForAnAnswer() {
  const User user;
  const QJsonObject ready = user.start().event(QStringLiteral("ready"));
  const std::unique_ptr<HttpRequest> answer = longAnswer(portOf(ready));
  QVERIFY(answer);
  const Answer stopped =
      user.run({QStringLiteral("stop"), QStringLiteral("--force"), QStringLiteral("--json")});
  QVERIFY2(stopped.code == kExitOk, stopped.all());
  QCOMPARE(stopped.event(QStringLiteral("stopped"))[u"killed"].toBool(true), false);
  QVERIFY(user.processes().isEmpty());
  // The answer was not complete: that would have taken 12,000 tokens.
  QVERIFY(!answer->waitForAll().contains("\"finish_reason\":\"length\""));
}

void TandemctlTest::aForcedStopEndsAnEngineThatHangs() {
  const User user;
  const QJsonObject ready = user.start().event(QStringLiteral("ready"));
  ::kill(static_cast<pid_t>(ready[u"pid"].toInteger()), SIGSTOP);
  const Answer stopped = user.run({QStringLiteral("stop"), QStringLiteral("--force")});
  QVERIFY2(stopped.code == kExitOk, stopped.all());
  QVERIFY(user.waitUntilNothingRuns());
  QCOMPARE(user.status().json()[u"lost"].toBool(true), false);
}

void TandemctlTest::aRunFolderOpenToOthersIsRefused() {
  const User user;
  const QString folder = user.runFolder() + QStringLiteral("/tandem");
  QDir().mkpath(folder);
  ::chmod(QFile::encodeName(folder).constData(), 0777);
  const Answer answer = user.start();
  QCOMPARE(answer.code, kExitFailed);
  QVERIFY2(answer.error.contains(QStringLiteral("chmod 700 ") + folder), answer.all());
}

void TandemctlTest::withoutAnEngineEveryCommandSaysSo() {
  const User user;
  const Answer status = user.run({QStringLiteral("status")});
  QCOMPARE(status.code, kExitNotRunning);
  QCOMPARE(status.out, QStringLiteral("No engine of this user runs.\n"));
  const Answer stop = user.run({QStringLiteral("stop")});
  QCOMPARE(stop.code, kExitOk);
  QCOMPARE(stop.out, QStringLiteral("No engine of this user runs.\n"));
  const Answer logs = user.run({QStringLiteral("logs")});
  QCOMPARE(logs.code, kExitFailed);
  QVERIFY2(logs.error.contains(user.file(QStringLiteral("state/tandem"))), logs.all());
}

void TandemctlTest::theCommandLineIsExplained_data() {
  QTest::addColumn<QStringList>("arguments");
  QTest::addColumn<int>("code");
  QTest::addColumn<QString>("says");
  const QString start = QStringLiteral("start");
  QTest::newRow("version") << QStringList{QStringLiteral("--version")} << kExitOk
                           << QStringLiteral("tandemctl 0.");
  QTest::newRow("help") << QStringList{QStringLiteral("--help")} << kExitOk
                        << QStringLiteral("Exit codes: 0 done");
  QTest::newRow("help of a command")
      << QStringList{start, QStringLiteral("--help")} << kExitOk << QStringLiteral("--no-wait");
  QTest::newRow("nothing") << QStringList{} << kExitUsage << QStringLiteral("subcommand");
  QTest::newRow("no such command")
      << QStringList{QStringLiteral("begin")} << kExitUsage << QStringLiteral("subcommand");
  QTest::newRow("three ranks") << QStringList{start, QStringLiteral("--ranks"), QStringLiteral("3")}
                               << kExitUsage << QStringLiteral("--ranks");
  QTest::newRow("a port too large")
      << QStringList{start, QStringLiteral("--port"), QStringLiteral("65536")} << kExitUsage
      << QStringLiteral("--port");
  QTest::newRow("an option of another command")
      << QStringList{QStringLiteral("status"), QStringLiteral("--force")} << kExitUsage
      << QStringLiteral("--force");
}

void TandemctlTest::theCommandLineIsExplained() {
  QFETCH(QStringList, arguments);
  QFETCH(int, code);
  QFETCH(QString, says);
  const User user;
  const Answer answer = user.run(arguments);
  QCOMPARE(answer.code, code);
  QVERIFY2((code == kExitOk ? answer.out : answer.error).contains(says), answer.all());
}

}  // namespace tandem::test

QTEST_GUILESS_MAIN(tandem::test::TandemctlTest)
#include "tandemctl_test.moc"
