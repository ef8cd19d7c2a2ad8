// SPDX-License-Identifier: GPL-3.0-or-later
// Prompts and requests that are wrong, given to the real program: every answer is a sentence with
// the values and what to do, and the server goes on.
#include <QFile>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTest>

#include "tests/support/checkpoints.h"
#include "tests/support/engine_process.h"

using namespace tandem::test;

namespace {

QByteArray readFile(const QString& path) {
  QFile file(path);
  if (!file.open(QIODevice::ReadOnly)) {
    qFatal("could not read %s", qPrintable(path));
  }
  return file.readAll();
}

void writeFile(const QString& path, const QByteArray& content) {
  QFile file(path);
  if (!file.open(QIODevice::WriteOnly) || file.write(content) != content.size()) {
    qFatal("could not write %s", qPrintable(path));
  }
}

/// What the program says last of all, "" if that is not from `command` itself.
QString lastWords(const QString& output, const QString& command) {
  const qsizetype at = output.indexOf(QStringLiteral("tandem-engine %1: ").arg(command));
  return at < 0 ? QString() : output.mid(at).trimmed();
}

}  // namespace

class BadRequestTest : public QObject {
  Q_OBJECT

  QString model_;

 private slots:
  void initTestCase() { model_ = findCheckpoint({QStringLiteral("resources/demo-model")}); }

  void init() {
    if (model_.isEmpty()) {
      QSKIP("resources/demo-model is not here");
    }
  }

  void scoreRefusesBadPromptsWithTheValues_data() {
    QTest::addColumn<QByteArray>("tokens");
    QTest::addColumn<QString>("says");
    QTest::newRow("token out of range")
        << QByteArray(R"({"a": [0, 99999999]})")
        << QStringLiteral(
               "a: token id 99999999 is outside the vocabulary of %1. Tokenise with this model's "
               "tokenizer.json.");
    QTest::newRow("negative token")
        << QByteArray(R"({"a": [0, -1]})")
        << QStringLiteral(
               "a: token id -1 is outside the vocabulary of %1. Tokenise with this model's "
               "tokenizer.json.");
    QTest::newRow("empty prompt") << QByteArray(R"({"a": []})")
                                  << QStringLiteral(
                                         "tokens.json: a is not a list of token ids with at least "
                                         "one. Give a file such as");
    QTest::newRow("longer than the context")
        << QByteArray("{\"a\": [" + QByteArray("1,").repeated(16384) + "1]}")
        << QStringLiteral(
               "a: a sequence of 16385 tokens was asked for, the model takes 1 to 16384. Shorten "
               "the prompt, or ask for fewer tokens.");
    QTest::newRow("2 MB of brackets")
        << QByteArray(QByteArray(1'000'000, '[') + QByteArray(1'000'000, ']'))
        << QStringLiteral("tokens.json is not a JSON object. Give a file such as");
  }
  void scoreRefusesBadPromptsWithTheValues() {
    QFETCH(QByteArray, tokens);
    QFETCH(QString, says);
    const QTemporaryDir folder;
    const QString file = folder.filePath(QStringLiteral("tokens.json"));
    writeFile(file, tokens);
    Engine engine({QStringLiteral("score"),
                   QStringLiteral("--model"),
                   model_,
                   QStringLiteral("--tokens"),
                   file,
                   QStringLiteral("--chunk"),
                   QStringLiteral("128"),
                   QStringLiteral("--last-rows"),
                   QStringLiteral("1"),
                   QStringLiteral("--out"),
                   folder.filePath(QStringLiteral("out"))});
    QCOMPARE(engine.waitForExit(), kExitFailed);
    const int vocabulary =
        QJsonDocument::fromJson(readFile(model_ + QStringLiteral("/config.json")))
            .object()[u"vocab_size"]
            .toInt();
    const QString sentence = says.contains(u'%') ? says.arg(vocabulary) : says;
    QVERIFY2(lastWords(engine.output(), QStringLiteral("score")).contains(sentence),
             qPrintable(engine.output()));
  }

