// SPDX-License-Identifier: GPL-3.0-or-later
// The control protocol's codecs: nothing is lost on the way, and nothing wrong is believed.
#include <algorithm>
#include <limits>
#include <string>

#include <QTest>

#include "engine/base/clock.h"
#include "engine/protocol/control_message.h"
#include "engine/protocol/log_record_json.h"

using namespace tandem;
using namespace tandem::protocol;

namespace {

constexpr std::int64_t kSomeTime = 1795440225120;  // 2026-11-23T13:23:45.120Z
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

/// JSON as it is easily read here: with ' for ".
std::string quoted(std::string text) {
  std::replace(text.begin(), text.end(), '\'', '"');
  return text;
}

std::string withoutNewline(std::string line) {
  line.pop_back();
  return line;
}

/// The body that comes out at the other end, or a default one if something else did.
template <typename Body>
Body throughMessage(const Body& body, std::optional<std::int64_t> re = {}) {
  const std::string line = encode(ControlMessage{re, body});
  Result<std::optional<ControlMessage>> read = decodeMessage(withoutNewline(line));
  if (!read || !read->has_value() || (*read)->re != re ||
      !std::holds_alternative<Body>((*read)->body)) {
    qWarning("%s", read ? line.c_str() : read.error().message.c_str());
    return {};
  }
  return std::get<Body>((*read)->body);
}

template <typename Body>
std::optional<Body> throughRequest(const Body& body, std::int64_t id = 7) {
  const auto read = decodeRequest(withoutNewline(encode(ControlRequest{id, body})));
  const auto* request = std::get_if<ControlRequest>(&read);
  if (request == nullptr || request->id != id || !std::holds_alternative<Body>(request->body)) {
    return std::nullopt;
  }
  return std::get<Body>(request->body);
}

std::string refusalOf(const std::string& line) {
  const auto read = decodeRequest(line);
  const auto* bad = std::get_if<BadRequest>(&read);
  return bad == nullptr ? std::string() : bad->error.message;
}

std::optional<std::int64_t> refusedId(const std::string& line) {
  const auto read = decodeRequest(line);
  const auto* bad = std::get_if<BadRequest>(&read);
  return bad == nullptr ? std::nullopt : bad->id;
}

std::string messageError(const std::string& line) {
  const Result<std::optional<ControlMessage>> read = decodeMessage(line);
  return read ? std::string() : read.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) == std::string::npos) {
    qWarning("\"%s\" does not contain \"%s\"", text.c_str(), part.c_str());
    return false;
  }
  return true;
}

api::DurationStats someDurations(std::uint64_t number) {
  api::DurationStats stats;
  stats.total.bounds = {0.001, 0.5, 2560};
  stats.total.counts = {1, number, 3, 4};
  stats.total.sumSeconds = 4.5;
  stats.recent = api::RecentDurations{number, 0.25, 0.75};
  return stats;
}

/// Every field differs from its default and from the others.
api::EngineStats someStats() {
  api::EngineStats stats;
  stats.state = api::EngineState::Draining;
  stats.phase = api::Phase::SelfTest;
  stats.wallMs = kSomeTime;
  stats.uptimeSeconds = 12.5;
  stats.running = 3;
  stats.waiting = std::numeric_limits<int>::max();
  stats.requestsFinished = kMost;
  stats.requestsCancelled = 6;
  stats.requestsFailed = 7;
  stats.promptTokens = 8;
  stats.generatedTokens = 9;
  stats.prefillTokensPerSecond = 10.25;
  stats.decodeTokensPerSecond = 0.1;
  stats.lastTtftSeconds = 12.125;
  stats.communicationShare = 0.5;
  stats.kvTokensUsed = 14;
  stats.kvTokensCapacity = std::numeric_limits<std::int64_t>::max();
  stats.ranks = {api::RankMemory{0, 1, 2, 3, 4, 5}, api::RankMemory{1, 6, 7, 8, kMost, 10}};
  stats.requestsAtLength = 15;
  stats.preemptions = 16;
  stats.cachedPromptTokens = 17;
  stats.cachedTokensPerSecond = 18.5;
  stats.steps = 19;
  stats.decodeRows = 20;
  stats.stepSeconds = 21.75;
  stats.communicationSeconds = 22.5;
  stats.meanStepSeconds = 0.023;
  stats.workerLagSeconds = -0.0024;
  stats.latency.firstToken = someDurations(25);
  stats.latency.interToken = someDurations(26);
  stats.latency.queue = someDurations(27);
  stats.latency.endToEnd = someDurations(kMost);
  stats.drafts = {{kMost, 29, 30}, {31, 32, 33}};
  stats.kvBlocks = {256, 34, 35, 36, 37};
  stats.prefixCache = {38, 39, 40, kMost, 42};
  stats.memoryGuard = {api::MemoryGuardState::Shrinking, "head has 2.1 GiB left"};
  return stats;
}

