// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine as its users run it: processes, signals, exit codes and the sentences they print.
#include <signal.h>
#include <unistd.h>

#include <QCoreApplication>
#include <QElapsedTimer>
#include <QFile>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTcpServer>
#include <QTemporaryDir>
#include <QTest>

#include "tests/support/checkpoints.h"
#include "tests/support/engine_process.h"

using namespace tandem::test;

namespace {

// On a free machine 5 s and 1 s are kept. A busy one may give a process its turn late, so these
// only tell a limit that works from one that is missing: without it the engine waits for minutes.
constexpr int kLossMs = 20000 * kSlowness;  // a lost rank is noticed, told and exited for
constexpr int kStopMs = 10000 * kSlowness;  // from SIGTERM to the exit while no answer is open

bool isAlive(qint64 pid) {
  return ::kill(static_cast<pid_t>(pid), 0) == 0;
}

QJsonObject readJson(const QString& file) {
  QFile stream(file);
  return stream.open(QIODevice::ReadOnly) ? QJsonDocument::fromJson(stream.readAll()).object()
                                          : QJsonObject();
}

void writeFile(const QString& file, const QByteArray& content) {
  QFile stream(file);
  if (!stream.open(QIODevice::WriteOnly) || stream.write(content) != content.size()) {
    qFatal("could not write a test file");
  }
}

}  // namespace

class TwoProcessTest : public QObject {
  Q_OBJECT

  QString chatModel_;

  [[nodiscard]] QStringList serve(const QStringList& more = {}, quint16 port = 0) const {
    return QStringList{QStringLiteral("serve"),
                       QStringLiteral("--model"),
                       chatModel_,
                       QStringLiteral("--ranks"),
                       QStringLiteral("2"),
                       QStringLiteral("--port"),
                       QString::number(port)} +
           more;
  }

 private slots:
  void initTestCase() { chatModel_ = chatCheckpoint(); }

  void init() {
    if (chatModel_.isEmpty()) {
      QSKIP("no chat checkpoint: neither resources/demo-model nor ../shared/oracle/tiny-trained");
    }
  }

  void serveAnswersAndStopsInOrder() {
    Engine engine(serve());
    const quint16 port = engine.waitForPort();
    QVERIFY2(port != 0, qPrintable(engine.output()));
    const qint64 worker = engine.workerPid();
    QVERIFY(isAlive(worker));
    HttpRequest chat(port,
                     "POST",
                     "/v1/chat/completions",
                     chatBody(QStringLiteral("Hi"), false, 8));
    const QByteArray answer = chat.waitForAll();
    QVERIFY2(answer.startsWith("HTTP/1.1 200"), answer.constData());
    QVERIFY2(answer.contains("\"completion_tokens\":"), answer.constData());
    for (const char* phase : {"connect", "validate", "weights", "kv", "selftest", "api"}) {
      QVERIFY2(engine.output().contains(
                   QStringLiteral("rank 0 info start: %1 took").arg(QLatin1String(phase))),
               phase);
    }
    QVERIFY(engine.output().contains(QStringLiteral("rank 1 info start: weights took")));
    engine.send(SIGTERM);
    QCOMPARE(engine.waitForExit(), kExitOk);
    QVERIFY(!isAlive(worker));
  }

