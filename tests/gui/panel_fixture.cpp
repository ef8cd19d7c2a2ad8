// SPDX-License-Identifier: GPL-3.0-or-later
// Sample states of the panel.
#include "tests/gui/panel_fixture.h"

#include <algorithm>

#include <QApplication>
#include <QDir>
#include <QPixmap>

#include "engine/base/byte_size.h"

namespace tandem::test {

namespace {

constexpr std::int64_t kNoon = 1'790'000'000'000;  // any fixed wall time

struct UsualPhase {
  api::Phase phase;
  int rank;
  double begin;
  double seconds;
};

constexpr UsualPhase kUsual[] = {
    {api::Phase::Spawn, 0, 0.0, 0.25},
    {api::Phase::Connect, 0, 0.25, 0.2},
    {api::Phase::Connect, 1, 0.25, 0.2},
    {api::Phase::Validate, 0, 0.45, 0.15},
    {api::Phase::Validate, 1, 0.45, 0.15},
    {api::Phase::Weights, 0, 0.6, 1.1},
    {api::Phase::Weights, 1, 0.6, 1.1},
    {api::Phase::Kv, 0, 1.7, 0.2},
    {api::Phase::Kv, 1, 1.7, 0.2},
    {api::Phase::SelfTest, 0, 1.9, 0.5},
    {api::Phase::SelfTest, 1, 1.9, 0.5},
    {api::Phase::Api, 0, 2.4, 0.1},
};

ui::StartPhase phaseOf(const UsualPhase& usual) {
  ui::StartPhase phase;
  phase.phase = usual.phase;
  phase.rank = usual.rank;
  phase.usualBegin = usual.begin;
  phase.usualSeconds = usual.seconds;
  phase.lateSeconds = usual.seconds * 1.3;
  phase.beginWallMs = kNoon + static_cast<std::int64_t>(usual.begin * 1000);
  return phase;
}

}  // namespace

PanelFixture::PanelFixture()
    : theme(*qApp),
      window({theme, panel, engine, chat, monitor}, ui::allPages()) {}

api::EngineStats sampleStats(std::int64_t wallMs, double decode, double prefill) {
  api::EngineStats stats;
  stats.state = api::EngineState::Ready;
  stats.wallMs = wallMs;
  stats.uptimeSeconds = 754;
  stats.running = decode > 0 ? 1 : 0;
  stats.requestsFinished = 12;
  stats.promptTokens = 48210;
  stats.generatedTokens = 6120;
  stats.decodeTokensPerSecond = decode;
  stats.prefillTokensPerSecond = prefill;
  stats.lastTtftSeconds = 0.081;
  stats.waiting = decode > 0 ? 2 : 0;
  stats.cachedPromptTokens = 31'400;
  stats.cachedTokensPerSecond = prefill * 3;
  stats.latency.queue.recent = api::RecentDurations{12, 0.004, 0.31};
  stats.latency.firstToken.recent = api::RecentDurations{12, 0.081, 1.3};
  stats.latency.interToken.recent = api::RecentDurations{2410, 0.0161, 0.0236};
  stats.workerLagSeconds = 0.0021;
  // Twenty rounds a second.
  const auto rounds = static_cast<std::uint64_t>(wallMs % 1'000'000 / 50);
  stats.drafts = {{rounds, rounds, rounds},
                  {rounds * 84 / 100, rounds * 61 / 100, rounds * 37 / 100}};
  stats.kvBlocks = {256, 64, 4, 22, 38};
  stats.prefixCache.queriedTokens = 48210;
  stats.prefixCache.hitTokens = 31'400;
  stats.prefixCache.snapshots = 5;
  stats.prefixCache.diskBytes = 212 * kMiB;
  stats.communicationShare = 0.12;
  stats.kvTokensUsed = 1024;
  stats.kvTokensCapacity = 16384;
  for (int rank = 0; rank < 2; ++rank) {
    stats.ranks.push_back({rank,
                           13 * kMiB + 900 * kKiB,
                           6 * kMiB,
                           (rank == 0 ? 61 : 44) * kMiB,
                           24 * kGiB,
                           17 * kGiB});
  }
  return stats;
}

ui::EngineSnapshot stoppedEngine() {
  ui::EngineSnapshot engine;
  engine.cluster = QStringLiteral("Demo cluster on this machine");
  return engine;
}

ui::EngineSnapshot startingEngine() {
  ui::EngineSnapshot engine = stoppedEngine();
  engine.link = app::EngineLink::Attached;
  engine.state = api::EngineState::Starting;
  engine.model = QStringLiteral("DeepSeek-V4 demo");
  return engine;
}

ui::EngineSnapshot readyEngine() {
  ui::EngineSnapshot engine = startingEngine();
  engine.state = api::EngineState::Ready;
  engine.endpoint = QStringLiteral("http://127.0.0.1:8000/v1");
  engine.stats = sampleStats(kNoon, 62.1, 0);
  return engine;
}

ui::EngineSnapshot failedEngine() {
  ui::EngineSnapshot engine = startingEngine();
  engine.state = api::EngineState::Failed;
  engine.failure = QStringLiteral("Port 8000 on 127.0.0.1 is taken by python3 (pid 4121).");
  engine.remedy = QStringLiteral("Stop that program, or choose another port.");
  return engine;
}

ui::StartRecord sampleStart(double elapsed) {
  ui::StartRecord record;
  record.running = true;
  record.elapsed = elapsed;
  record.usualSeconds = 2.5;
  record.startsKnown = 5;
  // The worker reads at two thirds of its usual pace.
  for (const UsualPhase& usual : kUsual) {
    const bool slow = usual.rank == 1 && usual.phase == api::Phase::Weights;
    ui::StartPhase phase = phaseOf(usual);
    phase.begin = usual.begin;
    const double seconds = slow ? usual.seconds * 1.6 : usual.seconds * 0.97;
    if (usual.rank == 1 && usual.phase > api::Phase::Weights) {
      phase.begin += 0.66;  // what the slow load cost
    }
    if (usual.phase == api::Phase::Weights) {
      phase.bytesTotal = 13 * kMiB + 900 * kKiB;
      phase.bytesDone = static_cast<std::uint64_t>(
          double(phase.bytesTotal) * std::clamp((elapsed - phase.begin) / seconds, 0.0, 1.0));
    }
    if (phase.begin >= elapsed) {
      record.expected.push_back(phase);
      continue;
    }
    const bool over = phase.begin + seconds < elapsed;
    phase.state = over ? ui::PhaseState::Done : ui::PhaseState::Running;
    phase.end = over ? phase.begin + seconds : elapsed;
    phase.detail = over ? QString() : QStringLiteral("layer 5 of 8");
    record.phases.push_back(phase);
  }
  return record;
}

ui::StartRecord finishedStart() {
  ui::StartRecord record = sampleStart(10);
  record.running = false;
  record.elapsed = 3.05;
  return record;
}

ui::StartRecord failedStart() {
  ui::StartRecord record = sampleStart(0.62);
  record.running = false;
  record.elapsed = 0.9;
  for (ui::StartPhase& phase : record.phases) {
    if (phase.state == ui::PhaseState::Running) {
      phase.state = ui::PhaseState::Failed;
      phase.end = 0.9;
    }
  }
  return record;
}

void fillLog(ui::EngineViewModel& engine) {
  const struct {
    int rank;
    LogLevel level;
    const char* module;
    const char* text;
  } lines[] = {
      {0,
       LogLevel::Info,
       "engine",
       "tandem-engine 0.1.0, rank 0 of 2, numerics cache, back end cpu"},
      {1,
       LogLevel::Info,
       "engine",
       "tandem-engine 0.1.0, rank 1 of 2, numerics cache, back end cpu"},
      {0, LogLevel::Info, "peer", "rank 1 connected from 127.0.0.1:41022, TLS 1.3"},
      {0, LogLevel::Info, "weights", "412 tensors, 13.9 MiB for this rank"},
      {1, LogLevel::Warning, "weights", "reading at 7.9 MB/s, slower than usual"},
      {1, LogLevel::Info, "weights", "412 tensors, 13.9 MiB for this rank"},
      {0, LogLevel::Error, "http", "port 8000 on 127.0.0.1 is taken by python3 (pid 4121)"},
      {0, LogLevel::Info, "http", "listening on 127.0.0.1:8001"},
  };
  std::int64_t wallMs = kNoon;
  std::uint64_t seq = 0;
  for (const auto& line : lines) {
    engine.addLog({++seq, wallMs += 173, line.rank, line.level, line.module, {}, line.text});
  }
  engine.flushLog();
}

ui::ChatTurn userTurn(const QString& text) {
  ui::ChatTurn turn;
  turn.fromUser = true;
  turn.text = text;
  return turn;
}

ui::ChatTurn markdownTurn() {
  ui::ChatTurn turn;
  turn.text = QStringLiteral(
      "Tandem runs **one** model on *two* machines. Each node holds half of every layer:\n\n"
      "1. The head reads your prompt and keeps the schedule.\n"
      "2. The worker computes its half.\n"
      "   - They add their results over the cable.\n"
      "   - No token leaves before both agree.\n\n"
      "| Part | Head | Worker |\n|---|---:|---:|\n| Weights | 13.9 MiB | 13.9 MiB |\n"
      "| Cache | 6.0 MiB | 6.0 MiB |\n\n"
      "Ask it with `curl`:\n\n```sh\ncurl -s http://127.0.0.1:8000/v1/chat/completions \\\n"
      "  -d '{\"model\":\"demo\",\"messages\":[]}'\n```\n\n> Every number here is measured.\n\n"
      "See [the documents](https://example.org/tandem) for the rest.");
  turn.reasoning = QStringLiteral("The person asks what Tandem is. I should be brief.");
  turn.reasoningSummary = QStringLiteral("Thought for 1.2 s · 84 tokens");
  turn.numbers = QStringLiteral("62.1 tok/s · first token 81 ms · 212 out · 48 in · stop");
  return turn;
}

ui::ChatTurn weatherTurn(bool answered) {
  ui::ChatTurn turn;
  for (const char* city : {"Tokyo", "New York"}) {
    ui::ToolCallCard call;
    call.id = QStringLiteral("call_%1").arg(turn.calls.size());
    call.name = QStringLiteral("get_weather");
    call.rawArguments = QStringLiteral("{\"city\":\"%1\"}").arg(QLatin1String(city));
    call.arguments = QStringLiteral("city: %1").arg(QLatin1String(city));
    call.result = QStringLiteral("{\"temperature_c\": 18, \"condition\": \"clear\"}");
    call.answered = answered;
    turn.calls.push_back(call);
  }
  turn.numbers = QStringLiteral("64.0 tok/s · first token 95 ms · 58 out · 141 in · tool_calls");
  return turn;
}

void saveScreen(ui::MainWindow& window, const QString& name) {
  const QDir folder(QStringLiteral(TANDEM_BINARY_DIR "/screens"));
  folder.mkpath(QStringLiteral("."));
  window.grab().save(folder.filePath(name + QStringLiteral(".png")));
}

}  // namespace tandem::test