bool same(const api::DurationStats& a, const api::DurationStats& b) {
  if (a.recent.has_value() != b.recent.has_value()) {
    return false;
  }
  return a.total.bounds == b.total.bounds && a.total.counts == b.total.counts &&
         a.total.sumSeconds == b.total.sumSeconds &&
         (!a.recent || (a.recent->count == b.recent->count &&
                        a.recent->medianSeconds == b.recent->medianSeconds &&
                        a.recent->p95Seconds == b.recent->p95Seconds));
}

bool same(const api::EngineStats& a, const api::EngineStats& b) {
  if (a.ranks.size() != b.ranks.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.ranks.size(); ++i) {
    const api::RankMemory& x = a.ranks[i];
    const api::RankMemory& y = b.ranks[i];
    if (x.rank != y.rank || x.weightBytes != y.weightBytes || x.kvBytes != y.kvBytes ||
        x.processBytes != y.processBytes || x.hostTotalBytes != y.hostTotalBytes ||
        x.hostAvailableBytes != y.hostAvailableBytes) {
      return false;
    }
  }
  return a.state == b.state && a.phase == b.phase && a.wallMs == b.wallMs &&
         a.uptimeSeconds == b.uptimeSeconds && a.running == b.running && a.waiting == b.waiting &&
         a.requestsFinished == b.requestsFinished && a.requestsCancelled == b.requestsCancelled &&
         a.requestsFailed == b.requestsFailed && a.promptTokens == b.promptTokens &&
         a.generatedTokens == b.generatedTokens &&
         a.prefillTokensPerSecond == b.prefillTokensPerSecond &&
         a.decodeTokensPerSecond == b.decodeTokensPerSecond &&
         a.lastTtftSeconds == b.lastTtftSeconds && a.communicationShare == b.communicationShare &&
         a.kvTokensUsed == b.kvTokensUsed && a.kvTokensCapacity == b.kvTokensCapacity &&
         a.requestsAtLength == b.requestsAtLength && a.preemptions == b.preemptions &&
         a.cachedPromptTokens == b.cachedPromptTokens &&
         a.cachedTokensPerSecond == b.cachedTokensPerSecond && a.steps == b.steps &&
         a.decodeRows == b.decodeRows && a.stepSeconds == b.stepSeconds &&
         a.communicationSeconds == b.communicationSeconds &&
         a.meanStepSeconds == b.meanStepSeconds && a.workerLagSeconds == b.workerLagSeconds &&
         same(a.latency.firstToken, b.latency.firstToken) &&
         same(a.latency.interToken, b.latency.interToken) &&
         same(a.latency.queue, b.latency.queue) && same(a.latency.endToEnd, b.latency.endToEnd) &&
         a.drafts == b.drafts && a.kvBlocks == b.kvBlocks && a.prefixCache == b.prefixCache &&
         a.memoryGuard == b.memoryGuard;
}

api::EngineInfo someInfo() {
  return {"DeepSeek-V4-Flash", 1048576, 129280, 2, "cuda", "cache", "0.1.0-9f2c"};
}

bool same(const api::EngineInfo& a, const api::EngineInfo& b) {
  return a.modelName == b.modelName && a.contextTokens == b.contextTokens &&
         a.vocabSize == b.vocabSize && a.ranks == b.ranks && a.backend == b.backend &&
         a.numerics == b.numerics && a.fingerprint == b.fingerprint;
}

bool same(const Error& a, const Error& b) {
  return a.code == b.code && a.message == b.message && a.remedy == b.remedy;
}

LogRecord someRecord() {
  return {kMost, kSomeTime, 1, LogLevel::Warning, "weights", "chatcmpl-1", "line\n\"two\" …"};
}

bool same(const LogRecord& a, const LogRecord& b) {
  return a.seq == b.seq && a.wallMs == b.wallMs && a.rank == b.rank && a.level == b.level &&
         a.module == b.module && a.request == b.request && a.text == b.text;
}

}  // namespace

