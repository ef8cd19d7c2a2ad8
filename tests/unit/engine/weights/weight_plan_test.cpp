// SPDX-License-Identifier: GPL-3.0-or-later
// config.json, and the tensors that follow from it: names, counts and bytes of V4-Flash.
#include <map>
#include <numeric>
#include <set>

#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTest>

#include "engine/model/model_config.h"
#include "engine/model/weight_map.h"
#include "engine/model/weight_slice.h"

using namespace tandem;
using namespace tandem::model;

namespace {

/// The hyper-parameters of DeepSeek-V4-Flash.
QJsonObject flashConfig() {
  QJsonArray ratios{0, 0};
  for (int pair = 0; pair < 20; ++pair) {
    ratios.append(4);
    ratios.append(128);
  }
  ratios.append(4);
  ratios.append(0);
  const QByteArray text = R"({
    "model_type": "deepseek_v4", "hidden_size": 4096, "num_hidden_layers": 43,
    "num_attention_heads": 64, "num_key_value_heads": 1, "head_dim": 512, "qk_rope_head_dim": 64,
    "q_lora_rank": 1024, "o_groups": 8, "o_lora_rank": 1024, "sliding_window": 128,
    "index_n_heads": 64, "index_head_dim": 128, "index_topk": 512, "hc_mult": 4,
    "hc_sinkhorn_iters": 20, "hc_eps": 1e-6, "n_routed_experts": 256, "n_shared_experts": 1,
    "num_experts_per_tok": 6, "moe_intermediate_size": 2048, "num_hash_layers": 3,
    "scoring_func": "sqrtsoftplus", "topk_method": "noaux_tc", "norm_topk_prob": true,
    "routed_scaling_factor": 1.5, "swiglu_limit": 10.0, "hidden_act": "silu",
    "rms_norm_eps": 1e-6, "rope_theta": 10000, "compress_rope_theta": 160000,
    "rope_scaling": {"type": "yarn", "factor": 16, "original_max_position_embeddings": 65536,
                     "beta_fast": 32, "beta_slow": 1},
    "max_position_embeddings": 1048576, "vocab_size": 129280, "tie_word_embeddings": false,
    "num_nextn_predict_layers": 1, "attention_bias": false, "bos_token_id": 0, "eos_token_id": 1,
    "expert_dtype": "fp4",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "ue8m0",
                            "weight_block_size": [128, 128]}})";
  QJsonObject config = QJsonDocument::fromJson(text).object();
  config[QStringLiteral("compress_ratios")] = ratios;
  return config;
}

Result<ModelConfig> parse(const QJsonObject& config) {
  return parseModelConfig(QJsonDocument(config).toJson().toStdString(), "config.json");
}

std::uint64_t storedBytes(const TensorPlan& tensor) {
  return sliceFor(tensor, {0, 1}).bytes(tensor.dtype);
}

struct Totals {
  std::int64_t tensors = 0;
  std::uint64_t bytes = 0;
};

/// By group, or by the first components of the name.
template <typename Key>
auto totalsBy(const std::vector<TensorPlan>& plan, Key key) {
  std::map<decltype(key(plan.front())), Totals> totals;
  for (const TensorPlan& tensor : plan) {
    Totals& entry = totals[key(tensor)];
    ++entry.tensors;
    entry.bytes += storedBytes(tensor);
  }
  return totals;
}

/// "layers.7", "mtp.0", or "" for the rest.
std::string moduleOf(const TensorPlan& tensor) {
  const std::size_t first = tensor.name.find('.');
  const std::string head = tensor.name.substr(0, first);
  if (head != "layers" && head != "mtp") {
    return {};
  }
  return tensor.name.substr(0, tensor.name.find('.', first + 1));
}

std::uint64_t rankBytes(const std::vector<TensorPlan>& plan, int rank) {
  std::uint64_t bytes = 0;
  for (const TensorPlan& tensor : plan) {
    bytes += sliceFor(tensor, {rank, 2}).bytes(tensor.dtype);
  }
  return bytes;
}

/// ../shared lies beside the repository, one level further up from a worktree.
QString sharedFile(const QString& name) {
  for (const QString& up : {QStringLiteral("/../shared/"), QStringLiteral("/../../shared/")}) {
    const QString path = QStringLiteral(TANDEM_SOURCE_DIR) + up + name;
    if (QFileInfo::exists(path)) {
      return path;
    }
  }
  return {};
}

}  // namespace

class WeightPlanTest : public QObject {
  Q_OBJECT

