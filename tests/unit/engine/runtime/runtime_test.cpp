// SPDX-License-Identifier: GPL-3.0-or-later
// Engine core, plans and worker on a fake model: order, stop rules, cancel, drain and loss.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include "engine/comm/loopback_communicator.h"
#include "engine/comm/loopback_peer_channel.h"
#include "engine/runtime/engine_core.h"
#include "engine/runtime/memory_probe.h"
#include "engine/runtime/peer_messages.h"
#include "engine/runtime/peer_relay.h"
#include "engine/runtime/peer_sinks.h"
#include "engine/runtime/phase_scope.h"
#include "engine/runtime/worker.h"
#include "tests/support/fake_language_model.h"

using namespace tandem;
using namespace tandem::runtime;
using namespace tandem::test;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t kVocab = 50;
constexpr std::int64_t kContext = 64;
constexpr std::uint64_t kEpoch = 77;

/// Keeps every event.
class RecordingSink final : public api::EventSink {
 public:
  void phase(const api::PhaseEvent& event) override {
    const MutexLock lock(mutex_);
    phases_.push_back(event);
  }
  void state(const api::StateEvent& event) override {
    const MutexLock lock(mutex_);
    states_.push_back(event);
  }
  std::vector<api::PhaseEvent> phases() const {
    const MutexLock lock(mutex_);
    return phases_;
  }
  std::vector<api::EngineState> states() const {
    const MutexLock lock(mutex_);
    std::vector<api::EngineState> states;
    for (const api::StateEvent& event : states_) {
      states.push_back(event.state);
    }
    return states;
  }

 private:
  mutable Mutex mutex_;
  std::vector<api::PhaseEvent> phases_ TANDEM_GUARDED_BY(mutex_);
  std::vector<api::StateEvent> states_ TANDEM_GUARDED_BY(mutex_);
};

bool becomesReadable(int fd, std::chrono::milliseconds wait) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, static_cast<int>(wait.count())) == 1;
}

/// One request after the other, without drafts.
EngineCoreOptions serially() {
  EngineCoreOptions options;
  options.scheduler.maxRunning = 1;
  options.scheduler.maxDrafts = 0;
  return options;
}

/// An engine on the fake model, with one rank or with two that are threads.
class Rig {
 public:
  explicit Rig(int ranks = 1,
               EngineCoreOptions options = serially(),
               std::int64_t contextTokens = kContext,
               std::int32_t blocks = 64,
               const std::filesystem::path& cacheFolder = {},
               bool hearsOfFetches = true)
      : memory(ranks) {
    options.statsInterval = 10ms;
    comm::Communicator* communicator = nullptr;
    if (ranks == 2) {
      ends = comm::makeLoopbackCommunicators(2, 10s);
      communicator = ends[0].get();
      auto made = comm::makeLoopbackPeerChannels(kEpoch);
      channel0 = std::move((*made)[0]);
      channel1 = std::move((*made)[1]);
      workerModel =
          std::make_unique<FakeLanguageModel>(workerControl, kVocab, contextTokens, ends[1].get());
      relay = *PeerRelay::create(*channel0,
                                 events,
                                 logger,
                                 memory,
                                 hearsOfFetches ? &fetches : nullptr);
      std::optional<DiskCacheOptions> disk;
      if (!cacheFolder.empty()) {
        disk = diskOptions(cacheFolder / "rank-1");
      }
      worker = std::async(std::launch::async, [this, disk, end = std::move(ends[1])]() mutable {
        Worker follower(*channel1, *workerModel, workerLogger, 10ms, disk);
        const Result<void> done = follower.run();
        if (!done) {
          channel1->goodbye(done.error());
        }
        end.reset();
        channel1.reset();
        *workerOutcome = done;
      });
    }
    model = std::make_unique<FakeLanguageModel>(control, kVocab, contextTokens, communicator);
    runner = std::make_unique<LockstepRunner>(*model, channel0.get());
    model::CacheSettings settings;
    settings.capacity = {blocks, options.scheduler.maxRunning, options.keepPrefixes ? 16 : 0};
    settings.mtp = options.scheduler.maxDrafts > 0;
    settings.maxDrafts = options.scheduler.maxDrafts;
    if (const Result<void> made = runner->createCache(settings); !made) {
      qFatal("%s", made.error().text().c_str());
    }
    if (!cacheFolder.empty()) {
      const Result<void> opened =
          runner->openDisk(diskOptions(cacheFolder / "rank-0"), logger, fetches);
      if (!opened) {
        qFatal("%s", opened.error().text().c_str());
      }
    }
    core = *EngineCore::create(options, memory, logger, events);
    api::EngineInfo info;
    info.modelName = "fake";
    info.contextTokens = contextTokens;
    info.vocabSize = kVocab;
    info.ranks = ranks;
    core->start(*runner, info, nullptr);
    core->announceReady("http://127.0.0.1:1/v1");
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() {
    // A test that failed may have left them closed.
    control.valve.open();
    workerControl.valve.open();
    core.reset();
    if (channel0) {
      channel0->goodbye();
    }
    relay.reset();
    channel0.reset();
    ends.clear();
  }

  static DiskCacheOptions diskOptions(const std::filesystem::path& folder) {
    return {.folder = folder, .limitBytes = 1U << 30U, .model = "fake"};
  }

  RecordingSink events;
  Logger logger{0};
  Logger workerLogger{1};
  MemoryBoard memory;
  FetchBoard fetches;
  FakeModelControl control;
  FakeModelControl workerControl;
  std::vector<std::unique_ptr<comm::Communicator>> ends;
  std::unique_ptr<comm::PeerChannel> channel0;
  std::unique_ptr<comm::PeerChannel> channel1;
  std::unique_ptr<FakeLanguageModel> workerModel;
  std::unique_ptr<PeerRelay> relay;
  std::unique_ptr<FakeLanguageModel> model;
  std::unique_ptr<LockstepRunner> runner;
  std::unique_ptr<EngineCore> core;
  std::shared_ptr<std::optional<Result<void>>> workerOutcome =
      std::make_shared<std::optional<Result<void>>>();
  std::future<void> worker;  // last: its destruction waits for the thread
};

api::TokenRequest request(std::string id,
                          std::vector<TokenId> prompt,
                          std::optional<std::int64_t> maxTokens = std::nullopt) {
  api::TokenRequest result;
  result.id = std::move(id);
  result.prompt = std::move(prompt);
  result.sampling.temperature = 0;
  result.sampling.maxTokens = maxTokens;
  return result;
}

/// What the fake model answers greedily, computed without the engine.
std::vector<TokenId> expectedAnswer(std::vector<TokenId> history, std::size_t count) {
  std::vector<TokenId> answer;
  while (answer.size() < count) {
    answer.push_back(fakeNextToken(history, kVocab));
    history.push_back(answer.back());
  }
  return answer;
}

/// Everything a request gives until it finishes, as one piece.
api::RequestOutput collect(api::OutputQueue& queue) {
  api::RequestOutput all;
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!all.finish && std::chrono::steady_clock::now() < deadline) {
    if (std::optional<api::RequestOutput> piece = queue.pop(100ms)) {
      std::vector<TokenId> tokens = std::move(all.tokens);
      tokens.insert(tokens.end(), piece->tokens.begin(), piece->tokens.end());
      std::vector<api::TokenLogprobs> logprobs = std::move(all.logprobs);
      logprobs.insert(logprobs.end(), piece->logprobs.begin(), piece->logprobs.end());
      all = std::move(*piece);
      all.tokens = std::move(tokens);
      all.logprobs = std::move(logprobs);
    }
  }
  return all;
}

}  // namespace

