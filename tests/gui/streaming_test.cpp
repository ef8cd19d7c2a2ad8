// SPDX-License-Identifier: GPL-3.0-or-later
// While a long answer streams in, no event handler of the UI thread takes more than 50 ms of CPU.
#include <time.h>

#include <algorithm>

#include <QApplication>
#include <QTest>
#include <QTimer>

#include "tests/gui/panel_fixture.h"
#include "ui/bridge/engine_bridge.h"
#include "ui/pages/chat/chat_page.h"
#include "ui/pages/chat/markdown_view.h"

namespace tandem::test {

namespace {

double threadCpuMs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) / 1e6;
}

/// Measures what each delivered event costs the UI thread, nested events included in their parent.
class MeteredApplication : public QApplication {
 public:
  using QApplication::QApplication;

  bool notify(QObject* receiver, QEvent* event) override {
    if (depth_ > 0) {
      return QApplication::notify(receiver, event);
    }
    ++depth_;
    const int type = event->type();
    const QByteArray name = receiver->metaObject()->className();
    const double before = threadCpuMs();
    const bool result = QApplication::notify(receiver, event);
    const double cost = threadCpuMs() - before;
    --depth_;
    if (cost > worstMs) {
      worstMs = cost;
      worst = name + " event " + QByteArray::number(type);
    }
    ++events;
    totalMs += cost;
    return result;
  }

  void reset() {
    worstMs = 0;
    totalMs = 0;
    events = 0;
    worst.clear();
  }

  double worstMs = 0;
  double totalMs = 0;
  long events = 0;
  QByteArray worst;

 private:
  int depth_ = 0;
};

/// Prose, lists, a table and a long block of code, `chars` long.
QString longAnswer(int chars) {
  QString text;
  for (int part = 1; text.size() < chars; ++part) {
    text += QStringLiteral(
                "## Part %1\n\nEach node holds **half** of every layer, and `allReduce` "
                "adds the halves. ")
                .arg(part);
    text += QStringLiteral("The worker never samples; the head draws the token and sends it back. ")
                .repeated(4);
    text += QStringLiteral("\n\n");
    for (int item = 1; item <= 12; ++item) {
      text += QStringLiteral("%1. step %1 of part %2 with a *few* words\n").arg(item).arg(part);
    }
    text += QStringLiteral("\n| node | weights | cache |\n|---|---:|---:|\n");
    for (int row = 0; row < 8; ++row) {
      text += QStringLiteral("| %1 | 13.9 MiB | %2 MiB |\n").arg(row).arg(row * 3);
    }
    text += QStringLiteral("\n```cpp\n");
    for (int line = 0; line < 40; ++line) {
      text += QStringLiteral("  total += weights[%1] * values[%1];  // line %1\n").arg(line);
    }
    text += QStringLiteral("```\n\n");
  }
  return text.left(chars);
}

}  // namespace

class StreamingTest : public QObject {
  Q_OBJECT

 private slots:
  void noHandlerTakesMoreThan50MsOfCpu_data();
  void noHandlerTakesMoreThan50MsOfCpu();
  void aReplayedLogAndStartTakeNoHandlerMoreThan50MsOfCpu();
  void aGrowingAnswerEqualsTheWholeOne();
  void anotherWordRewritesOneBlock();

 private:
  /// Streams `answer` into the window, as reasoning or as text; then the application knows the
  /// cost.
  void stream(const QString& answer, bool thinking);
};

void StreamingTest::noHandlerTakesMoreThan50MsOfCpu_data() {
  QTest::addColumn<bool>("thinking");
  QTest::newRow("answer of 48,000 characters") << false;
  QTest::newRow("reasoning of 48,000 characters") << true;
}

void StreamingTest::noHandlerTakesMoreThan50MsOfCpu() {
#ifdef TANDEM_SANITIZED
  QSKIP("a sanitizer multiplies the cost of every handler");
#endif
  QFETCH(bool, thinking);
  const auto& application = *static_cast<MeteredApplication*>(qApp);
  const QString answer = longAnswer(48000);
  // A busy machine adds to what a thread is charged and never takes away: one good run is proof.
  constexpr int kRuns = 3;
  for (int run = 0; run < kRuns && (run == 0 || application.worstMs > 50.0); ++run) {
    stream(answer, thinking);
    if (QTest::currentTestFailed()) {
      return;
    }
    qInfo("worst handler %.1f ms (%s), mean %.3f ms over %ld events",
          application.worstMs,
          application.worst.constData(),
          application.totalMs / double(application.events),
          application.events);
  }
  QVERIFY2(application.worstMs <= 50.0, application.worst.constData());
}