 private slots:
  void readsEveryFieldOfTheOfficialConfig() {
    const Result<ModelConfig> config = parse(flashConfig());
    QVERIFY2(config.ok(), config.ok() ? "" : config.error().message.c_str());
    QCOMPARE(config->hiddenSize, 4096);
    QCOMPARE(config->numHiddenLayers, 43);
    QCOMPARE(config->numAttentionHeads, 64);
    QCOMPARE(config->headDim, 512);
    QCOMPARE(config->qkRopeHeadDim, 64);
    QCOMPARE(config->qLoraRank, 1024);
    QCOMPARE(config->oGroups, 8);
    QCOMPARE(config->oLoraRank, 1024);
    QCOMPARE(config->slidingWindow, 128);
    QCOMPARE(config->compressRatios.size(), std::size_t{44});
    QCOMPARE(config->compressRatio(41), 128);
    QCOMPARE(config->compressRatio(42), 4);
    QCOMPARE(config->indexNHeads, 64);
    QCOMPARE(config->indexHeadDim, 128);
    QCOMPARE(config->indexTopk, 512);
    QCOMPARE(config->hcMult, 4);
    QCOMPARE(config->hcSinkhornIters, 20);
    QCOMPARE(config->hcEps, 1e-6F);
    QCOMPARE(config->nRoutedExperts, 256);
    QCOMPARE(config->nSharedExperts, 1);
    QCOMPARE(config->numExpertsPerTok, 6);
    QCOMPARE(config->moeIntermediateSize, 2048);
    QCOMPARE(config->numHashLayers, 3);
    QCOMPARE(config->routedScalingFactor, 1.5F);
    QCOMPARE(config->swigluLimit, 10.0F);
    QCOMPARE(config->rmsNormEps, 1e-6F);
    QCOMPARE(config->ropeTheta, 10000.0);
    QCOMPARE(config->compressRopeTheta, 160000.0);
    QVERIFY(config->ropeScaling.has_value());
    QCOMPARE(config->ropeScaling->factor, 16.0);
    QCOMPARE(config->ropeScaling->originalMaxPositionEmbeddings, 65536.0);
    QCOMPARE(config->ropeScaling->betaFast, 32.0);
    QCOMPARE(config->ropeScaling->betaSlow, 1.0);
    QCOMPARE(config->maxPositionEmbeddings, 1048576);
    QCOMPARE(config->vocabSize, 129280);
    QCOMPARE(config->numNextnPredictLayers, 1);
    QCOMPARE(config->bosTokenId, 0);
    QCOMPARE(config->eosTokenId, 1);
  }

  void unknownKeysAndAbsentOptionalOnesAreFine() {
    QJsonObject config = flashConfig();
    config[QStringLiteral("dspark_block_size")] = 5;
    config[QStringLiteral("reap_pruning")] = QJsonObject{{QStringLiteral("ratio"), 0.5}};
    config.remove(QStringLiteral("expert_dtype"));
    config.remove(QStringLiteral("quantization_config"));
    config[QStringLiteral("rope_scaling")] = QJsonValue::Null;
    const Result<ModelConfig> parsed = parse(config);
    QVERIFY2(parsed.ok(), parsed.ok() ? "" : parsed.error().message.c_str());
    QVERIFY(!parsed->ropeScaling.has_value());
  }

  void aMissingFieldIsRefusedByName_data() {
    QTest::addColumn<QString>("field");
    for (const char* field : {"compress_ratios",
                              "hidden_size",
                              "o_groups",
                              "swiglu_limit",
                              "rope_theta",
                              "vocab_size",
                              "num_hash_layers",
                              "hc_mult"}) {
      QTest::newRow(field) << QString::fromLatin1(field);
    }
  }
  void aMissingFieldIsRefusedByName() {
    QFETCH(QString, field);
    QJsonObject config = flashConfig();
    config.remove(field);
    const Result<ModelConfig> parsed = parse(config);
    QVERIFY(!parsed.ok());
    QCOMPARE(parsed.error().code, ErrorCode::InvalidArgument);
    const QString message = QString::fromStdString(parsed.error().message);
    QVERIFY2(message.contains(field + QStringLiteral(" is missing, expected ")),
             qPrintable(message));
    QVERIFY(!parsed.error().remedy.empty());
  }