class ProtocolTest final : public QObject {
  Q_OBJECT

 private slots:
  void aMessageIsOneLineWithItsVersionAndType() {
    QCOMPARE(QString::fromStdString(encode(ControlMessage{7, Subscribed{}})),
             QStringLiteral("{\"v\":1,\"type\":\"subscribed\",\"re\":7}\n"));
    QCOMPARE(QString::fromStdString(encode(ControlRequest{-2, StatusRequest{}})),
             QStringLiteral("{\"v\":1,\"type\":\"status\",\"id\":-2}\n"));
    const std::string line = encode(ControlMessage{{}, someRecord()});
    QCOMPARE(line.find('\n'), line.size() - 1);
  }

  void everyRequestArrivesAsItWasSent() {
    QCOMPARE(throughRequest(HelloRequest{"tandem 0.1.0"})->client, std::string("tandem 0.1.0"));
    for (const Topics& topics : {Topics{},
                                 Topics{true, false, false, 0},
                                 Topics{false, true, false, 0},
                                 Topics{true, true, true, kMost}}) {
      QVERIFY(throughRequest(SubscribeRequest{topics})->topics == topics);
    }
    QVERIFY(throughRequest(StatusRequest{}, std::numeric_limits<std::int64_t>::min()).has_value());
    QVERIFY(!throughRequest(StopRequest{})->drainSeconds.has_value());
    QCOMPARE(throughRequest(StopRequest{0.25})->drainSeconds.value(), 0.25);
    QCOMPARE(throughRequest(StopRequest{3600})->drainSeconds.value(), 3600.0);
  }

  void helloArrivesAsItWasSent() {
    const Hello sent{"0.1.0",
                     1,
                     4121,
                     api::EngineState::Ready,
                     "http://127.0.0.1:8000/v1",
                     someInfo(),
                     kSomeTime,
                     kMost};
    const Hello read = throughMessage(sent, 1);
    QCOMPARE(read.engine, sent.engine);
    QCOMPARE(read.rank, sent.rank);
    QCOMPARE(read.pid, sent.pid);
    QVERIFY(read.state == sent.state);
    QCOMPARE(read.endpoint, sent.endpoint);
    QVERIFY(same(read.info, sent.info));
    QCOMPARE(read.startedWallMs, sent.startedWallMs);
    QCOMPARE(read.lastLogSeq, sent.lastLogSeq);
  }

  void statusAndStatsArriveWithEveryField() {
    const Status sent{api::EngineState::Ready, "http://[::1]:80/v1", someInfo(), someStats()};
    const Status read = throughMessage(sent, 2);
    QVERIFY(read.state == sent.state);
    QCOMPARE(read.endpoint, sent.endpoint);
    QVERIFY(same(read.info, sent.info));
    QVERIFY(same(read.stats, sent.stats));
    QVERIFY(same(throughMessage(someStats()), someStats()));
    // Before the first step there is little to say: the defaults travel as well.
    QVERIFY(same(throughMessage(api::EngineStats{}), api::EngineStats{}));
  }

  void statsOfTheFirstEnginesAreReadWithoutTheFieldsTheyDidNotSend() {
    // As they were sent before there were latencies, drafts, blocks and a memory guard.
    const std::string line = quoted(
        "{'v':1,'type':'stats','state':'ready','phase':null,'t':'2026-11-23T13:37:05.120Z',"
        "'uptime_seconds':2.5,'running':1,'waiting':0,'requests_finished':4,"
        "'requests_cancelled':0,'requests_failed':0,'prompt_tokens':90,'generated_tokens':7,"
        "'prefill_tokens_per_second':0.0,'decode_tokens_per_second':3.5,'last_ttft_seconds':0.5,"
        "'communication_share':0.0,'kv_tokens_used':97,'kv_tokens_capacity':4096,'ranks':[]}");
    const auto read = decodeMessage(line);
    QVERIFY2(read.ok(), messageError(line).c_str());
    const auto& stats = std::get<api::EngineStats>(read.value()->body);
    QCOMPARE(stats.promptTokens, 90U);
    QCOMPARE(stats.freshPromptTokens(), 90U);
    QVERIFY(!stats.meanStepSeconds && !stats.workerLagSeconds && !stats.latency.queue.recent);
    QCOMPARE(stats.latency.firstToken.total.count(), 0U);
    QVERIFY(stats.drafts == api::DraftStats{} && stats.kvBlocks == api::KvBlocks{});
    QVERIFY(stats.memoryGuard == api::MemoryGuardStatus{});
  }