  void clientsAreToldToComeBackWhileTheEngineStarts() {
    const QTemporaryDir folder;
    const QString secret = folder.filePath(QStringLiteral("secret"));
    writeFile(secret, QByteArray(32, 's'));
    QFile::setPermissions(secret, QFile::ReadOwner | QFile::WriteOwner);
    // Rank 1 never comes, so the start stays in its first phase.
    Engine engine(serve({QStringLiteral("--peer"),
                         QStringLiteral("127.0.0.1:0"),
                         QStringLiteral("--peer-secret"),
                         secret}));
    const quint16 port =
        engine.waitFor(QStringLiteral("answering at http://127\\.0\\.0\\.1:(\\d+)/v1")).toUShort();
    QVERIFY2(port != 0, qPrintable(engine.output()));
    QTRY_VERIFY(HttpRequest(port, "GET", "/health", "").waitForAll().contains("\"connect\""));
    HttpRequest chat(port,
                     "POST",
                     "/v1/chat/completions",
                     chatBody(QStringLiteral("Hi"), false, 8));
    HttpRequest models(port, "GET", "/v1/models", "");
    HttpRequest health(port, "GET", "/health", "");
    for (HttpRequest* request : {&chat, &models, &health}) {
      const QByteArray answer = request->waitForAll();
      QVERIFY2(answer.startsWith("HTTP/1.1 503"), answer.constData());
      QVERIFY2(answer.contains("\r\nRetry-After: 1\r\n"), answer.constData());
      QVERIFY2(answer.contains("\"code\":\"model_loading\""), answer.constData());
      QVERIFY2(answer.contains("the model is loading (phase connect)"), answer.constData());
    }
    QElapsedTimer timer;
    timer.start();
    engine.send(SIGTERM);
    QCOMPARE(engine.waitForExit(), kExitOk);
    QVERIFY2(timer.elapsed() <= kStopMs, qPrintable(QString::number(timer.elapsed())));
  }

  void aStopDuringTheStartIsObeyedAtOnce_data() {
    QTest::addColumn<QString>("line");
    QTest::newRow("while rank 1 comes up") << QStringLiteral("(local worker with pid)");
    QTest::newRow("while the weights load") << QStringLiteral("(rank 0 info start: validate took)");
    QTest::newRow("while the model is tested") << QStringLiteral("(rank 0 info start: kv took)");
  }
  void aStopDuringTheStartIsObeyedAtOnce() {
    QFETCH(QString, line);
    Engine engine(serve());
    QVERIFY2(!engine.waitFor(line).isEmpty(), qPrintable(engine.output()));
    const qint64 worker = engine.workerPid();
    QElapsedTimer timer;
    timer.start();
    engine.send(SIGTERM);
    QCOMPARE(engine.waitForExit(), kExitOk);
    QVERIFY2(timer.elapsed() <= kStopMs, qPrintable(QString::number(timer.elapsed())));
    QVERIFY(!isAlive(worker));
  }

  void anOpenAnswerIsFinishedBeforeTheEngineStops() {
    Engine engine(serve({QStringLiteral("--backend"), QStringLiteral("reference")}));
    const quint16 port = engine.waitForPort();
    QVERIFY2(port != 0, qPrintable(engine.output()));
    const QString longText = QStringLiteral("one two three four ").repeated(40 / kSlowness);
    HttpRequest chat(port,
                     "POST",
                     "/v1/chat/completions",
                     chatBody(longText, true, 200 / kSlowness));
    QVERIFY(chat.waitForText("\"delta\""));
    engine.send(SIGINT);
    const QByteArray answer = chat.waitForAll();
    QVERIFY2(answer.contains("data: [DONE]"), answer.constData());
    QVERIFY(!answer.contains("\"error\""));
    QCOMPARE(engine.waitForExit(), kExitOk);
  }

  void aWorkerLostInMidAnswerEndsTheStreamWithAnErrorAndTheEngineWith75_data() {
    QTest::addColumn<int>("signal");
    QTest::addColumn<QString>("says");
    QTest::addColumn<QString>("remedy");
    QTest::newRow("killed") << SIGKILL << QStringLiteral("ended with signal 9")
                            << QStringLiteral("(dmesg says so). Start the engine again.");
    QTest::newRow("frozen") << SIGSTOP << QStringLiteral("not heard from for 4000 ms")
                            << QStringLiteral("Check that node and the cable.");
  }