/// A conversation whose first turn was answered by an engine that is gone, with what it left on the
/// disks of both ranks.
struct EndedConversation {
  EndedConversation() {
    for (int i = 0; i < 300; ++i) {
      tokens.push_back(i % 49);
    }
    Rig rig(2, EngineCoreOptions{}, 4000, 64, path());
    const api::RequestOutput first = collect(**rig.core->submit(request("1", tokens, 300)));
    tokens.insert(tokens.end(), first.tokens.begin(), first.tokens.end());
    tokens.insert(tokens.end(), {4, 5, 6});
  }

  [[nodiscard]] std::filesystem::path path() const {
    return std::filesystem::path(folder.path().toStdString()) / "cache";
  }
  [[nodiscard]] std::vector<std::filesystem::path> records(const char* rank,
                                                           const std::string& kind) const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(path() / rank)) {
      if (entry.path().filename().string().starts_with(kind)) {
        files.push_back(entry.path());
      }
    }
    return files;
  }

  QTemporaryDir folder;
  std::vector<TokenId> tokens;
};

bool logHas(const Logger& logger, LogLevel level, const std::string& text) {
  const std::vector<LogRecord> records = logger.recordsAfter(0);
  return std::any_of(records.begin(), records.end(), [&](const LogRecord& record) {
    return record.level == level && record.text.find(text) != std::string::npos;
  });
}

class StepPlanTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void aPlanReadsBackAndNoPrefixOfItDoes() {
    StepPlan plan;
    plan.epoch = 0x1122334455667788;
    plan.step = 9;
    plan.operations.saves = {{3, 128, 4}};
    plan.operations.discards = {9, 10};
    plan.operations.copies = {{5, 6}, {7, 8}};
    plan.operations.restores = {{4, 2, 256}};
    plan.chunks = {{5, 1000, {1, 2, 129279}, 1, 0, 3, {40, 41}}, {6, 7, {7}, 1, 2, 0, {}}};
    const std::vector<std::byte> bytes = encode(plan);
    const Result<StepPlan> back = decodeStepPlan(bytes);
    QVERIFY(back.ok());
    QVERIFY(*back == plan);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      QVERIFY(!decodeStepPlan(std::span(bytes).first(cut)).ok());
    }
  }

  void aPlanWithWorkForTheDiskReadsBackAndNoPrefixOfItDoes() {
    const auto piece = [](kvcache::RecordKind kind, std::uint8_t first, std::int32_t id) {
      kvcache::DiskPiece made{{kind, {}}, id};
      made.record.key.bytes = {first, 2, 3};
      return made;
    };
    for (const bool stores : {true, false}) {
      StepPlan plan;
      plan.operations.saves = {{3, 128, 4}};
      if (stores) {
        plan.operations.stores = {piece(kvcache::RecordKind::Snapshot, 9, 4),
                                  piece(kvcache::RecordKind::Block, 255, 70000)};
      }
      plan.operations.fills = {piece(kvcache::RecordKind::Block, 1, 0)};
      plan.chunks = {{5, 1000, {1}, 1, 0, 3, {}}};
      const std::vector<std::byte> bytes = encode(plan);
      const Result<StepPlan> back = decodeStepPlan(bytes);
      QVERIFY(back.ok());
      QVERIFY(*back == plan);
      for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        QVERIFY(!decodeStepPlan(std::span(bytes).first(cut)).ok());
      }
    }
  }

  void aFetchAndWhatBecameOfItReadBack() {
    kvcache::RecordId record{kvcache::RecordKind::Snapshot, {}};
    record.key.bytes = {7, 0, 255};
    const FetchOrder order{1ULL << 40U, {record, {}}};
    QVERIFY(*decodeFetchOrder(encode(order)) == order);
    const kvcache::FetchOutcome good{5, "", std::nullopt};
    QVERIFY(*decodeFetchOutcome(encode(good)) == good);
    const kvcache::FetchOutcome bad{6, "gone", record};
    const std::vector<std::byte> bytes = encode(bad);
    QVERIFY(*decodeFetchOutcome(bytes) == bad);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      QVERIFY(!decodeFetchOutcome(std::span(bytes).first(cut)).ok());
    }
    std::vector<std::byte> unknownKind = encode(order);
    unknownKind[12] = std::byte(3);
    QVERIFY(!decodeFetchOrder(unknownKind).ok());
  }

  void aDecodeStepOfSixSequencesIsUnderOneKibibyte() {
    StepPlan plan;
    for (int i = 0; i < 6; ++i) {
      // Each has just begun a new block, and one a snapshot.
      plan.chunks.push_back({i, 1 << 20, {129279}, 1, 3, 4096, {i}});
    }
    plan.operations.saves = {{1, 1 << 20, 7}};
    const std::size_t bytes = encode(plan).size();
    QVERIFY2(bytes <= 1024, qPrintable(QString::number(bytes)));
  }

  void randomBytesNeverMakeAPlanThatDoesNotEncodeToThem() {
    std::mt19937 random(1);
    for (int round = 0; round < 2000; ++round) {
      std::vector<std::byte> bytes(random() % 64);
      for (std::byte& byte : bytes) {
        byte = std::byte(random() % 4);
      }
      const Result<StepPlan> plan = decodeStepPlan(bytes);
      QVERIFY(!plan.ok() || encode(*plan) == bytes);
    }
  }

  void reportsOfRankOneReadBack() {
    const EpochHello hello{2, api::Numerics::Act, api::BackendChoice::Cpu, 3, 4096, 256, 6, "abc"};
    QVERIFY(*decodeHello(encode(hello)) == hello);
    const api::PhaseEvent
        event{api::Phase::Weights, 1, api::PhaseEventKind::Progress, -5, 6, 7, 8, "layer 3"};
    const Result<api::PhaseEvent> phase = decodePhase(encode(event));
    QVERIFY(phase.ok());
    QCOMPARE(phase->phase, event.phase);
    QCOMPARE(phase->kind, event.kind);
    QCOMPARE(phase->monotonicNs, event.monotonicNs);
    QCOMPARE(phase->bytesTotal, event.bytesTotal);
    QCOMPARE(phase->detail, event.detail);
    std::vector<std::byte> wrong = encode(event);
    wrong[0] = std::byte(200);
    QCOMPARE(decodePhase(wrong).error().code, ErrorCode::DataCorrupt);
  }
};

class EngineCoreTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void answersAreTheModelsOwnForEveryChunkSize_data() {
    QTest::addColumn<int>("chunk");
    QTest::addColumn<int>("ranks");
    for (const int chunk : {1, 3, 7, 256}) {
      for (const int ranks : {1, 2}) {
        QTest::addRow("chunk %d, %d rank(s)", chunk, ranks) << chunk << ranks;
      }
    }
  }

  void answersAreTheModelsOwnForEveryChunkSize() {
    QFETCH(int, chunk);
    QFETCH(int, ranks);
    EngineCoreOptions options = serially();
    options.scheduler.prefillChunkTokens = chunk;
    Rig rig(ranks, options);
    const std::vector<TokenId> prompt{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const auto queue = rig.core->submit(request("r", prompt, 12));
    QVERIFY(queue.ok());
    const api::RequestOutput output = collect(**queue);
    QCOMPARE(output.finish, api::FinishReason::Length);
    QCOMPARE(output.tokens, expectedAnswer(prompt, 12));
    QCOMPARE(output.usage.promptTokens, 10);
    QCOMPARE(output.usage.completionTokens, 12);
    QVERIFY(rig.control.largestChunk <= chunk);
    if (ranks == 2) {
      QCOMPARE(rig.workerControl.forwards.load(), rig.control.forwards.load());
    }
  }

  void requestsBeyondTheFirstWaitAndAreServedInOrder() {
    Rig rig(2);
    rig.control.valve.close();
    std::vector<std::shared_ptr<api::OutputQueue>> queues;
    for (int i = 0; i < 5; ++i) {
      queues.push_back(*rig.core->submit(request(std::to_string(i), {i + 1, 2}, 6)));
    }
    rig.control.valve.open();
    for (int i = 0; i < 5; ++i) {
      QCOMPARE(collect(*queues[static_cast<std::size_t>(i)]).tokens, expectedAnswer({i + 1, 2}, 6));
    }
  }

  void aBatchGivesEveryRequestTheAnswerItGetsAlone() {
    EngineCoreOptions options;
    options.scheduler.maxRunning = 4;
    options.scheduler.prefillChunkTokens = 5;
    Rig rig(2, options);
    std::vector<std::shared_ptr<api::OutputQueue>> queues;
    for (int i = 0; i < 8; ++i) {
      queues.push_back(*rig.core->submit(request(std::to_string(i), {i, 2, 3, 4, 5, 6, 7}, 9)));
    }
    for (int i = 0; i < 8; ++i) {
      QCOMPARE(collect(*queues[static_cast<std::size_t>(i)]).tokens,
               expectedAnswer({i, 2, 3, 4, 5, 6, 7}, 9));
    }
  }

  void aStopTokenEndsTheAnswerAndIsNotDelivered() {
    Rig rig;
    const std::vector<TokenId> answer = expectedAnswer({1, 2, 3}, 5);
    api::TokenRequest stopping = request("r", {1, 2, 3}, 30);
    stopping.stopTokens = {answer[4]};
    const api::RequestOutput output = collect(**rig.core->submit(stopping));
    const auto firstStop = std::find(answer.begin(), answer.end(), answer[4]);
    QCOMPARE(output.finish, api::FinishReason::Stop);
    QCOMPARE(output.tokens, std::vector<TokenId>(answer.begin(), firstStop));

    stopping.id = "ignoring";
    stopping.sampling.ignoreEos = true;
    const api::RequestOutput all = collect(**rig.core->submit(stopping));
    QCOMPARE(all.finish, api::FinishReason::Length);
    QCOMPARE(all.tokens, expectedAnswer({1, 2, 3}, 30));
  }

  void theAnswerEndsWithTheContext() {
    Rig rig;
    const std::vector<TokenId> prompt(kContext - 3, 4);
    for (const std::optional<std::int64_t> maxTokens :
         {std::optional<std::int64_t>(), std::optional<std::int64_t>(INT64_MAX)}) {
      const api::RequestOutput output =
          collect(**rig.core->submit(request("r", prompt, maxTokens)));
      QCOMPARE(output.finish, api::FinishReason::Length);
      QCOMPARE(output.tokens, expectedAnswer(prompt, 3));
    }
  }

  void badRequestsAreRefusedWithTheValues_data() {
    QTest::addColumn<QList<int>>("prompt");
    QTest::addColumn<int>("code");
    QTest::addColumn<QString>("says");
    QTest::newRow("empty") << QList<int>{} << static_cast<int>(ErrorCode::InvalidArgument)
                           << QStringLiteral("empty");
    QTest::newRow("above the vocabulary")
        << QList<int>{1, 50} << static_cast<int>(ErrorCode::InvalidArgument)
        << QStringLiteral("prompt token 1 is 50");
    QTest::newRow("negative") << QList<int>{-1} << static_cast<int>(ErrorCode::InvalidArgument)
                              << QStringLiteral("prompt token 0 is -1");
    QTest::newRow("as long as the context")
        << QList<int>(kContext, 1) << static_cast<int>(ErrorCode::OutOfRange)
        << QStringLiteral("has 64 tokens; the context of 64");
  }

  void badRequestsAreRefusedWithTheValues() {
    QFETCH(QList<int>, prompt);
    QFETCH(int, code);
    QFETCH(QString, says);
    Rig rig;
    const auto queue = rig.core->submit(request("r", {prompt.begin(), prompt.end()}));
    QVERIFY(!queue.ok());
    QCOMPARE(static_cast<int>(queue.error().code), code);
    QVERIFY2(queue.error().message.find(says.toStdString()) != std::string::npos,
             queue.error().message.c_str());
    QCOMPARE(rig.control.forwards.load(), 0);
  }

  void anIdInUseAndAZeroLengthAreRefused() {
    Rig rig;
    rig.control.valve.close();
    const auto first = rig.core->submit(request("same", {1}, 20));
    QVERIFY(first.ok());
    QCOMPARE(rig.core->submit(request("same", {1})).error().code, ErrorCode::InvalidArgument);
    QCOMPARE(rig.core->submit(request("zero", {1}, 0)).error().code, ErrorCode::InvalidArgument);
    rig.control.valve.open();
    (void)collect(**first);
    QVERIFY(rig.core->submit(request("same", {1}, 1)).ok());
  }

  void aFullQueueRefusesUntilThereIsRoom() {
    EngineCoreOptions options = serially();
    options.scheduler.maxQueued = 2;
    Rig rig(1, options);
    rig.control.valve.close();
    std::vector<std::shared_ptr<api::OutputQueue>> queues;
    for (int i = 0; i < 3; ++i) {
      queues.push_back(*rig.core->submit(request(std::to_string(i), {1}, 10)));
    }
    const auto refused = rig.core->submit(request("late", {1}));
    QVERIFY(!refused.ok());
    QCOMPARE(refused.error().code, ErrorCode::Unavailable);
    rig.control.valve.open();
    (void)collect(*queues[0]);
    QVERIFY(rig.core->submit(request("late", {1}, 1)).ok());
  }

  void aSeededAnswerDoesNotDependOnWhoElseIsServed() {
    const auto answerAmong = [](int others) {
      EngineCoreOptions options;
      options.scheduler.maxRunning = 4;
      Rig rig(1, options);
      std::vector<std::shared_ptr<api::OutputQueue>> queues;
      for (int i = 0; i < others; ++i) {
        queues.push_back(*rig.core->submit(request(std::to_string(i), {i, 3}, 7)));
      }
      api::TokenRequest seeded = request("seeded", {5, 6}, 20);
      seeded.sampling.temperature = 2;
      seeded.sampling.seed = 11;
      return collect(**rig.core->submit(seeded)).tokens;
    };
    const std::vector<TokenId> alone = answerAmong(0);
    QCOMPARE(alone.size(), 20U);
    QCOMPARE(answerAmong(3), alone);
    QVERIFY(alone != expectedAnswer({5, 6}, 20));  // it did draw
  }

  void everyTokenComesWithItsLogprobsWhenAskedFor() {
    Rig rig;
    api::TokenRequest asking = request("r", {1, 2}, 6);
    asking.sampling.logprobs = true;
    asking.sampling.topLogprobs = 2;
    const api::RequestOutput output = collect(**rig.core->submit(asking));
    QCOMPARE(output.tokens, expectedAnswer({1, 2}, 6));
    QCOMPARE(output.logprobs.size(), output.tokens.size());
    // The fake model gives its token a logit of 10 and the 49 others 0.
    const double expected = 10 - std::log(std::exp(10.0) + 49);
    for (std::size_t i = 0; i < output.tokens.size(); ++i) {
      QVERIFY(std::abs(output.logprobs[i].logprob - expected) < 1e-12);
      QCOMPARE(output.logprobs[i].top.size(), 2U);
      QCOMPARE(output.logprobs[i].top[0].token, output.tokens[i]);
    }
    QVERIFY(collect(**rig.core->submit(request("plain", {1, 2}, 6))).logprobs.empty());
  }

  void theAnswersOwnTokensCountForItsNextOnes() {
    // A presence penalty of 2 outweighs no logit of 10, five repetitions at 2 each do: then the
    // first token that was never said, of logit 0, is the largest.
    Rig rig;
    api::TokenRequest penalised = request("r", {1, 2}, 40);
    penalised.sampling.frequencyPenalty = 2;
    penalised.sampling.presencePenalty = 2;
    std::vector<TokenId> history{1, 2};
    std::map<TokenId, int> said;
    for (int i = 0; i < 40; ++i) {
      std::vector<double> logits(kVocab, 0.0);
      logits[static_cast<std::size_t>(fakeNextToken(history, kVocab))] = 10;
      for (const auto& [token, times] : said) {
        logits[static_cast<std::size_t>(token)] -= 2 + 2 * times;
      }
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      history.push_back(static_cast<TokenId>(best));
      ++said[history.back()];
    }
    const api::RequestOutput output = collect(**rig.core->submit(penalised));
    QCOMPARE(output.tokens, std::vector<TokenId>(history.begin() + 2, history.end()));
  }

  void thinkingEndsWithItsBudget() {
    Rig rig;
    api::TokenRequest thinking = request("r", {1, 2}, 6);
    thinking.thinking = api::ThinkingBudget{3, true, {49}};
    const api::RequestOutput output = collect(**rig.core->submit(thinking));
    std::vector<TokenId> expected = expectedAnswer({1, 2}, 3);
    QVERIFY(std::find(expected.begin(), expected.end(), 49) == expected.end());
    expected.push_back(49);
    std::vector<TokenId> history{1, 2};
    history.insert(history.end(), expected.begin(), expected.end());
    const std::vector<TokenId> rest = expectedAnswer(history, 2);
    expected.insert(expected.end(), rest.begin(), rest.end());
    QCOMPARE(output.tokens, expected);
  }

  void aBiasOfATokenThatIsNoneIsRefused() {
    Rig rig;
    api::TokenRequest biased = request("r", {1});
    biased.sampling.logitBias = {{50, 1.0}};
    const auto queue = rig.core->submit(biased);
    QVERIFY(!queue.ok());
    QCOMPARE(queue.error().code, ErrorCode::InvalidArgument);
    QVERIFY(queue.error().message.find("token 50") != std::string::npos);
  }

  void cancellingFreesTheSequenceAtAnyTime() {
    // Property: whenever the cancel comes, the request ends once, and no state is left behind.
    Rig rig(2);
    std::mt19937 random(3);
    for (int round = 0; round < 30; ++round) {
      const int before = rig.control.valve.arrivals();
      std::vector<std::shared_ptr<api::OutputQueue>> queues;
      for (int i = 0; i < 3; ++i) {
        const std::string id = std::to_string(round) + "." + std::to_string(i);
        queues.push_back(*rig.core->submit(request(id, {1, 2, 3}, 8)));
      }
      // Three requests of eight tokens need at least 24 forwards, one after the other.
      QVERIFY(rig.control.valve.waitForArrivals(before + static_cast<int>(random() % 24)));
      const int victim = static_cast<int>(random() % 3);
      rig.core->cancel(std::to_string(round) + "." + std::to_string(victim));
      rig.core->cancel("nobody");
      for (int i = 0; i < 3; ++i) {
        const api::RequestOutput output = collect(*queues[static_cast<std::size_t>(i)]);
        QVERIFY(output.finish.has_value());
        if (output.finish == api::FinishReason::Cancelled) {
          QCOMPARE(i, victim);
        } else {
          QCOMPARE(output.tokens, expectedAnswer({1, 2, 3}, 8));
        }
        QVERIFY(!queues[static_cast<std::size_t>(i)]->pop().has_value());
      }
    }
    QTRY_COMPARE(rig.core->stats()->kvTokensUsed, 0);
  }

  void aNodeShortOfMemoryHoldsRequestsAndEndsTheEngineBeforeItself() {
    QTemporaryDir proc;
    const auto leave = [&proc](int gib) {
      // Replaced in one go: it is read all the time.
      const QString name = proc.filePath(QStringLiteral("meminfo"));
      QFile file(name + QStringLiteral(".new"));
      QVERIFY(file.open(QIODevice::WriteOnly));
      file.write(QStringLiteral("MemTotal: %1 kB\nMemAvailable: %2 kB\n")
                     .arg(120 << 20)
                     .arg(gib << 20)
                     .toUtf8());
      file.close();
      QCOMPARE(std::rename(qPrintable(file.fileName()), qPrintable(name)), 0);
    };
    leave(60);
    EngineCoreOptions options = serially();
    options.proc = proc.path().toStdString();
    Rig rig(1, options);
    QCOMPARE(collect(**rig.core->submit(request("1", {1}, 5))).tokens, expectedAnswer({1}, 5));

    leave(6);  // less than twice 4 GiB
    QTRY_COMPARE(rig.core->stats()->memoryGuard.state, api::MemoryGuardState::Holding);
    const auto held = *rig.core->submit(request("2", {2}, 5));
    QTRY_COMPARE(rig.core->stats()->waiting, 1);
    QCOMPARE(rig.core->stats()->running, 0);

    leave(1);  // less than half of 4 GiB
    const api::RequestOutput output = collect(*held);
    QCOMPARE(output.finish, api::FinishReason::Failed);
    QCOMPARE(output.error->code, ErrorCode::OutOfMemory);
    QVERIFY2(output.error->message.find("1.0 GiB") != std::string::npos,
             output.error->message.c_str());
    QVERIFY(becomesReadable(rig.core->endedFd(), 5s));
    QCOMPARE(rig.core->state(), api::EngineState::Failed);
  }

  void drainingFinishesWhatWasAcceptedAndTakesNothingNew() {
    Rig rig(2);
    rig.control.valve.close();
    const auto running = *rig.core->submit(request("running", {1, 2}, 10));
    const auto waiting = *rig.core->submit(request("waiting", {3, 4}, 10));
    rig.core->drain(20s);
    const auto refused = rig.core->submit(request("late", {1}));
    QVERIFY(!refused.ok());
    QCOMPARE(refused.error().code, ErrorCode::Unavailable);
    QVERIFY(refused.error().message.find("draining") != std::string::npos);
    rig.control.valve.open();
    QCOMPARE(collect(*running).tokens, expectedAnswer({1, 2}, 10));
    QCOMPARE(collect(*waiting).tokens, expectedAnswer({3, 4}, 10));
    QVERIFY(becomesReadable(rig.core->endedFd(), 5s));
    QCOMPARE(rig.events.states(),
             (std::vector<api::EngineState>{api::EngineState::Ready,
                                            api::EngineState::Draining,
                                            api::EngineState::Stopped}));
    QVERIFY(!rig.core->failure().has_value());
  }

  void theDrainDeadlineCancelsWhatIsLeft() {
    Rig rig;
    rig.control.valve.close();
    const auto queue = *rig.core->submit(request("endless", {1}, 60));
    QVERIFY(rig.control.valve.waitForArrivals(1));
    rig.core->drain(10ms);
    QVERIFY(!queue->pop(20ms).has_value());  // the deadline passes in the middle of a step
    rig.control.valve.open();
    const api::RequestOutput output = collect(*queue);
    QCOMPARE(output.finish, api::FinishReason::Cancelled);
    QVERIFY(output.tokens.size() <= 1);
    QVERIFY(becomesReadable(rig.core->endedFd(), 5s));
    QCOMPARE(rig.core->state(), api::EngineState::Stopped);
  }

  void aBrokenModelFailsEveryRequestAndTheEngine() {
    Rig rig;
    rig.control.failAtForward = 3;
    rig.control.valve.close();  // or the engine has failed before it hears of the second
    const auto first = *rig.core->submit(request("first", {1}, 10));
    const auto second = *rig.core->submit(request("second", {1}, 10));
    rig.control.valve.open();
    for (const auto& queue : {first, second}) {
      const api::RequestOutput output = collect(*queue);
      QCOMPARE(output.finish, api::FinishReason::Failed);
      QCOMPARE(output.error->message, std::string("the fake model broke"));
    }
    QVERIFY(becomesReadable(rig.core->endedFd(), 5s));
    QCOMPARE(rig.core->state(), api::EngineState::Failed);
    QCOMPARE(rig.core->failure()->message, std::string("the fake model broke"));
    QCOMPARE(rig.core->submit(request("late", {1})).error().code, ErrorCode::Unavailable);
  }

  void anInputTheModelRefusesFailsOnlyItsRequest() {
    Rig rig(2);
    rig.control.refuseAtForward = 2;
    rig.workerControl.refuseAtForward = 2;
    const auto refused = *rig.core->submit(request("refused", {1}, 10));
    const auto fine = *rig.core->submit(request("fine", {2}, 10));
    QCOMPARE(collect(*refused).finish, api::FinishReason::Failed);
    QCOMPARE(collect(*fine).tokens, expectedAnswer({2}, 10));
    QCOMPARE(rig.core->state(), api::EngineState::Ready);
  }

  void aRequestThatTheWholeCacheCannotHoldIsRefusedWithBothNumbers() {
    Rig rig(1, serially(), 2000, 4);  // 1,024 tokens
    const auto queue = rig.core->submit(request("big", std::vector<TokenId>(900, 1), 500));
    QVERIFY(!queue.ok());
    QCOMPARE(queue.error().code, ErrorCode::OutOfRange);
    QVERIFY2(queue.error().message.find("1400") != std::string::npos &&
                 queue.error().message.find("1024") != std::string::npos,
             queue.error().message.c_str());
    QCOMPARE(collect(**rig.core->submit(request("small", {2}, 5))).tokens, expectedAnswer({2}, 5));
  }

  void draftsChangeNothingButTheNumberOfSteps() {
    EngineCoreOptions options;
    options.scheduler.maxDrafts = 3;
    options.scheduler.alwaysDraft = true;
    Rig rig(2, options);
    const std::vector<TokenId> prompt{1, 2, 3, 4, 5};
    const api::RequestOutput output = collect(**rig.core->submit(request("r", prompt, 50)));
    QCOMPARE(output.tokens, expectedAnswer(prompt, 50));
    QCOMPARE(output.usage.completionTokens, 50);
    // Two guesses of three are right, so a step commits more than two tokens on average.
    QVERIFY2(rig.control.forwards < 30, qPrintable(QString::number(rig.control.forwards)));
    QTRY_VERIFY(rig.core->stats()->drafts.acceptedTokens() >= 20);
    QCOMPARE(rig.workerControl.forwards.load(), rig.control.forwards.load());
  }

  void aPromptThatContinuesAnAnswerFindsItInTheCache() {
    EngineCoreOptions options;
    Rig rig(2, options, 4000);
    std::vector<TokenId> conversation;
    for (int i = 0; i < 300; ++i) {
      conversation.push_back(i % 49);
    }
    const api::RequestOutput first = collect(**rig.core->submit(request("1", conversation, 300)));
    QCOMPARE(first.usage.cachedTokens, 0);
    QCOMPARE(first.tokens, expectedAnswer(conversation, 300));
    conversation.insert(conversation.end(), first.tokens.begin(), first.tokens.end());
    conversation.insert(conversation.end(), {4, 5, 6});
    const api::RequestOutput second = collect(**rig.core->submit(request("2", conversation, 20)));
    QCOMPARE(second.usage.cachedTokens, 512);  // 599 tokens were in the cache
    QCOMPARE(second.tokens, expectedAnswer(conversation, 20));
  }

  void anEndedEnginesConversationGoesOnFromTheDisk() {
    const EndedConversation ended;
    Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
    const api::RequestOutput second = collect(**rig.core->submit(request("2", ended.tokens, 20)));
    QCOMPARE(second.tokens, expectedAnswer(ended.tokens, 20));
    QCOMPARE(second.usage.cachedTokens, 512);  // as it finds in memory without a restart
    QTRY_COMPARE(rig.core->stats()->prefixCache.diskHitTokens.value_or(0), 512U);
    QVERIFY(rig.core->stats()->prefixCache.diskBytes.value_or(0) > 0);
    QTRY_COMPARE(rig.core->stats()->kvTokensUsed, 0);

    // Now it is in memory.
    const api::RequestOutput again = collect(**rig.core->submit(request("3", ended.tokens, 5)));
    QCOMPARE(again.tokens, expectedAnswer(ended.tokens, 5));
    QVERIFY(again.usage.cachedTokens >= 512);
    QCOMPARE(rig.core->stats()->prefixCache.diskHitTokens.value_or(0), 512U);
  }

  void aPrefixThatIsHalfInMemoryIsCompletedFromTheDisk() {
    const EndedConversation ended;
    Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
    const std::vector<TokenId> beginning(ended.tokens.begin(), ended.tokens.begin() + 257);
    const api::RequestOutput first = collect(**rig.core->submit(request("1", beginning, 2)));
    QCOMPARE(first.tokens, expectedAnswer(beginning, 2));
    QCOMPARE(first.usage.cachedTokens, 256);
    const api::RequestOutput second = collect(**rig.core->submit(request("2", ended.tokens, 20)));
    QCOMPARE(second.tokens, expectedAnswer(ended.tokens, 20));
    QCOMPARE(second.usage.cachedTokens, 512);
    QTRY_COMPARE(rig.core->stats()->prefixCache.diskHitTokens.value_or(0), 512U);
  }

  void whatRankOneDoesNotHaveIsComputedAnewAndStoredAgain() {
    const EndedConversation ended;
    QVERIFY(std::filesystem::remove_all(ended.path() / "rank-1") > 1);
    {
      Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
      const api::RequestOutput second = collect(**rig.core->submit(request("2", ended.tokens, 20)));
      QCOMPARE(second.tokens, expectedAnswer(ended.tokens, 20));
      QCOMPARE(second.usage.cachedTokens, 0);
      QVERIFY(logHas(rig.logger, LogLevel::Warning, "could not come back from rank 1's disk"));
      QCOMPARE(rig.core->state(), api::EngineState::Ready);
    }
    Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
    const api::RequestOutput third = collect(**rig.core->submit(request("3", ended.tokens, 20)));
    QCOMPARE(third.tokens, expectedAnswer(ended.tokens, 20));
    QVERIFY(third.usage.cachedTokens >= 512);
  }

  void aDamagedRecordIsNotUsedAndDeleted_data() {
    QTest::addColumn<QString>("rank");
    QTest::addColumn<QString>("kind");
    for (const char* rank : {"rank-0", "rank-1"}) {
      for (const char* kind : {"block", "snapshot"}) {
        QTest::addRow("a %s of %s", kind, rank) << QString(rank) << QString(kind);
      }
    }
  }
  void aDamagedRecordIsNotUsedAndDeleted() {
    QFETCH(QString, rank);
    QFETCH(QString, kind);
    const EndedConversation ended;
    const auto files = ended.records(rank.toUtf8().constData(), kind.toStdString());
    QVERIFY(!files.empty());
    for (const std::filesystem::path& path : files) {
      QFile file(QString::fromStdString(path.string()));
      QVERIFY(file.open(QIODevice::ReadWrite));
      QVERIFY(file.seek(file.size() / 2));
      const char byte = file.peek(1).at(0);
      QVERIFY(file.putChar(static_cast<char>(byte ^ 1)));
    }
    {
      Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
      const api::RequestOutput second = collect(**rig.core->submit(request("2", ended.tokens, 20)));
      QCOMPARE(second.tokens, expectedAnswer(ended.tokens, 20));
      QCOMPARE(second.usage.cachedTokens, 0);
      QVERIFY(logHas(rig.logger, LogLevel::Warning, "could not come back"));
      QVERIFY(
          logHas(rank == "rank-0" ? rig.logger : rig.workerLogger, LogLevel::Warning, "damaged"));
    }
    Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
    QVERIFY(collect(**rig.core->submit(request("3", ended.tokens, 20))).usage.cachedTokens >= 512);
  }

  void theRecordsOfAnotherModelAreNotUsed() {
    const EndedConversation ended;
    QVERIFY(!ended.records("rank-0", "snapshot").empty());
    EngineCoreOptions withoutMtp;
    withoutMtp.scheduler.maxDrafts = 0;
    Rig rig(2, withoutMtp, 4000, 64, ended.path());
    QVERIFY(ended.records("rank-0", "snapshot").empty());
    const api::RequestOutput second = collect(**rig.core->submit(request("2", ended.tokens, 20)));
    QCOMPARE(second.tokens, expectedAnswer(ended.tokens, 20));
    QCOMPARE(second.usage.cachedTokens, 0);
  }

  void aDiskThatDoesNotAnswerInTimeCostsOnlyTime() {
    const EndedConversation ended;
    EngineCoreOptions options;
    options.disk.patience = 100ms;
    Rig rig(2, options, 4000, 64, ended.path(), false);
    const api::RequestOutput second = collect(**rig.core->submit(request("2", ended.tokens, 20)));
    QCOMPARE(second.tokens, expectedAnswer(ended.tokens, 20));
    QCOMPARE(second.usage.cachedTokens, 0);
    QVERIFY(logHas(rig.logger, LogLevel::Warning, "not read in 100 ms"));
  }

  void othersAreAnsweredWhileAPrefixIsOnItsWay() {
    const EndedConversation ended;
    EngineCoreOptions options;
    options.disk.patience = 60s;
    Rig rig(2, options, 4000, 64, ended.path(), false);
    const auto waiting = *rig.core->submit(request("waiting", ended.tokens, 20));
    QCOMPARE(collect(**rig.core->submit(request("other", {1, 2, 3}, 9))).tokens,
             expectedAnswer({1, 2, 3}, 9));
    QVERIFY(!waiting->pop(0ms).has_value());
    rig.core->cancel("waiting");
    QCOMPARE(collect(*waiting).finish, api::FinishReason::Cancelled);
  }

  void twoConversationsComeBackOneAfterTheOther() {
    const EndedConversation ended;
    std::vector<TokenId> other;
    for (int i = 0; i < 500; ++i) {
      other.push_back(i % 31);
    }
    {
      Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
      QCOMPARE(collect(**rig.core->submit(request("1", other, 2))).tokens,
               expectedAnswer(other, 2));
    }
    Rig rig(2, EngineCoreOptions{}, 4000, 64, ended.path());
    rig.control.valve.close();
    const auto first = *rig.core->submit(request("first", {1, 2, 3}, 2));
    QVERIFY(rig.control.valve.waitForArrivals(1));  // both are there when it is looked next
    const auto second = *rig.core->submit(request("second", ended.tokens, 20));
    const auto third = *rig.core->submit(request("third", other, 20));
    rig.control.valve.open();
    const api::RequestOutput secondOutput = collect(*second);
    const api::RequestOutput thirdOutput = collect(*third);
    QCOMPARE(secondOutput.tokens, expectedAnswer(ended.tokens, 20));
    QCOMPARE(secondOutput.usage.cachedTokens, 512);
    QCOMPARE(thirdOutput.tokens, expectedAnswer(other, 20));
    QVERIFY(thirdOutput.usage.cachedTokens >= 256);
    QCOMPARE(collect(*first).finish, api::FinishReason::Length);
  }

  void withoutAFolderNothingIsWritten() {
    QTemporaryDir folder;
    Rig rig(2, EngineCoreOptions{}, 4000);
    const std::vector<TokenId> prompt(300, 3);
    QCOMPARE(collect(**rig.core->submit(request("r", prompt, 9))).tokens,
             expectedAnswer(prompt, 9));
    QTRY_COMPARE(rig.core->stats()->requestsFinished, 1U);
    QVERIFY(!rig.core->stats()->prefixCache.diskBytes.has_value());
    // And without prefixes neither, though there is one.
    EngineCoreOptions keepingNothing;
    keepingNothing.keepPrefixes = false;
    const std::filesystem::path path = std::filesystem::path(folder.path().toStdString()) / "c";
    {
      Rig other(1, keepingNothing, 4000, 64, path);
      QCOMPARE(collect(**other.core->submit(request("r", prompt, 9))).tokens,
               expectedAnswer(prompt, 9));
    }
    for (const auto& entry : std::filesystem::directory_iterator(path / "rank-0")) {
      QVERIFY2(!entry.path().string().ends_with(".kv"), entry.path().c_str());
    }
  }

  void anyMixOfRequestsGivesEachTheAnswerItGetsAlone_data() {
    QTest::addColumn<int>("ranks");
    QTest::addColumn<int>("blocks");
    // Answers that outgrow the cache, so that somebody has to give way; prompts that do, so that
    // prefixes go.
    QTest::addColumn<bool>("longAnswers");
    QTest::addColumn<bool>("disk");
    QTest::newRow("one rank, room for all") << 1 << 64 << false << false;
    QTest::newRow("two ranks, room for all") << 2 << 64 << false << false;
    QTest::newRow("two ranks, too few blocks for all answers") << 2 << 12 << true << false;
    QTest::newRow("two ranks with disks, too few blocks for all prefixes")
        << 2 << 9 << false << true;
  }
  void anyMixOfRequestsGivesEachTheAnswerItGetsAlone() {
    QFETCH(int, ranks);
    QFETCH(int, blocks);
    QFETCH(bool, longAnswers);
    QFETCH(bool, disk);
    QTemporaryDir folder;
    EngineCoreOptions options;
    options.scheduler.alwaysDraft = true;
    options.scheduler.maxRunning = 4;
    options.scheduler.maxQueued = 1000;
    options.scheduler.prefillChunkTokens = 100;
    Rig rig(ranks,
            options,
            2000,
            blocks,
            disk ? std::filesystem::path(folder.path().toStdString()) : std::filesystem::path());
    std::mt19937 random(7);
    std::vector<std::vector<TokenId>> prompts;
    std::vector<std::int64_t> lengths;
    std::vector<std::shared_ptr<api::OutputQueue>> queues;
    std::set<int> cancelled;
    for (int i = 0; i < (longAnswers ? 8 : 120); ++i) {
      // Half of them continue an earlier prompt, so that prefixes are found and blocks shared.
      std::vector<TokenId> prompt;
      if (i > 0 && random() % 2 == 0) {
        prompt = prompts[random() % prompts.size()];
        prompt.resize(1 + random() % prompt.size());
      }
      const std::size_t more = 1 + random() % (longAnswers ? 40 : 400);
      for (std::size_t t = 0; t < more && prompt.size() < (longAnswers ? 50 : 900); ++t) {
        prompt.push_back(static_cast<TokenId>(random() % kVocab));
      }
      const auto length = static_cast<std::int64_t>((longAnswers ? 1500 : 1) +
                                                    random() % (longAnswers ? 400 : 200));
      queues.push_back(*rig.core->submit(request(std::to_string(i), prompt, length)));
      prompts.push_back(std::move(prompt));
      lengths.push_back(length);
      if (random() % 10 == 0) {
        cancelled.insert(i);
        rig.core->cancel(std::to_string(i));
      }
    }
    for (std::size_t i = 0; i < queues.size(); ++i) {
      const api::RequestOutput output = collect(*queues[i]);
      if (cancelled.contains(static_cast<int>(i))) {
        continue;
      }
      QCOMPARE(output.finish, api::FinishReason::Length);
      QCOMPARE(output.tokens, expectedAnswer(prompts[i], static_cast<std::size_t>(lengths[i])));
    }
    QTRY_COMPARE(rig.core->stats()->kvTokensUsed, 0);
    QCOMPARE(rig.core->state(), api::EngineState::Ready);
    if (disk) {
      QVERIFY(rig.core->stats()->prefixCache.diskHitTokens.value_or(0) > 0);
    } else {
      QCOMPARE(rig.core->stats()->preemptions > 0, longAnswers);
    }
  }

  void aWorkerThatBreaksFailsTheEngineWithItsReason() {
    Rig rig(2);
    rig.workerControl.failAtForward = 4;
    const auto queue = *rig.core->submit(request("r", {1}, 40));
    const auto begin = std::chrono::steady_clock::now();
    const api::RequestOutput output = collect(*queue);
    QVERIFY(std::chrono::steady_clock::now() - begin < 20s);
    QCOMPARE(output.finish, api::FinishReason::Failed);
    QCOMPARE(output.error->message, std::string("rank 1 gave up: the fake model broke"));
    QVERIFY(becomesReadable(rig.core->endedFd(), 5s));
    QCOMPARE(rig.core->state(), api::EngineState::Failed);
  }

  void aWorkerLostWhileIdleFailsTheEngine() {
    Rig rig(2);
    rig.channel0->health()->fail(Error{ErrorCode::Unavailable, "rank 1 is lost: test", ""});
    QVERIFY(becomesReadable(rig.core->endedFd(), 5s));
    QCOMPARE(rig.core->failure()->message, std::string("rank 1 is lost: test"));
  }

  void rankZeroGoingAwayEndsTheWorker() {
    std::optional<Rig> rig(std::in_place, 2);
    QCOMPARE(collect(**rig->core->submit(request("r", {1}, 3))).tokens, expectedAnswer({1}, 3));
    const auto outcome = rig->workerOutcome;
    rig.reset();
    QVERIFY(outcome->has_value());
    QVERIFY((*outcome)->ok());
  }

  void stoppingDuringTheStartIsStoppedAndAFailureIsFailed() {
    RecordingSink events;
    Logger logger(0);
    MemoryBoard memory(1);
    const auto stopped = *EngineCore::create({}, memory, logger, events);
    QCOMPARE(stopped->submit(request("r", {1})).error().code, ErrorCode::Unavailable);
    stopped->drain(1s);
    QCOMPARE(stopped->state(), api::EngineState::Stopped);
    QVERIFY(becomesReadable(stopped->endedFd(), 0ms));
    const auto failed = *EngineCore::create({}, memory, logger, events);
    failed->fail(Error{ErrorCode::NotFound, "no model", ""});
    QCOMPARE(failed->state(), api::EngineState::Failed);
    QCOMPARE(failed->failure()->message, std::string("no model"));
    QVERIFY(becomesReadable(failed->endedFd(), 0ms));
  }

  void statisticsCountWhatHappened() {
    Rig rig(2);
    const auto secondsSince = [](MonotonicTime begin) {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    rig.control.valve.close();
    const auto begin = std::chrono::steady_clock::now();
    const auto one = *rig.core->submit(request("one", {1, 2, 3}, 5));
    const auto submitted = std::chrono::steady_clock::now();
    QVERIFY(rig.control.valve.waitForArrivals(1));
    QTRY_COMPARE(rig.core->stats()->running, 1);
    const double held = secondsSince(submitted);
    rig.control.valve.open();
    (void)collect(*one);
    const double done = secondsSince(begin);
    QTRY_COMPARE(rig.core->stats()->requestsFinished, 1U);
    QVERIFY(rig.core->stats()->lastTtftSeconds >= held);
    QVERIFY(rig.core->stats()->lastTtftSeconds <= done);
    QCOMPARE(rig.core->stats()->ranks.at(0).weightBytes, 4096U);
    QVERIFY(rig.core->stats()->ranks.at(0).processBytes > 100000U);
    QVERIFY(rig.core->stats()->ranks.at(0).hostAvailableBytes <=
            rig.core->stats()->ranks.at(0).hostTotalBytes);

    rig.control.valve.close();
    const auto two = *rig.core->submit(request("two", {1, 2}, 60));
    QTRY_COMPARE(rig.core->stats()->running, 1);
    rig.core->cancel("two");
    rig.control.valve.open();
    (void)collect(*two);
    QTRY_COMPARE(rig.core->stats()->requestsCancelled, 1U);
    const auto stats = rig.core->stats();
    QCOMPARE(stats->requestsFinished, 1U);
    QCOMPARE(stats->promptTokens, 5U);
    QVERIFY(stats->generatedTokens >= 5U);
    QTRY_COMPARE(rig.core->stats()->kvTokensUsed, 0);
    QCOMPARE(stats->requestsAtLength, 1U);
    QCOMPARE(stats->prefixCache.queriedTokens, 5U);
    QCOMPARE(stats->latency.queue.total.count(), 2U);
    QCOMPARE(stats->latency.endToEnd.total.count(), 2U);
    QVERIFY(stats->latency.endToEnd.total.sumSeconds >= held);
    // Five tokens have four gaps; every step but the two prompts' advances one answer.
    QVERIFY(stats->latency.interToken.total.count() >= 4U);
    QCOMPARE(stats->decodeRows, stats->steps - 2);
    QVERIFY(stats->stepSeconds > 0);
    // A rate covers the last interval only, and rank 1 reports its memory between steps: there
    // must be work until both were seen.
    bool sawRate = false;
    bool sawMemory = false;
    for (int i = 0; !sawRate || !sawMemory; ++i) {
      QVERIFY2(secondsSince(begin) < 20, sawRate ? "no memory of rank 1" : "no rate");
      (void)collect(**rig.core->submit(request(std::to_string(i), {1, 2}, 60)));
      sawRate = sawRate || rig.core->stats()->decodeTokensPerSecond > 0;
      sawMemory = sawMemory || rig.core->stats()->ranks.at(1).kvBytes >= 1000;
    }
    QCOMPARE(stats->state, api::EngineState::Ready);
  }
};

class RelayTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void rankOnesPhasesLinesAndMemoryArriveAtRankZero() {
    auto made = comm::makeLoopbackPeerChannels(kEpoch);
    std::shared_ptr<comm::PeerChannel> rank1 = std::move((*made)[1]);
    RecordingSink events;
    Logger logger(0);
    MemoryBoard memory(2);
    const auto relay = *PeerRelay::create(*(*made)[0], events, logger, memory);
    PeerEventSink sink(*rank1);
    Logger workerLogger(1);
    workerLogger.addSink(std::make_unique<PeerLogSink>(rank1));
    {
      PhaseScope phase(sink, api::Phase::Weights, 1);
      phase.progress(5, 10);
      phase.end("done");
      PhaseScope left(sink, api::Phase::Kv, 1);
    }
    workerLogger.warning("weights", "slow disk");
    QTRY_COMPARE(events.phases().size(), 5U);
    QCOMPARE(events.phases()[1].bytesDone, 5U);
    QCOMPARE(events.phases()[2].kind, api::PhaseEventKind::End);
    QCOMPARE(events.phases()[4].kind, api::PhaseEventKind::Failed);
    QTRY_COMPARE(logger.lastSeq(), 1U);
    QCOMPARE(logger.recordsAfter(0)[0].rank, 1);
    QCOMPARE(logger.recordsAfter(0)[0].text, std::string("slow disk"));
  }

  void waitingForRankOneEndsWhenItGivesUp() {
    auto made = comm::makeLoopbackPeerChannels(kEpoch);
    RecordingSink events;
    Logger logger(0);
    MemoryBoard memory(2);
    const auto relay = *PeerRelay::create(*(*made)[0], events, logger, memory);
    (*made)[1]->goodbye(Error{ErrorCode::NotFound, "no model folder /m", "Copy it."});
    const Result<void> loaded = relay->waitUntilLoaded(-1);
    QVERIFY(!loaded.ok());
    QCOMPARE(loaded.error().message, std::string("rank 1 gave up: no model folder /m"));
    QCOMPARE(loaded.error().remedy, std::string("Copy it."));
  }

  void aPlanOutOfOrderOrOfAnotherEpochStopsTheWorker_data() {
    QTest::addColumn<quint64>("epoch");
    QTest::addColumn<quint64>("step");
    QTest::newRow("a step was lost") << quint64(kEpoch) << quint64(2);
    QTest::newRow("another start of the engine") << quint64(kEpoch + 1) << quint64(1);
  }

  void aPlanOutOfOrderOrOfAnotherEpochStopsTheWorker() {
    QFETCH(quint64, epoch);
    QFETCH(quint64, step);
    auto made = comm::makeLoopbackPeerChannels(kEpoch);
    FakeModelControl control;
    FakeLanguageModel model(control, kVocab, kContext);
    Logger logger(1);
    Worker worker(*(*made)[1], model, logger);
    StepPlan plan;
    plan.epoch = epoch;
    plan.step = step;
    QVERIFY((*made)[0]->send(peer_message::kPlan, encode(plan)).ok());
    const Result<void> done = worker.run();
    QVERIFY(!done.ok());
    QCOMPARE(done.error().code, ErrorCode::Internal);
    QVERIFY2(done.error().message.find("expected step 1 in epoch") != std::string::npos,
             done.error().message.c_str());
  }
};

int main(int argc, char** argv) {
  int failed = 0;
  const auto run = [&](auto&& test) { failed += QTest::qExec(&test, argc, argv); };
  run(StepPlanTest());
  run(EngineCoreTest());
  run(RelayTest());
  return failed;
}
#include "runtime_test.moc"