  void theServerRefusesBadRequestsAndGoesOn() {
    Engine engine({QStringLiteral("serve"),
                   QStringLiteral("--model"),
                   model_,
                   QStringLiteral("--ranks"),
                   QStringLiteral("2"),
                   QStringLiteral("--context"),
                   QStringLiteral("256"),
                   QStringLiteral("--port"),
                   QStringLiteral("0")});
    const quint16 port = engine.waitForPort();
    QVERIFY2(port != 0, qPrintable(engine.output()));
    const QByteArray chat = "/v1/chat/completions";
    struct Case {
      QByteArray path;
      QByteArray body;
      QByteArray says;
      QByteArray param;  // "" for null
    };
    const QByteArray user = R"({"role":"user","content":"Hi"})";
    const QByteArray deep = QByteArray(1'000'000, '[') + QByteArray(1'000'000, ']');
    const auto withTool = [&user](const QByteArray& function) {
      return QByteArray("{\"messages\":[" + user + R"(],"tools":[{"type":"function","function":)" +
                        function + "}]}");
    };
    const QList<Case> cases{
        {chat,
         "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}",
         "the body is not usable JSON: not JSON at byte 40: syntax error while parsing value - "
         "invalid string: ill-formed UTF-8 byte",
         ""},
        {chat, deep, "JSON is nested deeper than 256 levels", ""},
        {chat,
         "{\"messages\":[" + user + "],\"tools\":" + deep + "}",
         "JSON is nested deeper than 256 levels",
         ""},
        {chat,
         R"({"messages":[{"role":"wizard","content":"Hi"}]})",
         "messages[0].role: \"wizard\" is not a role; the roles are system, developer, user, "
         "assistant and tool",
         "messages[0].role"},
        {chat, R"({"messages":[]})", "messages: expected at least one message", "messages"},
        {chat,
         chatBody(QStringLiteral("word ").repeated(400), false, 4),
         "maximum context length is 256 tokens. However, your messages resulted in",
         "messages"},
        {chat,
         withTool(R"({"name":"f","parameters":"none"})"),
         "tools[0].function.parameters: expected an object, got \"none\"",
         "tools[0].function.parameters"},
        {chat,
         withTool(R"({"name":"f","parameters":[]})"),
         "tools[0].function.parameters: expected an object, got a list",
         "tools[0].function.parameters"},
        {chat, withTool("7"), "tools[0].function: expected an object, got 7", "tools[0].function"},
        {chat, "{\"messages\":[" + user + R"(],"max_tokens":0})", "max_tokens", "max_tokens"},
        {chat, "", "JSON", ""},
        {"/detokenize",
         R"({"tokens":[1,99999999]})",
         "tokens[1]: 99999999 is outside 0 to",
         "tokens[1]"},
    };
    for (const Case& bad : cases) {
      const QByteArray answer = HttpRequest(port, "POST", bad.path, bad.body).waitForAll();
      QVERIFY2(answer.startsWith("HTTP/1.1 400"), answer.left(400).constData());
      const QByteArray json = answer.mid(answer.indexOf("\r\n\r\n") + 4);
      const QJsonObject error = QJsonDocument::fromJson(json).object()[u"error"].toObject();
      QCOMPARE(error[u"type"].toString(), QStringLiteral("invalid_request_error"));
      QVERIFY2(error[u"message"].toString().contains(QString::fromUtf8(bad.says)),
               json.left(400).constData());
      QCOMPARE(error[u"param"].toString(), QString::fromUtf8(bad.param));
      QVERIFY(error.contains(u"param") && error.contains(u"code"));
    }
    const QByteArray good =
        HttpRequest(port, "POST", "/v1/chat/completions", chatBody(QStringLiteral("Hi"), false, 4))
            .waitForAll();
    QVERIFY2(good.startsWith("HTTP/1.1 200"), good.left(400).constData());
    engine.send(SIGTERM);
    QCOMPARE(engine.waitForExit(), kExitOk);
  }
};

QTEST_GUILESS_MAIN(BadRequestTest)
#include "bad_request_test.moc"