  void statsThatCannotBeAreRefused_data() {
    QTest::addColumn<QByteArray>("right");
    QTest::addColumn<QByteArray>("wrong");
    QTest::addColumn<QByteArray>("problem");
    QTest::newRow("a count too few")
        << QByteArray("'counts':[1,25,3,4]") << QByteArray("'counts':[1,25,3]")
        << QByteArray("latency.first_token.counts: 3 counts for 3");
    QTest::newRow("bounds that fall")
        << QByteArray("'bounds':[0.001,0.5,2560.0]") << QByteArray("'bounds':[0.001,2560.0,0.5]")
        << QByteArray("latency.first_token.bounds: they do not rise");
    QTest::newRow("a text for a count")
        << QByteArray("'counts':[1,25,3,4]") << QByteArray("'counts':[1,25,3,'x']")
        << QByteArray("expected a list of counts, it has \"x\"");
    QTest::newRow("a negative draft")
        << QByteArray("'accepted':[31,32,33]") << QByteArray("'accepted':[31,-32,33]")
        << QByteArray("drafts.accepted: expected a list of counts");
    QTest::newRow("a truth for a number")
        << QByteArray("'bounds':[0.001,0.5,2560.0]") << QByteArray("'bounds':[0.001,true,2560.0]")
        << QByteArray("expected a list of numbers, it has true");
    QTest::newRow("an unknown guard state")
        << QByteArray("'state':'shrinking'") << QByteArray("'state':'sleepy'")
        << QByteArray("memory_guard.state: \"sleepy\" is none");
    QTest::newRow("blocks no machine has")
        << QByteArray("'total':34") << QByteArray("'total':9000000000000")
        << QByteArray("kv_blocks.total: 9000000000000 is outside");
    QTest::newRow("a list without end")
        << QByteArray("'proposed':[") << QByteArray("'proposed':[") + QByteArray("1,").repeated(200)
        << QByteArray("drafts.proposed: the list has 203 entries; it may have 100");
  }
  void statsThatCannotBeAreRefused() {
    QFETCH(QByteArray, right);
    QFETCH(QByteArray, wrong);
    QFETCH(QByteArray, problem);
    std::string line = withoutNewline(encode(ControlMessage{{}, someStats()}));
    const std::string from = quoted(right.toStdString());
    const std::size_t at = line.find(from);
    QVERIFY(at != std::string::npos);
    line.replace(at, from.size(), quoted(wrong.toStdString()));
    QVERIFY(contains(messageError(line), problem.toStdString()));
  }

  void repliesWithoutFieldsAndRefusalsArrive() {
    for (const std::string& line :
         {encode(ControlMessage{3, Subscribed{}}), encode(ControlMessage{3, Stopping{}})}) {
      const Result<std::optional<ControlMessage>> read = decodeMessage(withoutNewline(line));
      QVERIFY(read && read->has_value());
      QCOMPARE((*read)->re.value(), std::int64_t{3});
    }
    const Error error{ErrorCode::PermissionDenied, "uid 1000 may not", "Join the group tandem."};
    QVERIFY(same(throughMessage(Refusal{error}, 4).error, error));
    QVERIFY(same(throughMessage(Refusal{error}).error, error));
  }

  void everyErrorCodeArrives() {
    for (int code = 0; code <= static_cast<int>(ErrorCode::Internal); ++code) {
      const Error error{static_cast<ErrorCode>(code), "m", "r"};
      QVERIFY(same(throughMessage(Refusal{error}, 1).error, error));
    }
    // One that a later engine has.
    const auto read = decodeMessage(
        quoted("{'v':1,'type':'refused','re':1,'code':'Tired','message':'m','remedy':''}"));
    QVERIFY(std::get<Refusal>(read.value()->body).error.code == ErrorCode::Internal);
  }