  void aWorkerLostInMidAnswerEndsTheStreamWithAnErrorAndTheEngineWith75() {
    QFETCH(int, signal);
    QFETCH(QString, says);
    QFETCH(QString, remedy);
    Engine engine(serve({QStringLiteral("--backend"), QStringLiteral("reference")}));
    const quint16 port = engine.waitForPort();
    QVERIFY2(port != 0, qPrintable(engine.output()));
    const qint64 worker = engine.workerPid();
    // The second request waits behind the first, whose prompt keeps the ranks busy for long enough.
    const QString longText = QStringLiteral("one two three four ").repeated(200);
    HttpRequest running(port, "POST", "/v1/chat/completions", chatBody(longText, true, 500));
    QVERIFY(running.waitForText("200 OK"));
    HttpRequest waiting(port, "POST", "/v1/chat/completions", chatBody(longText, true, 500));
    QVERIFY(waiting.waitForText("200 OK"));
    QElapsedTimer timer;
    timer.start();
    ::kill(static_cast<pid_t>(worker), signal);
    QCOMPARE(engine.waitForExit(), kExitFatal);
    QVERIFY2(timer.elapsed() <= kLossMs, qPrintable(QString::number(timer.elapsed())));
    for (HttpRequest* request : {&running, &waiting}) {
      const QByteArray answer = request->waitForAll();
      QVERIFY2(answer.contains("\"error\""), answer.constData());
      QVERIFY2(answer.contains("rank 1"), answer.constData());
    }
    const QString lastLine = engine.output().trimmed().section(u'\n', -1);
    QVERIFY2(lastLine.startsWith(QStringLiteral("tandem-engine serve: rank 1 is")),
             qPrintable(lastLine));
    QVERIFY2(lastLine.contains(says), qPrintable(lastLine));
    QVERIFY2(lastLine.contains(remedy), qPrintable(lastLine));
    QTRY_VERIFY(!isAlive(worker));
  }

  void aWorkerDoesNotOutliveRankZero() {
    Engine engine(serve());
    QVERIFY2(engine.waitForPort() != 0, qPrintable(engine.output()));
    const qint64 worker = engine.workerPid();
    QVERIFY(isAlive(worker));
    engine.send(SIGKILL);
    QTRY_VERIFY_WITH_TIMEOUT(!isAlive(worker), kLossMs);
  }

  void ranksStartedApartMeetOverTheirSecretAndTheWorkerExitsWithRankZero() {
    const QTemporaryDir folder;
    const QString secret = folder.filePath(QStringLiteral("secret"));
    writeFile(secret, QByteArray(32, 's'));
    QFile::setPermissions(secret, QFile::ReadOwner | QFile::WriteOwner);
    QTcpServer probe;  // finds a free port
    QVERIFY(probe.listen(QHostAddress::LocalHost));
    const QString peer = QStringLiteral("127.0.0.1:%1").arg(probe.serverPort());
    probe.close();
    const QStringList pairing{QStringLiteral("--peer"),
                              peer,
                              QStringLiteral("--peer-secret"),
                              secret};
    // Rank 1 first, as a start on two nodes does it.
    Engine worker(QStringList{QStringLiteral("worker"), QStringLiteral("--model"), chatModel_} +
                  pairing);
    Engine head(serve(pairing));
    QVERIFY2(head.waitForPort() != 0, qPrintable(head.output()));
    QElapsedTimer timer;
    timer.start();
    head.send(SIGKILL);
    QCOMPARE(worker.waitForExit(), kExitFatal);
    QVERIFY(timer.elapsed() <= kLossMs);
    QVERIFY2(worker.output().contains(QStringLiteral("tandem-engine worker: rank 0 is lost")),
             qPrintable(worker.output()));
  }