  void aWrongValueIsRefusedWithFieldValueAndExpectation_data() {
    QTest::addColumn<QString>("field");
    QTest::addColumn<QString>("json");
    QTest::addColumn<QString>("expected");
    const auto row = [](const char* field, const char* json, const char* expected) {
      QTest::addRow("%s = %.40s", field, json)
          << QString::fromLatin1(field) << QString::fromLatin1(json)
          << QString::fromLatin1(expected);
    };
    row("hidden_size", "\"4096\"", "an integer in");
    row("hidden_size", "4096.5", "an integer in");
    row("hidden_size", "-4096", "an integer in");
    row("hidden_size", "18446744073709551615", "an integer in");
    row("hidden_size", "4100", "a multiple of 32");
    row("n_routed_experts", "1000000000", "an integer in");
    row("rms_norm_eps", "0", "a number above 0");
    row("rms_norm_eps", "1e-60", "a number above 0");
    row("swiglu_limit", "1e60", "a number above 0");
    row("n_shared_experts", "2", "an integer in [1, 1]");
    row("num_experts_per_tok", "300", "at most n_routed_experts 256");
    row("o_groups", "7", "a divisor of num_attention_heads 64");
    row("qk_rope_head_dim", "63", "an even number");
    row("head_dim", "500", "a multiple of 64");
    row("eos_token_id", "129280", "below vocab_size 129280");
    row("bos_token_id", "129280", "below vocab_size 129280");
    row("compress_ratios", "[0, 0, 4]", "a list of at least 43 numbers");
    row("compress_ratios", "\"none\"", "a list of at least 43 numbers");
    row("scoring_func", "\"softmax\"", "\"sqrtsoftplus\"");
    row("topk_method", "\"greedy\"", "\"noaux_tc\"");
    row("hidden_act", "\"gelu\"", "\"silu\"");
    row("num_key_value_heads", "8", "1");
    row("tie_word_embeddings", "true", "false");
    row("model_type", "\"deepseek_v41\"", "\"deepseek_v4\"");
    row("expert_dtype", "\"fp8\"", "\"fp4\"");
    row("rope_scaling", "{\"type\": \"linear\"}", "\"yarn\"");
    row("rope_scaling", "{\"type\": 3}", "\"yarn\"");
    row("quantization_config", "{\"weight_block_size\": [32, 32]}", "[128,128]");
    row("quantization_config", "[]", "an object");
  }
  void aWrongValueIsRefusedWithFieldValueAndExpectation() {
    QFETCH(QString, field);
    QFETCH(QString, json);
    QFETCH(QString, expected);
    // Qt's JSON would round large integers, so the value goes in as text.
    QJsonObject config = flashConfig();
    config[field] = QStringLiteral("@");
    QString text = QString::fromUtf8(QJsonDocument(config).toJson(QJsonDocument::Compact));
    text.replace(QStringLiteral("\"@\""), json);
    const Result<ModelConfig> parsed = parseModelConfig(text.toStdString(), "config.json");
    QVERIFY(!parsed.ok());
    QCOMPARE(parsed.error().code, ErrorCode::InvalidArgument);
    const QString message = QString::fromStdString(parsed.error().message);
    QVERIFY2(message.contains(field), qPrintable(message));
    QVERIFY2(message.contains(expected), qPrintable(message));
  }

  void aFieldOfANestedObjectIsNamedWithItsObject() {
    QJsonObject config = flashConfig();
    QJsonObject scaling = config[QStringLiteral("rope_scaling")].toObject();
    scaling[QStringLiteral("factor")] = -1;
    config[QStringLiteral("rope_scaling")] = scaling;
    const Result<ModelConfig> parsed = parse(config);
    QVERIFY(!parsed.ok());
    QCOMPARE(QString::fromStdString(parsed.error().message),
             QStringLiteral("config.json: rope_scaling: factor is -1, expected a number above 0"));
  }