  void everyStateArrivesWithItsErrorIfItFailed() {
    for (const api::EngineState state : {api::EngineState::Starting,
                                         api::EngineState::Ready,
                                         api::EngineState::Draining,
                                         api::EngineState::Stopped}) {
      const api::StateEvent read = throughMessage(api::StateEvent{state, kSomeTime, "e", {}});
      QVERIFY(read.state == state);
      QCOMPARE(read.wallMs, kSomeTime);
      QCOMPARE(read.endpoint, std::string("e"));
      QVERIFY(!read.error.has_value());
    }
    const Error error{ErrorCode::Unavailable, "rank 1 is gone", "Look at its log."};
    const api::StateEvent failed =
        throughMessage(api::StateEvent{api::EngineState::Failed, kSomeTime, "", error});
    QVERIFY(failed.state == api::EngineState::Failed);
    QVERIFY(failed.error && same(*failed.error, error));
  }

  void everyPhaseAndKindArrives() {
    for (const api::Phase phase : api::kPhases) {
      for (int kind = 0; kind <= static_cast<int>(api::PhaseEventKind::Skipped); ++kind) {
        const api::PhaseEvent sent{phase,
                                   1,
                                   static_cast<api::PhaseEventKind>(kind),
                                   std::numeric_limits<std::int64_t>::min(),
                                   kSomeTime,
                                   17,
                                   kMost,
                                   "layer 12 of 43"};
        const api::PhaseEvent read = throughMessage(sent);
        QVERIFY(read.phase == sent.phase && read.kind == sent.kind);
        QCOMPARE(read.rank, sent.rank);
        QCOMPARE(read.monotonicNs, sent.monotonicNs);
        QCOMPARE(read.wallMs, sent.wallMs);
        QCOMPARE(read.bytesDone, sent.bytesDone);
        QCOMPARE(read.bytesTotal, sent.bytesTotal);
        QCOMPARE(read.detail, sent.detail);
      }
    }
  }

  void aLogRecordIsTheSameOnTheChannelAndInTheFile() {
    QVERIFY(same(throughMessage(someRecord()), someRecord()));
    QVERIFY(same(parseLogLine(logLine(someRecord())).value(), someRecord()));
    const std::string message = encode(ControlMessage{{}, someRecord()});
    QVERIFY(contains(message, logLine(someRecord()).substr(1)));
    QCOMPARE(
        QString::fromStdString(logLine({12, kSomeTime, 0, LogLevel::Info, "start", "", "text"})),
        QStringLiteral("{\"seq\":12,\"t\":\"%1\",\"rank\":0,\"level\":\"info\",\"module\":"
                       "\"start\",\"request\":\"\",\"text\":\"text\"}")
            .arg(QString::fromStdString(formatWallTime(kSomeTime))));
  }

  void aTimeOutsideTheCalendarBecomesTheNearestInside() {
    LogRecord record = someRecord();
    record.wallMs = -1;
    QCOMPARE(parseLogLine(logLine(record)).value().wallMs, std::int64_t{0});
    record.wallMs = std::numeric_limits<std::int64_t>::max();
    QCOMPARE(parseLogLine(logLine(record)).value().wallMs, std::int64_t{253402300799999});
  }

  void whatNoUtf8IsBecomesReplacementCharacters() {
    LogRecord record = someRecord();
    record.text = "a\xff\xc3(";
    QCOMPARE(throughMessage(record).text, std::string("a\uFFFD\uFFFD("));
  }

  void numbersThatJsonCannotSayBecomeZero() {
    api::EngineStats stats;
    stats.decodeTokensPerSecond = std::numeric_limits<double>::infinity();
    stats.lastTtftSeconds = std::numeric_limits<double>::quiet_NaN();
    QVERIFY(same(throughMessage(stats), api::EngineStats{}));
  }

  void aTextThatWouldBreakTheLineLimitIsCutBetweenCharacters() {
    LogRecord record = someRecord();
    // The worst case: every byte becomes six, in every text of the record.
    record.module = record.request = record.text = std::string(3 * kMaxLineBytes, '\x01');
    const std::string line = encode(ControlMessage{{}, record});
    QVERIFY(line.size() <= kMaxLineBytes);
    QVERIFY(decodeMessage(withoutNewline(line)).ok());
    const Error error{ErrorCode::Internal, record.text, record.text};
    QVERIFY(encode(ControlMessage{1, Refusal{error}}).size() <= kMaxLineBytes);

    record = someRecord();
    record.text.clear();
    for (int i = 0; i < 30000; ++i) {
      record.text += "…";  // three bytes
    }
    const std::string read = throughMessage(record).text;
    QVERIFY(read.size() <= (std::size_t{64} << 10U) + 40);
    QVERIFY(contains(read, "more bytes)"));
    QVERIFY(read.find("\uFFFD") == std::string::npos);
  }