  void aWorkerWithAnotherSecretIsRefusedAndSaysSo() {
    const QTemporaryDir folder;
    const QString secret = folder.filePath(QStringLiteral("secret"));
    const QString other = folder.filePath(QStringLiteral("other"));
    for (const auto& [file, fill] : {std::pair(secret, 's'), std::pair(other, 'o')}) {
      writeFile(file, QByteArray(32, fill));
      QFile::setPermissions(file, QFile::ReadOwner | QFile::WriteOwner);
    }
    QTcpServer probe;
    QVERIFY(probe.listen(QHostAddress::LocalHost));
    const QString peer = QStringLiteral("127.0.0.1:%1").arg(probe.serverPort());
    probe.close();
    Engine head(serve({QStringLiteral("--peer"), peer, QStringLiteral("--peer-secret"), secret}));
    Engine worker({QStringLiteral("worker"),
                   QStringLiteral("--model"),
                   chatModel_,
                   QStringLiteral("--peer"),
                   peer,
                   QStringLiteral("--peer-secret"),
                   other});
    QCOMPARE(worker.waitForExit(), kExitFatal);
    QVERIFY2(worker.output().contains(QStringLiteral("another pairing secret")),
             qPrintable(worker.output()));
    QVERIFY(!head.waitFor(QStringLiteral("was refused: the other end has (another) pairing secret"))
                 .isEmpty());
    head.send(SIGTERM);
    QCOMPARE(head.waitForExit(), kExitOk);
  }

  void aSecretThatOthersCanReadIsRefused() {
    const QTemporaryDir folder;
    const QString secret = folder.filePath(QStringLiteral("secret"));
    writeFile(secret, QByteArray(32, 's'));
    QFile::setPermissions(secret, QFile::ReadOwner | QFile::WriteOwner | QFile::ReadGroup);
    Engine worker({QStringLiteral("worker"),
                   QStringLiteral("--model"),
                   chatModel_,
                   QStringLiteral("--peer"),
                   QStringLiteral("127.0.0.1:1"),
                   QStringLiteral("--peer-secret"),
                   secret});
    QCOMPARE(worker.waitForExit(), kExitFatal);
    QVERIFY2(worker.output().contains(QStringLiteral("has mode 0640")),
             qPrintable(worker.output()));
  }

  void aTakenPortIsNamedWithItsHolder() {
    QTcpServer holder;
    QVERIFY(holder.listen(QHostAddress::LocalHost));
    Engine engine(serve({}, holder.serverPort()));
    QCOMPARE(engine.waitForExit(), kExitFatal);
    const QString lastLine = engine.output().trimmed().section(u'\n', -1);
    QVERIFY2(lastLine.contains(QString::number(holder.serverPort())), qPrintable(lastLine));
    QVERIFY2(lastLine.contains(QStringLiteral("pid %1").arg(::getpid())), qPrintable(lastLine));
    QVERIFY2(lastLine.contains(QStringLiteral("choose another port (--port;")),
             qPrintable(lastLine));
  }

  void aFolderWithoutAModelIsNamed() {
    const QTemporaryDir empty;
    Engine engine({QStringLiteral("serve"),
                   QStringLiteral("--model"),
                   empty.path(),
                   QStringLiteral("--ranks"),
                   QStringLiteral("2")});
    QCOMPARE(engine.waitForExit(), kExitFatal);
    for (const QString& words : {empty.path() + QStringLiteral("/config.json: No such file"),
                                 QStringLiteral("Choose a folder that holds a DeepSeek-V4")}) {
      QVERIFY2(engine.output().contains(words), qPrintable(engine.output()));
    }
  }

  void wrongOptionsAreUsageErrors_data() {
    QTest::addColumn<QStringList>("arguments");
    const QStringList model{QStringLiteral("--model"), QStringLiteral("/tmp")};
    QTest::newRow("three ranks") << QStringList{QStringLiteral("serve")} + model +
                                        QStringList{QStringLiteral("--ranks"), QStringLiteral("3")};
    QTest::newRow("unknown numerics")
        << QStringList{QStringLiteral("serve")} + model +
               QStringList{QStringLiteral("--numerics"), QStringLiteral("fp2")};
    QTest::newRow("a peer without a secret")
        << QStringList{QStringLiteral("serve")} + model +
               QStringList{QStringLiteral("--peer"), QStringLiteral("127.0.0.1:1")};
    QTest::newRow("a floor above what holds requests")
        << QStringList{QStringLiteral("serve")} + model +
               QStringList{QStringLiteral("--memory-floor"),
                           QStringLiteral("4.5"),
                           QStringLiteral("--memory-hold"),
                           QStringLiteral("4.5")};
    QTest::newRow("a peer with a port of letters")
        << QStringList{QStringLiteral("worker")} + model +
               QStringList{QStringLiteral("--peer"),
                           QStringLiteral("host:http"),
                           QStringLiteral("--peer-secret"),
                           QStringLiteral("x")};
  }