  void textThatIsNoJsonObjectIsCorrupt_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("cut off") << QByteArray(R"({"hidden_size": 4096, )");
    QTest::newRow("a list") << QByteArray("[]");
    QTest::newRow("invalid UTF-8") << QByteArray("{\"a\": \"\xff\xfe\"}");
    QTest::newRow("a key twice") << QByteArray(R"({"hidden_size": 64, "hidden_size": 4096})");
    QTest::newRow("2 MB of nesting") << QByteArray(R"({"a": )") + QByteArray(1 << 21, '[');
    QTest::newRow("closed nesting") << QByteArray(R"({"hidden_size": )") +
                                           QByteArray(1 << 20, '[') + QByteArray(1 << 20, ']') +
                                           QByteArray("}");
  }
  void textThatIsNoJsonObjectIsCorrupt() {
    QFETCH(QByteArray, text);
    const Result<ModelConfig> parsed = parseModelConfig(text.toStdString(), "config.json");
    QVERIFY(!parsed.ok());
    QCOMPARE(parsed.error().code, ErrorCode::DataCorrupt);
    QVERIFY(parsed.error().message.size() < 500);
  }

  void aFolderWithoutConfigIsNotFound() {
    const QTemporaryDir folder;
    const Result<ModelConfig> parsed = readModelConfig(folder.path().toStdString());
    QVERIFY(!parsed.ok());
    QCOMPARE(parsed.error().code, ErrorCode::NotFound);
    QVERIFY(QString::fromStdString(parsed.error().message).contains(folder.path()));
  }

  void ranksThatDoNotDivideTheModelAreRefusedByDimension() {
    const ModelConfig config = *parse(flashConfig());
    QVERIFY(checkTensorParallel(config, 1).ok());
    QVERIFY(checkTensorParallel(config, 2).ok());
    QVERIFY(!checkTensorParallel(config, 0).ok());
    QVERIFY(!checkTensorParallel(config, 3).ok());
    const auto refusal = [&](auto&& damage) {
      ModelConfig odd = config;
      damage(odd);
      const Result<void> result = checkTensorParallel(odd, 2);
      return result.ok() ? QString() : QString::fromStdString(result.error().message);
    };
    QVERIFY(refusal([](ModelConfig& c) { c.oGroups = 1; }).startsWith(u"o_groups is 1"));
    QVERIFY(refusal([](ModelConfig& c) { c.vocabSize = 7; }).startsWith(u"vocab_size is 7"));
    QVERIFY(refusal([](ModelConfig& c) {
              c.moeIntermediateSize = 96;
            }).startsWith(u"moe_intermediate_size / 32 is 3"));
  }

  void theFlashPlanHasThePublishedTensorCountAndBytes() {
    const std::vector<TensorPlan> plan = planWeights(*parse(flashConfig()), 1);
    QCOMPARE(plan.size(), std::size_t{69187});
    std::set<std::string> names;
    std::uint64_t bytes = 0;
    for (const TensorPlan& tensor : plan) {
      names.insert(tensor.name);
      bytes += storedBytes(tensor);
    }
    QCOMPARE(names.size(), plan.size());
    QCOMPARE(bytes, std::uint64_t{159'609'485'896});
  }

  void eachKindOfLayerHasItsTensorsAndBytes() {
    auto modules = totalsBy(planWeights(*parse(flashConfig()), 1), moduleOf);
    const auto expect = [&](const std::string& module, std::int64_t tensors, std::uint64_t bytes) {
      QCOMPARE(modules[module].tensors, tensors);
      QCOMPARE(modules[module].bytes, bytes);
    };
    expect("layers.0", 1565, 3'566'148'952);  // window only, hash routing
    expect("layers.1", 1565, 3'566'148'952);
    expect("layers.2", 1576, 3'596'055'640);   // CSA, hash routing
    expect("layers.3", 1569, 3'568'596'312);   // HCA
    expect("layers.42", 1576, 3'589'851'224);  // CSA
    expect("mtp.0", 1575, 3'593'787'756);
    expect("", 6, 2 * std::uint64_t{1'059'061'760} + 8192 + 262'144 + 16 + 4);
  }

  void bytesByGroupEqualThePublishedClasses() {
    auto groups = totalsBy(planWeights(*parse(flashConfig()), 1),
                           [](const TensorPlan& tensor) { return tensor.group; });
    const std::uint64_t hcHead = 262'144 + 16 + 4;
    QCOMPARE(groups[TensorGroup::Embedding].bytes, std::uint64_t{1'059'061'760});
    QCOMPARE(groups[TensorGroup::Head].bytes, std::uint64_t{1'059'061'760});
    QCOMPARE(groups[TensorGroup::RoutedExperts].bytes, std::uint64_t{147'169'738'752});
    QCOMPARE(groups[TensorGroup::SharedExpert].bytes, std::uint64_t{1'082'196'480});
    QCOMPARE(groups[TensorGroup::Router].bytes, std::uint64_t{90'218'496 + 18'616'320});
    QCOMPARE(groups[TensorGroup::Attention].bytes,
             std::uint64_t{3 * 1'442'928'640ULL + 180'366'080 + 90'183'040});
    QCOMPARE(groups[TensorGroup::Compressor].bytes, std::uint64_t{525'722'624});
    QCOMPARE(groups[TensorGroup::Indexer].bytes,
             std::uint64_t{176'171'520 + 88'171'776 + 21 * 64 * 4096 * 2});
    QCOMPARE(groups[TensorGroup::HyperConnection].bytes, 135'275'592 + hcHead);
    QCOMPARE(groups[TensorGroup::Draft].bytes, std::uint64_t{3'593'787'756});
  }

  void twoRanksHoldThePublishedBytesAndEqualShares() {
    const ModelConfig config = *parse(flashConfig());
    const std::vector<TensorPlan> plan = planWeights(config, 1);
    // What two ranks hold beyond one whole copy is what both of them hold.
    std::uint64_t whole = 0;
    std::uint64_t replicated = 0;
    for (const TensorPlan& tensor : plan) {
      whole += storedBytes(tensor);
      replicated += tensor.slice == Slice::Replicated ? storedBytes(tensor) : 0;
    }
    QCOMPARE(rankBytes(plan, 0), rankBytes(plan, 1));
    QCOMPARE(2 * rankBytes(plan, 0), whole + replicated);
    // "Everything sliceable sliced" is 80.392 GB with MTP; ours keeps the indexer's query and
    // weight projections whole, half of which is 93,590,784 bytes. The published figure is rounded
    // to 1e6.
    const double published = 80.392e9 + (176'171'520 + 21 * 64 * 4096 * 2) / 2.0;
    QVERIFY(std::abs(static_cast<double>(rankBytes(plan, 0)) - published) <= 0.5e6);
    const double withoutMtp = 78.573e9 + (176'171'520 + 21 * 64 * 4096 * 2) / 2.0;
    QVERIFY(std::abs(static_cast<double>(rankBytes(planWeights(config, 0), 0)) - withoutMtp) <=
            0.5e6);
  }

  void thePlanEqualsTheOfficialIndexNameByName() {
    const QString index = sharedFile(QStringLiteral("data/manifest/model.safetensors.index.json"));
    const QString configFile = sharedFile(QStringLiteral("data/manifest/config.json"));
    if (index.isEmpty() || configFile.isEmpty()) {
      QSKIP("../shared/data/manifest is not here");
    }
    QFile file(index);
    QVERIFY(file.open(QIODevice::ReadOnly));
    const QJsonObject map =
        QJsonDocument::fromJson(file.readAll())[QStringLiteral("weight_map")].toObject();
    const Result<ModelConfig> config =
        readModelConfig(QFileInfo(configFile).canonicalPath().toStdString());
    QVERIFY2(config.ok(), config.ok() ? "" : config.error().message.c_str());
    const std::vector<TensorPlan> plan = planWeights(*config, 1);
    QCOMPARE(static_cast<qsizetype>(plan.size()), map.size());
    for (const TensorPlan& tensor : plan) {
      QVERIFY2(map.contains(QString::fromStdString(tensor.name)), tensor.name.c_str());
    }
  }

  void thePlanEqualsTheOfficialShapesWhereTheyAreListed() {
    const QString listing =
        sharedFile(QStringLiteral("data/manifest/v4flash_layers_0_3_4_mtp.txt"));
    if (listing.isEmpty()) {
      QSKIP("../shared/data/manifest is not here");
    }
    std::map<std::string, TensorPlan> byName;
    for (TensorPlan& tensor : planWeights(*parse(flashConfig()), 1)) {
      byName.emplace(tensor.name, tensor);
    }
    QFile file(listing);
    QVERIFY(file.open(QIODevice::ReadOnly));
    int compared = 0;
    for (const QByteArray& line : file.readAll().split('\n')) {
      // name dtype [a, b] bytes
      const QList<QByteArray> words = line.simplified().split(' ');
      const auto found = byName.find(words.front().toStdString());
      if (words.size() < 4 || found == byName.end()) {
        QVERIFY2(!line.contains(" ["), line.constData());
        continue;
      }
      const TensorPlan& tensor = found->second;
      QStringList extents;
      for (const std::int64_t extent : tensor.shape) {
        extents.append(QString::number(extent));
      }
      const QByteArray shape = "[" + extents.join(QStringLiteral(", ")).toLatin1() + "]";
      QVERIFY2(line.contains(shape), (line + " is planned as " + shape).constData());
      QCOMPARE(words[1].toStdString(), std::string(dtypeName(tensor.dtype)));
      QCOMPARE(words.back().toULongLong(), static_cast<qulonglong>(storedBytes(tensor)));
      ++compared;
    }
    QVERIFY(compared > 100);
  }
};

QTEST_GUILESS_MAIN(WeightPlanTest)
#include "weight_plan_test.moc"
