// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/model/oracle_comparison.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <thread>

#include <QTest>

#include "engine/comm/loopback_communicator.h"
#include "engine/comm/solo_communicator.h"
#include "engine/model/lone_sequence.h"
#include "tests/support/golden_file.h"

namespace tandem::test {

using kernels::Numerics;
using model::Backend;
using model::DeepseekV4;
using model::ModelOptions;
using tests::GoldenFile;

namespace {

// Issue's bound for float32 against the oracle on a checkpoint that amplifies every rounding.
constexpr double kExactNear = 2e-3;
constexpr double kCacheNear = 2e-2;
constexpr double kActNear = 1e-3;

struct Distance {
  int rows = 0;
  int rowsWithin = 0;  // of `near`
  int sameArgmax = 0;
  double worst = 0;
  double klSum = 0;
};

/// Adds the rows of one prompt.
void compareRows(Distance& distance,
                 const std::vector<float>& got,
                 const std::vector<float>& expected,
                 std::size_t vocab,
                 double near) {
  for (std::size_t begin = 0; begin < expected.size(); begin += vocab) {
    const std::span<const float> a(got.data() + begin, vocab);
    const std::span<const float> b(expected.data() + begin, vocab);
    double worst = 0;
    double sumA = 0;
    double sumB = 0;
    for (std::size_t i = 0; i < vocab; ++i) {
      worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
      sumA += std::exp(static_cast<double>(a[i]));
      sumB += std::exp(static_cast<double>(b[i]));
    }
    for (std::size_t i = 0; i < vocab; ++i) {
      const double logB = static_cast<double>(b[i]) - std::log(sumB);
      distance.klSum += std::exp(logB) * (logB - (static_cast<double>(a[i]) - std::log(sumA)));
    }
    distance.worst = std::max(distance.worst, worst);
    distance.rowsWithin += worst <= near ? 1 : 0;
    distance.sameArgmax += std::max_element(a.begin(), a.end()) - a.begin() ==
                                   std::max_element(b.begin(), b.end()) - b.begin()
                               ? 1
                               : 0;
    ++distance.rows;
  }
}

/// Compares every prompt of a golden file; rows is how many the file keeps of each.
Result<Distance> compareWithGolden(const std::string& folder,
                                   const std::string& modelFolder,
                                   const ModelOptions& base,
                                   int ranks,
                                   std::size_t chunk,
                                   const std::string& numerics,
                                   double near) {
  auto golden = GoldenFile::open(folder + "/golden.safetensors");
  if (!golden) {
    return golden.error();
  }
  Distance distance;
  const std::vector<std::string> prompts = golden->prompts();
  ModelOptions options = base;
  options.maxStepTokens = 1024;
  // One model for all prompts: the ranks go through them together.
  std::vector<float> logits;
  auto ran = onRanks(modelFolder, options, ranks, [&](DeepseekV4& model) -> Result<Scored> {
    Scored all;
    for (const std::string& name : prompts) {
      const std::string key = numerics + "." + name;
      const auto rows = static_cast<std::size_t>(golden->shape(key + ".logits")[0]);
      auto scored = feed(model, golden->integers(name + ".ids"), chunk, rows);
      if (!scored) {
        return scored.error().within(name);
      }
      all.logits.insert(all.logits.end(), scored->logits.begin(), scored->logits.end());
      all.drafts.insert(all.drafts.end(), scored->drafts.begin(), scored->drafts.end());
    }
    return all;
  });
  if (!ran) {
    return ran.error();
  }
  std::size_t atLogits = 0;
  std::size_t atDrafts = 0;
  const auto take = [&](const std::vector<float>& from, std::size_t& at, const std::string& key) {
    const std::vector<float> expected = golden->floats(key);
    const std::vector<float> got(from.begin() + static_cast<std::ptrdiff_t>(at),
                                 from.begin() + static_cast<std::ptrdiff_t>(at + expected.size()));
    at += expected.size();
    compareRows(distance, got, expected, static_cast<std::size_t>(golden->shape(key)[1]), near);
  };
  for (const std::string& name : prompts) {
    const std::string key = numerics + "." + name;
    take(ran->logits, atLogits, key + ".logits");
    if (golden->has(key + ".mtp_logits")) {
      take(ran->drafts, atDrafts, key + ".mtp_logits");
    }
  }
  if (atLogits != ran->logits.size() || atDrafts != ran->drafts.size()) {
    return Error{ErrorCode::Internal, "the model gave other rows than the oracle", ""};
  }
  return distance;
}

/// What the oracle chose and computed in one layer of its `act` trace.
class OracleLayer {
 public:
  OracleLayer(const GoldenFile& golden, const GoldenFile& float64, std::int64_t layer) {
    const std::string name = "layers." + std::to_string(layer);
    streams_ = golden.floats("trace.act." + name + ".streams");
    width_ = streams_.size() /
             static_cast<std::size_t>(golden.shape("trace.act." + name + ".streams")[0]);
    experts_ = golden.integers("trace.act." + name + ".ffn.experts");
    if (golden.has("trace.act." + name + ".attn.seen")) {
      seen_ = golden.bytes("trace.act." + name + ".attn.seen");
    }
    if (float64.has(name + ".rows")) {
      tiedRows_ = float64.integers(name + ".rows");
      tiedStreams_ = float64.floats(name + ".streams");
    }
  }