  void unknownFieldsAreIgnored() {
    const auto request = decodeRequest(
        quoted("{'v':1,'id':1,'type':'stop','drain_seconds':null,'new':{'deep':[1,{'x':[]}]}}"));
    QVERIFY(std::holds_alternative<ControlRequest>(request));
    const auto message = decodeMessage(quoted("{'v':1,'type':'stopping','re':1,'new':[]}"));
    QVERIFY(message && message->has_value());
  }

  void anUnknownEventIsIgnoredAndAnUnknownRequestRefused() {
    const auto message = decodeMessage(quoted("{'v':1,'type':'weather','sun':true}"));
    QVERIFY(message.ok());
    QVERIFY(!message->has_value());
    const std::string line = quoted("{'v':1,'id':5,'type':'dance'}");
    QVERIFY(contains(refusalOf(line), "\"dance\""));
    QCOMPARE(refusedId(line).value(), std::int64_t{5});
  }

  void anotherVersionIsRefusedWithBothVersions() {
    const std::string line = quoted("{'v':2,'id':5,'type':'status'}");
    QVERIFY(contains(refusalOf(line), "version 2"));
    QVERIFY(contains(refusalOf(line), "version 1"));
    QCOMPARE(refusedId(line).value(), std::int64_t{5});
    const std::string message = messageError(quoted("{'v':2,'type':'something'}"));
    QVERIFY(contains(message, "version 2"));
    QVERIFY(contains(message, "version 1"));
  }

  void aWrongRequestIsRefusedByFieldAndValue_data() {
    QTest::addColumn<QString>("line");
    QTest::addColumn<QString>("expected");
    const auto row = [](const char* name, const std::string& line, const std::string& expected) {
      QTest::newRow(name) << QString::fromStdString(line) << QString::fromStdString(expected);
    };
    row("no JSON", "hello?", "is no JSON: it breaks at byte 1");
    row("half", quoted("{'v':1,"), "is no JSON");
    row("empty", "", "is no JSON");
    row("two values", quoted("{'v':1} {}"), "is no JSON");
    row("no UTF-8", "{\"v\":1,\"type\":\"\xff\"}", "is no JSON");
    row("list", "[1]", "expected a JSON object, got a list");
    row("huge number", quoted("{'v':1,'id':1,'type':'stop','drain_seconds':1e999}"), "no machine");
    row("no version", quoted("{'id':1,'type':'status'}"), "v: is missing");
    row("version as text",
        quoted("{'v':'1','id':1,'type':'status'}"),
        quoted("v: expected a whole number, got '1'"));
    row("no id", quoted("{'v':1,'type':'status'}"), "id: is missing");
    row("id no number",
        quoted("{'v':1,'id':1.5,'type':'status'}"),
        "id: expected a whole number, got 1.5");
    row("id too big",
        quoted("{'v':1,'id':9223372036854775808,'type':'status'}"),
        "id: 9223372036854775808 is outside");
    row("no type", quoted("{'v':1,'id':1}"), "type: is missing");
    row("hello without client",
        quoted("{'v':1,'id':1,'type':'hello'}"),
        "client: is missing; expected a text");
    row("client no text",
        quoted("{'v':1,'id':1,'type':'hello','client':[]}"),
        "client: expected a text, got a list");
    row("no topics", quoted("{'v':1,'id':1,'type':'subscribe'}"), "topics: is missing");
    row("topics no list",
        quoted("{'v':1,'id':1,'type':'subscribe','topics':'log'}"),
        quoted("topics: expected a list, got 'log'"));
    row("topic no text",
        quoted("{'v':1,'id':1,'type':'subscribe','topics':[3]}"),
        "topics: expected a list of texts, it has 3");
    row("unknown topic",
        quoted("{'v':1,'id':1,'type':'subscribe','topics':['news']}"),
        quoted("topics: 'news' is none"));
    row("negative seq",
        quoted("{'v':1,'id':1,'type':'subscribe','topics':[],'log_after':-1}"),
        "log_after: -1 is below 0");
    row("seq too big",
        quoted("{'v':1,'id':1,'type':'subscribe','topics':[],'log_after':18446744073709551616}"),
        "log_after: expected a whole number");
    row("drain too long",
        quoted("{'v':1,'id':1,'type':'stop','drain_seconds':3601}"),
        "drain_seconds: 3601 is outside 0 to 3600");
    row("drain negative",
        quoted("{'v':1,'id':1,'type':'stop','drain_seconds':-1}"),
        "drain_seconds: -1 is outside");
    row("drain no number",
        quoted("{'v':1,'id':1,'type':'stop','drain_seconds':'5'}"),
        quoted("drain_seconds: expected a number, got '5'"));
  }
  void aWrongRequestIsRefusedByFieldAndValue() {
    QFETCH(QString, line);
    QFETCH(QString, expected);
    // A QString cannot hold the byte that is no UTF-8.
    const QByteArray bytes = QTest::currentDataTag() == QByteArray("no UTF-8")
                                 ? QByteArray("{\"v\":1,\"type\":\"\xff\"}")
                                 : line.toUtf8();
    QVERIFY(contains(refusalOf(bytes.toStdString()), expected.toStdString()));
  }