  void wrongOptionsAreUsageErrors() {
    QFETCH(QStringList, arguments);
    Engine engine(arguments);
    QCOMPARE(engine.waitForExit(), kExitUsage);
  }

  void generateGivesTheSameOnOneAndTwoRanks() {
    const QTemporaryDir folder;
    const QString tokens = folder.filePath(QStringLiteral("tokens.json"));
    writeFile(tokens, R"({"a": [0, 5, 9, 12], "b": [0, 7, 7, 7, 7, 7, 7]})");
    QList<QJsonObject> answers;
    for (const QString& ranks : {QStringLiteral("1"), QStringLiteral("2")}) {
      const QString out = folder.filePath(ranks);
      Engine engine({QStringLiteral("generate"),
                     QStringLiteral("--model"),
                     chatModel_,
                     QStringLiteral("--tokens"),
                     tokens,
                     QStringLiteral("--out"),
                     out,
                     QStringLiteral("--max-tokens"),
                     QStringLiteral("16"),
                     QStringLiteral("--ignore-eos"),
                     QStringLiteral("--numerics"),
                     QStringLiteral("exact"),
                     QStringLiteral("--ranks"),
                     ranks});
      QCOMPARE(engine.waitForExit(), kExitOk);
      answers.append(readJson(out));
    }
    QCOMPARE(answers[0].value(u"a").toArray().size(), 16);
    QCOMPARE(answers[0].value(u"b").toArray().size(), 16);
    QCOMPARE(answers[1], answers[0]);
  }

  void generateRefusesBadPromptsWithTheValues_data() {
    QTest::addColumn<QByteArray>("tokens");
    QTest::addColumn<QString>("says");  // to its end: the remedy too
    QTest::newRow("token out of range") << QByteArray(R"({"a": [0, 99999999]})")
                                        << QStringLiteral(
                                               "a: prompt token 1 is 99999999; the vocabulary has "
                                               "ids 0 to %1. Use the tokenizer of this model.");
    QTest::newRow("empty prompt")
        << QByteArray(R"({"a": []})")
        << QStringLiteral(
               "tokens.json: a is not a list of token ids with at least one. Give a file such as");
    QTest::newRow("longer than the context")
        << QByteArray("{\"a\": [" + QByteArray("1,").repeated(64) + "1]}")
        << QStringLiteral(
               "a: the prompt has 65 tokens; the context of 64 tokens must hold it and at least "
               "one token of the answer. Shorten the conversation, or");
    QTest::newRow("not JSON") << QByteArray("[[[")
                              << QStringLiteral(
                                     "tokens.json is not a JSON object. Give a file such as");
  }

  void generateRefusesBadPromptsWithTheValues() {
    QFETCH(QByteArray, tokens);
    QFETCH(QString, says);
    const QTemporaryDir folder;
    const QString file = folder.filePath(QStringLiteral("tokens.json"));
    writeFile(file, tokens);
    Engine engine({QStringLiteral("generate"),
                   QStringLiteral("--model"),
                   chatModel_,
                   QStringLiteral("--tokens"),
                   file,
                   QStringLiteral("--out"),
                   folder.filePath(QStringLiteral("out")),
                   QStringLiteral("--max-tokens"),
                   QStringLiteral("4"),
                   QStringLiteral("--context"),
                   QStringLiteral("64")});
    QCOMPARE(engine.waitForExit(), kExitFailed);
    const qint64 lastId =
        readJson(chatModel_ + QStringLiteral("/config.json")).value(u"vocab_size").toInteger() - 1;
    const QString sentence = says.contains(u'%') ? says.arg(lastId) : says;
    QVERIFY2(engine.output().contains(sentence), qPrintable(engine.output()));
  }
};

QTEST_GUILESS_MAIN(TwoProcessTest)
#include "two_process_test.moc"