void StreamingTest::stream(const QString& answer, bool thinking) {
  auto& application = *static_cast<MeteredApplication*>(qApp);
  PanelFixture f;
  f.panel.setEngine(readyEngine());
  f.chat.setAvailable(true, QStringLiteral("Message"));
  QVERIFY(f.window.showPage(QStringLiteral("chat")));
  f.window.resize(1180, 800);
  f.window.show();
  QVERIFY(QTest::qWaitForWindowExposed(&f.window));
  for (int turn = 0; turn < 20; turn += 2) {
    f.chat.setTurn(turn, userTurn(QStringLiteral("Earlier question %1").arg(turn)));
    f.chat.setTurn(turn + 1, markdownTurn());
  }
  f.chat.setTurn(20, userTurn(QStringLiteral("Tell me everything.")));
  QTest::qWait(200);

  constexpr int kCharsPerChunk = 24;  // a few tokens, as one read of the socket brings them
  ui::ChatTurn turn;
  turn.stage = thinking ? ui::TurnStage::Thinking : ui::TurnStage::Answering;
  int sent = 0;
  int tokens = 0;
  QTimer tokenTimer;
  tokenTimer.setInterval(2);
  const auto deliver = [&] {
    sent = std::min<int>(sent + kCharsPerChunk, static_cast<int>(answer.size()));
    (thinking ? turn.reasoning : turn.text) = answer.left(sent);
    turn.progress = QStringLiteral("Thinking 00:12 · %1 tokens").arg(++tokens);
    f.chat.setTurn(21, turn);
    if (tokens % 200 == 0) {
      f.monitor.addStats(sampleStats(tokens * 1000, 60, 0));
      f.panel.setEngine(readyEngine());
    }
    if (sent == answer.size()) {
      tokenTimer.stop();
    }
  };
  connect(&tokenTimer, &QTimer::timeout, this, deliver);
  application.reset();
  tokenTimer.start();
  QTRY_COMPARE_WITH_TIMEOUT(sent, static_cast<int>(answer.size()), 100000);
  turn.stage = ui::TurnStage::Finished;
  turn.numbers = QStringLiteral("62.1 tok/s");
  f.chat.setTurn(21, turn);
  QTest::qWait(100);
  saveScreen(f.window,
             thinking ? QStringLiteral("streamed-reasoning") : QStringLiteral("streamed-answer"));
}

void StreamingTest::aReplayedLogAndStartTakeNoHandlerMoreThan50MsOfCpu() {
  auto& application = *static_cast<MeteredApplication*>(qApp);
  PanelFixture f;
  ui::EngineBridge bridge({f.panel, f.engine, f.monitor, nullptr}, QStringLiteral("Demo"), nullptr);
  f.window.resize(1400, 900);
  f.window.show();
  QVERIFY(QTest::qWaitForWindowExposed(&f.window));
  // What an engine that has run for long tells a window that attaches, as the socket brings it.
  std::vector<LogRecord> log;
  for (std::uint64_t seq = 1; seq <= 10000; ++seq) {
    log.push_back(
        {seq,
         static_cast<std::int64_t>(seq),
         static_cast<int>(seq % 2),
         LogLevel::Info,
         "http",
         "chatcmpl-1",
         "answered 200 to POST /v1/chat/completions in 1.2 s, line " + std::to_string(seq)});
  }
  std::vector<api::PhaseEvent> start;
  for (std::int64_t i = 0; i < 2000; ++i) {
    api::PhaseEvent event;
    event.phase = api::Phase::Weights;
    event.rank = static_cast<int>(i % 2);
    event.kind = i < 2 ? api::PhaseEventKind::Begin : api::PhaseEventKind::Progress;
    event.monotonicNs = i * 1'000'000;
    event.bytesDone = static_cast<std::uint64_t>(i);
    event.bytesTotal = 2000;
    start.push_back(event);
  }
  app::EngineReport report;
  report.link = app::EngineLink::Attached;
  report.state = api::EngineState::Starting;
  bridge.showReport(report);
  QTest::qWait(100);
  application.reset();
  std::vector<api::PhaseEvent> told;
  for (std::size_t at = 0; at < log.size(); at += 500) {
    QTimer::singleShot(0, this, [&, at] {
      const auto from = log.begin() + static_cast<std::ptrdiff_t>(at);
      bridge.addLog({from, from + 500});
      for (std::size_t i = 0; i < 100; ++i) {
        told.push_back(start[told.size()]);
        bridge.takeStartEvents(told, false);
      }
    });
  }
  QTRY_COMPARE(f.engine.log().rowCount(), 10000);
  QTRY_COMPARE(f.engine.phases().rowCount(), 2);
  QTest::qWait(200);
  qInfo("worst handler %.1f ms (%s)", application.worstMs, application.worst.constData());
  QVERIFY2(application.worstMs <= 50.0, application.worst.constData());
}

void StreamingTest::aGrowingAnswerEqualsTheWholeOne() {
  ui::Theme theme(*qApp);
  const QString answer = longAnswer(4000);
  ui::MarkdownView grown(theme);
  for (int chars = 1; chars <= answer.size(); chars += 7) {
    grown.setMarkdown(answer.left(chars));
  }
  grown.setMarkdown(answer);
  ui::MarkdownView whole(theme);
  whole.setMarkdown(answer);
  QCOMPARE(grown.toPlainText(), whole.toPlainText());
  QCOMPARE(grown.toHtml(), whole.toHtml());
}

void StreamingTest::anotherWordRewritesOneBlock() {
  ui::Theme theme(*qApp);
  ui::MarkdownView view(theme);
  const QString answer = longAnswer(8000);
  view.setMarkdown(answer + QStringLiteral("\n\nThe last"));
  QVERIFY(view.content().blockCount() > 30);
  view.setMarkdown(answer + QStringLiteral("\n\nThe last word"));
  QCOMPARE(view.content().blocksWritten(), 1);
}

}  // namespace tandem::test

int main(int argc, char** argv) {
  tandem::test::MeteredApplication application(argc, argv);
  tandem::test::StreamingTest test;
  return QTest::qExec(&test, argc, argv);
}
#include "streaming_test.moc"