  void aWrongMessageIsCorruptByFieldAndValue() {
    QVERIFY(contains(
        messageError(quoted("{'v':1,'type':'state','state':'asleep','t':'','endpoint':''}")),
        quoted("state: 'asleep' is none")));
    QVERIFY(contains(
        messageError(quoted("{'v':1,'type':'state','state':'ready','t':'noon','endpoint':''}")),
        "t: expected a time"));
    std::string line = withoutNewline(encode(ControlMessage{{}, someStats()}));
    const std::size_t at = line.find("\"kv_bytes\":7");
    QVERIFY(at != std::string::npos);
    line.replace(at, 12, "\"kv_bytes\":\"7\"");
    QVERIFY(contains(messageError(line),
                     quoted("stats: ranks[1].kv_bytes: expected a whole number, got '7'")));
    QVERIFY(contains(messageError(quoted("{'v':1,'type':'refused','re':true}")),
                     "re: expected a whole number, got true"));
  }

  void timesThatNoCalendarHasAreRefused_data() {
    QTest::addColumn<QString>("time");
    for (const char* time : {"2026-13-01T00:00:00.000Z",
                             "2026-02-29T00:00:00.000Z",
                             "2026-01-01T24:00:00.000Z",
                             "2026-01-01T00:60:00.000Z",
                             "1969-12-31T23:59:59.999Z",
                             "2026-01-01 00:00:00.000Z",
                             "2026-01-01T00:00:00Z",
                             "2026-01-01T00:00:00.000+"}) {
      QTest::newRow(time) << time;
    }
  }
  void timesThatNoCalendarHasAreRefused() {
    QFETCH(QString, time);
    const std::string line =
        quoted("{'seq':1,'t':'") + time.toStdString() +
        quoted("','rank':0,'level':'info','module':'','request':'','text':''}");
    const Result<LogRecord> read = parseLogLine(line);
    QVERIFY(!read.ok());
    QVERIFY(contains(read.error().message, "t: expected a time"));
  }

  void aLineBeyondTheLimitIsRefusedUnread() {
    const std::string head = quoted("{'v':1,'id':1,'type':'hello','client':'");
    const auto lineOf = [&](std::size_t bytes) {
      return head + std::string(bytes - head.size() - 2, 'a') + "\"}";
    };
    QVERIFY(std::holds_alternative<ControlRequest>(decodeRequest(lineOf(kMaxLineBytes - 1))));
    QVERIFY(contains(refusalOf(lineOf(kMaxLineBytes)), "1048576"));
    QVERIFY(contains(messageError(lineOf(kMaxLineBytes)), "1048576"));
  }

  void aMegabyteOfBracketsIsRefusedBeforeItCostsMemory() {
    QVERIFY(contains(refusalOf(std::string(kMaxLineBytes - 1, '[')), "nests deeper than 16"));
    QVERIFY(contains(messageError(std::string(kMaxLineBytes - 1, '{')), "nests deeper than 16"));
    // Brackets within a text do not nest.
    const std::string text = "\"" + std::string(100, '[') + "\\\"[[\"";
    const auto read = decodeRequest(quoted("{'v':1,'id':1,'type':'hello','client':") + text + "}");
    QVERIFY(std::holds_alternative<ControlRequest>(read));
  }
};

QTEST_GUILESS_MAIN(ProtocolTest)
#include "protocol_test.moc"