  [[nodiscard]] bool choseTheSame(const model::ModelConfig& config,
                                  const model::LayerTrace& ours,
                                  std::size_t row) const {
    const auto perToken = static_cast<std::size_t>(config.numExpertsPerTok);
    const auto sorted = [&](const std::vector<std::int32_t>& picks) {
      std::vector<std::int32_t> part(
          picks.begin() + static_cast<std::ptrdiff_t>(row * perToken),
          picks.begin() + static_cast<std::ptrdiff_t>((row + 1) * perToken));
      std::sort(part.begin(), part.end());
      return part;
    };
    if (sorted(ours.experts) != sorted(experts_)) {
      return false;
    }
    if (ours.entryCounts.empty()) {
      return true;
    }
    const std::size_t entries = seen_.size() / ours.entryCounts.size();
    const auto topk = static_cast<std::size_t>(config.indexTopk);
    std::vector<std::uint8_t> mine(entries, 0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(ours.entryCounts[row]); ++i) {
      mine[static_cast<std::size_t>(ours.entries[row * topk + i])] = 1;
    }
    return std::equal(mine.begin(),
                      mine.end(),
                      seen_.begin() + static_cast<std::ptrdiff_t>(row * entries));
  }

  /// |ours - oracle| / |oracle| of a row of streams; of the nearer one where the oracle's float32
  /// and float64 evaluations fall to different sides of a rounding tie.
  [[nodiscard]] double relativeError(const std::vector<float>& ours, std::size_t row) const {
    const double error = relativeTo(streams_.data() + row * width_, ours, row);
    const auto tied = std::find(tiedRows_.begin(), tiedRows_.end(), static_cast<std::int32_t>(row));
    if (tied == tiedRows_.end()) {
      return error;
    }
    const auto index = static_cast<std::size_t>(tied - tiedRows_.begin());
    return std::min(error, relativeTo(tiedStreams_.data() + index * width_, ours, row));
  }

 private:
  [[nodiscard]] double relativeTo(const float* expected,
                                  const std::vector<float>& ours,
                                  std::size_t row) const {
    double difference = 0;
    double norm = 0;
    for (std::size_t i = 0; i < width_; ++i) {
      const auto e = static_cast<double>(expected[i]);
      const double d = static_cast<double>(ours[row * width_ + i]) - e;
      difference += d * d;
      norm += e * e;
    }
    return std::sqrt(difference / norm);
  }

  std::size_t width_ = 0;
  std::vector<float> streams_;
  std::vector<std::int32_t> experts_;
  std::vector<std::uint8_t> seen_;  // [rows, entries]; empty where the layer has no indexer
  std::vector<std::int32_t> tiedRows_;
  std::vector<float> tiedStreams_;
};

}  // namespace

Result<Scored> feed(DeepseekV4& model,
                    const std::vector<TokenId>& tokens,
                    std::size_t chunk,
                    std::size_t rows) {
  const std::size_t count = tokens.size();
  auto sequence = model::LoneSequence::create(model, static_cast<std::int64_t>(count), true);
  if (!sequence) {
    return sequence.error();
  }
  const auto vocab = static_cast<std::size_t>(model.vocabSize());
  const std::span<const TokenId> all(tokens);
  Scored scored;
  for (std::size_t begin = 0; begin < count; begin += chunk) {
    const std::size_t end = std::min(begin + chunk, count);
    // The MTP module stands one token behind.
    const std::size_t drafted = end - 1 - (begin > 0 ? begin - 1 : 0);
    std::vector<float> logits((end - begin) * vocab);
    std::vector<float> drafts(drafted * vocab);
    if (auto done = sequence->feed(all.subspan(begin, end - begin),
                                   {.logits = logits, .mtpLogits = drafts});
        !done) {
      return done.error();
    }
    scored.logits.insert(scored.logits.end(), logits.begin(), logits.end());
    scored.drafts.insert(scored.drafts.end(), drafts.begin(), drafts.end());
  }
  const auto keepLast = [&](std::vector<float>& values) {
    if (values.size() > rows * vocab) {
      values.erase(values.begin(), values.end() - static_cast<std::ptrdiff_t>(rows * vocab));
    }
  };
  keepLast(scored.logits);
  keepLast(scored.drafts);
  return scored;
}

Result<Scored> onRanks(const std::string& folder,
                       const ModelOptions& options,
                       int ranks,
                       const std::function<Result<Scored>(DeepseekV4&)>& body) {
  auto communicators = comm::makeLoopbackCommunicators(ranks);
  std::vector<Result<Scored>> results(static_cast<std::size_t>(ranks), Error{});
  {
    std::vector<std::jthread> threads;
    for (std::size_t rank = 0; rank < communicators.size(); ++rank) {
      threads.emplace_back([&, rank] {
        const auto end = std::move(communicators[rank]);
        auto model = DeepseekV4::load(folder, options, *end, nullptr);
        results[rank] = model ? body(**model) : Result<Scored>(model.error());
      });
    }
  }
  return results[0];
}

namespace {

const char* nameOf(Backend backend) {
  return backend == Backend::Reference ? "reference" : "cpu";
}

}  // namespace

void addBackends(std::initializer_list<Backend> backends) {
  QTest::addColumn<Backend>("backend");
  for (const Backend backend : backends) {
    QTest::newRow(nameOf(backend)) << backend;
  }
}

void addExactRows(std::initializer_list<Backend> backends) {
  QTest::addColumn<Backend>("backend");
  QTest::addColumn<int>("ranks");
  QTest::addColumn<int>("chunk");
  constexpr int kAll = static_cast<int>(kWhole);
  const std::vector<int> chunks =
      kSanitized ? std::vector<int>{7, kAll} : std::vector<int>{1, 7, 128, kAll};
  for (const Backend backend : backends) {
    for (const int ranks : {1, 2}) {
      for (const int chunk : chunks) {
        QTest::addRow("%s, %d ranks, chunk %d", nameOf(backend), ranks, chunk)
            << backend << ranks << chunk;
      }
    }
  }
}

void checkExact(const std::string& folder,
                const std::string& modelFolder,
                Backend backend,
                int ranks,
                int chunk) {
  const ModelOptions options{.backend = backend, .numerics = Numerics::Exact};
  const auto distance = compareWithGolden(folder,
                                          modelFolder,
                                          options,
                                          ranks,
                                          static_cast<std::size_t>(chunk),
                                          "exact",
                                          kExactNear);
  QVERIFY2(distance.ok(), distance ? "" : distance.error().text().c_str());
  QVERIFY(distance->rows > 0);
  QVERIFY2(distance->rowsWithin == distance->rows,
           qPrintable(QStringLiteral("%1 of %2 rows within %3, worst %4")
                          .arg(distance->rowsWithin)
                          .arg(distance->rows)
                          .arg(kExactNear)
                          .arg(distance->worst)));
}

void checkCache(const std::string& folder, const std::string& modelFolder, int ranks) {
  const ModelOptions options{.backend = Backend::Cpu, .numerics = Numerics::Cache};
  const auto distance =
      compareWithGolden(folder, modelFolder, options, ranks, 128, "cache", kCacheNear);
  QVERIFY2(distance.ok(), distance ? "" : distance.error().text().c_str());
  QVERIFY2(distance->rowsWithin >= 0.9 * distance->rows,
           qPrintable(QStringLiteral("%1 of %2 rows, worst %3")
                          .arg(distance->rowsWithin)
                          .arg(distance->rows)
                          .arg(distance->worst)));
  QVERIFY(distance->sameArgmax >= 0.98 * distance->rows);
  QVERIFY(distance->klSum / distance->rows <= 1e-3);
}

void checkActBlocks(const std::string& goldens,
                    const std::string& modelFolder,
                    const std::string& ties,
                    const std::string& prompt,
                    Backend backend) {
  auto golden = GoldenFile::open(goldens);
  QVERIFY(golden.ok());
  auto float64 = GoldenFile::open(ties);
  QVERIFY2(float64.ok(), float64 ? "" : float64.error().text().c_str());
  comm::SoloCommunicator alone;
  auto model =
      DeepseekV4::load(modelFolder,
                       {.backend = backend, .numerics = Numerics::Act, .maxStepTokens = 1024},
                       alone,
                       nullptr);
  QVERIFY2(model.ok(), model ? "" : model.error().text().c_str());
  const std::vector<TokenId> tokens = golden->integers(prompt + ".ids");
  int rows = 0;
  int sameChoices = 0;
  for (std::int64_t layer = 1; layer < (*model)->config().numHiddenLayers; ++layer) {
    std::vector<float> streams =
        golden->floats("trace.act.layers." + std::to_string(layer - 1) + ".streams");
    auto trace = (*model)->forwardLayer(layer, tokens, streams);
    QVERIFY2(trace.ok(), trace ? "" : trace.error().text().c_str());
    const OracleLayer expected(*golden, *float64, layer);
    for (std::size_t r = 0; r < tokens.size(); ++r) {
      ++rows;
      if (!expected.choseTheSame((*model)->config(), *trace, r)) {
        continue;
      }
      ++sameChoices;
      const double error = expected.relativeError(streams, r);
      QVERIFY2(error <= kActNear,
               qPrintable(QStringLiteral("layer %1 row %2: relative error %3, allowed %4")
                              .arg(layer)
                              .arg(r)
                              .arg(error)
                              .arg(kActNear)));
    }
  }
  QVERIFY2(sameChoices >= 0.98 * rows,
           qPrintable(QStringLiteral("choices agree on %1 of %2 rows").arg(sameChoices).arg(rows)));
}

}  // namespace tandem::test
