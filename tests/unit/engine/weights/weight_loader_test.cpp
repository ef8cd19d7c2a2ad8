// SPDX-License-Identifier: GPL-3.0-or-later
// Checkpoints on disk: whole ones sliced for ranks, re-uploads in other spellings, and broken ones.
#include "engine/model/weight_loader.h"

#include <unistd.h>

#include <limits>
#include <map>
#include <random>

#include <QRegularExpression>
#include <QTemporaryDir>
#include <QTest>

#include "engine/model/safetensors_file.h"
#include "engine/model/safetensors_writer.h"
#include "tests/support/raw_checkpoint.h"

using namespace tandem;
using namespace tandem::model;
using namespace tandem::test;

namespace {

/// Every kind of layer, and sizes whose halves fall inside 128 x 128 blocks.
ModelConfig smallConfig() {
  const Result<ModelConfig> config = parseModelConfig(R"({
    "model_type": "deepseek_v4", "hidden_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "head_dim": 96, "qk_rope_head_dim": 32, "q_lora_rank": 32,
    "o_groups": 2, "o_lora_rank": 48, "sliding_window": 128, "compress_ratios": [0, 4, 128, 0],
    "index_n_heads": 2, "index_head_dim": 32, "index_topk": 8, "hc_mult": 2,
    "hc_sinkhorn_iters": 4, "hc_eps": 1e-6, "n_routed_experts": 2, "n_shared_experts": 1,
    "num_experts_per_tok": 2, "moe_intermediate_size": 448, "num_hash_layers": 1,
    "routed_scaling_factor": 1.5, "swiglu_limit": 10.0, "rms_norm_eps": 1e-6, "rope_theta": 10000,
    "compress_rope_theta": 160000, "rope_scaling": null, "max_position_embeddings": 4096,
    "vocab_size": 64, "bos_token_id": 0, "eos_token_id": 1})",
                                                      "config.json");
  if (!config) {
    qFatal("%s", config.error().text().c_str());
  }
  return *config;
}

/// What decision 7 of the design says of each name, written out apart from the engine's plan.
enum class Expected { Whole, Rows, Columns };

Expected expectedSlice(const QString& name) {
  static const QRegularExpression rows(
      QStringLiteral(R"(^embed\.weight$|^head\.weight$|\.attn\.attn_sink$|\.attn\.wq_b\.)"
                     R"(|\.wo_a\.|experts\.(\d+\.)?w[13]\.)"));
  static const QRegularExpression columns(QStringLiteral(R"(\.wo_b\.|experts\.(\d+\.)?w2\.)"));
  if (rows.match(name).hasMatch()) {
    return Expected::Rows;
  }
  return columns.match(name).hasMatch() ? Expected::Columns : Expected::Whole;
}

struct Notices final : LoadObserver {
  void onBytes(std::uint64_t bytesDone,
               std::uint64_t bytesTotal,
               const std::string& file) override {
    isMonotonic = isMonotonic && bytesDone >= done;
    done = bytesDone;
    total = bytesTotal;
    lastFile = file;
  }
  void onNotice(const std::string& text) override { notices.append(QString::fromStdString(text)); }
  [[nodiscard]] bool wantsEnd() const override {
    ++asked;
    return asked >= endsAt;
  }

  std::uint64_t done = 0;
  std::uint64_t total = 0;
  bool isMonotonic = true;
  std::string lastFile;
  QStringList notices;
  mutable int asked = 0;
  int endsAt = std::numeric_limits<int>::max();
};

/// A checkpoint to damage, one test at a time.
struct Fixture {
  QTemporaryDir temporary;
  QDir folder{temporary.path()};
  ModelConfig config = smallConfig();
  std::vector<RawTensor> tensors = patternTensors(config, 1);
  Notices observer;

  RawTensor& tensor(const std::string& name) {
    for (RawTensor& tensor : tensors) {
      if (tensor.name == name) {
        return tensor;
      }
    }
    qFatal("no tensor %s", name.c_str());
  }

  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const RawTensor& tensor) { return tensor.name == name; });
  }

  Result<WeightSet> load(int rank = 0, int ranks = 1) {
    return loadWeights(folder.path().toStdString(), config, {rank, ranks}, &observer);
  }

  /// The refusal of what lies in the folder now.
  Error refusal() {
    const Result<WeightSet> weights = load();
    if (weights.ok()) {
      return Error{ErrorCode::Internal, "the checkpoint was accepted", ""};
    }
    return weights.error();
  }

  QString shard(int number) const {
    return folder.filePath(QStringLiteral("model-0000%1-of-00002.safetensors").arg(number));
  }
};

void compareError(const Error& error, ErrorCode code, const QStringList& words) {
  const QString message = QString::fromStdString(error.message);
  QVERIFY2(
      error.code == code,
      qPrintable(QString::fromLatin1(errorCodeName(error.code)) + QStringLiteral(": ") + message));
  for (const QString& word : words) {
    QVERIFY2(message.contains(word), qPrintable(message));
  }
  QVERIFY(!error.remedy.empty());
}

QByteArray bytesOf(const HostTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data.get()), static_cast<qsizetype>(tensor.bytes)};
}

Result<SafetensorsFile> openBytes(const QTemporaryDir& folder, const QByteArray& bytes) {
  const QString path = folder.filePath(QStringLiteral("a.safetensors"));
  writeFile(path, bytes);
  return SafetensorsFile::open(path.toStdString());
}

}  // namespace

class WeightLoaderTest : public QObject {
  Q_OBJECT

 private slots:
  void oneRankHoldsTheBytesOfTheFiles() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    const Result<WeightSet> weights = fixture.load();
    QVERIFY2(weights.ok(), weights.ok() ? "" : weights.error().message.c_str());
    QCOMPARE(weights->mtpModules(), 1);
    std::uint64_t bytes = 0;
    for (const RawTensor& raw : fixture.tensors) {
      const HostTensor& tensor = weights->tensor(raw.name);
      bytes += tensor.bytes;
      QCOMPARE(reinterpret_cast<std::uintptr_t>(tensor.data.get()) % 64, std::uintptr_t{0});
      if (raw.dtype != "I64") {
        QVERIFY2(tensor.shape == raw.shape && bytesOf(tensor) == raw.bytes, raw.name.c_str());
      }
    }
    QCOMPARE(weights->bytes(), bytes);
    QVERIFY(fixture.observer.isMonotonic);
    QCOMPARE(fixture.observer.done, fixture.observer.total);
    QCOMPARE(fixture.observer.lastFile, std::string("model-00002-of-00002.safetensors"));
    QVERIFY(fixture.observer.notices.isEmpty());
  }

  void aLoadThatNobodyWantsAnyMoreEndsAfterTheTensorInHand() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    fixture.observer.endsAt = 3;
    const Error refusal = fixture.refusal();
    QCOMPARE(refusal.code, ErrorCode::Cancelled);
    QVERIFY2(refusal.message.find("loading was stopped after") != std::string::npos,
             refusal.message.c_str());
    QCOMPARE(fixture.observer.asked, 3);
  }

  void theNameModelSafetensorsNeedsNoIndex() {
    Fixture fixture;
    writeFile(fixture.folder.filePath(QStringLiteral("model.safetensors")),
              safetensorsBytes(fixture.tensors));
    QVERIFY(fixture.load().ok());
  }

  void eachOfTwoRanksHoldsItsHalfAndTheRestWhole() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    int cut = 0;
    for (int rank = 0; rank < 2; ++rank) {
      const Result<WeightSet> weights = fixture.load(rank, 2);
      QVERIFY2(weights.ok(), weights.ok() ? "" : weights.error().message.c_str());
      for (const RawTensor& raw : fixture.tensors) {
        const QString name = QString::fromStdString(raw.name);
        const Expected expected = expectedSlice(name);
        // FP8 scales are compared with their weights, below.
        const bool isFp8Scale =
            name.endsWith(u".scale") && raw.shape[0] != fixture.tensor(weightOf(raw.name)).shape[0];
        if (raw.dtype == "I64" || isFp8Scale) {
          continue;
        }
        const auto columns = raw.shape.size() > 1 ? raw.shape[1] : 1;
        const auto element = raw.bytes.size() / (raw.shape[0] * columns);
        const std::int64_t rowBegin = expected == Expected::Rows ? raw.shape[0] / 2 * rank : 0;
        const std::int64_t rows = expected == Expected::Rows ? raw.shape[0] / 2 : raw.shape[0];
        const std::int64_t columnBegin = expected == Expected::Columns ? columns / 2 * rank : 0;
        const std::int64_t width = expected == Expected::Columns ? columns / 2 : columns;
        QByteArray want;
        for (std::int64_t row = rowBegin; row < rowBegin + rows; ++row) {
          want += raw.bytes.mid((row * columns + columnBegin) * element, width * element);
        }
        QVERIFY2(bytesOf(weights->tensor(raw.name)) == want, raw.name.c_str());
        cut += expected != Expected::Whole ? 1 : 0;
      }
    }
    // Four modules: sink, wq_b, wo_a, wo_b, shared w1 w2 w3 weights; three matrices of each of two
    // experts with their scales; and embed and head.
    QCOMPARE(cut, 2 * (4 * (7 + 2 * 3 * 2) + 2));
  }

  void eachFp8WeightKeepsItsScaleWhereverTheCutFalls() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    int insideBlocks = 0;
    for (int rank = 0; rank < 2; ++rank) {
      const Result<WeightSet> weights = fixture.load(rank, 2);
      QVERIFY(weights.ok());
      for (const RawTensor& raw : fixture.tensors) {
        if (raw.dtype != "F8_E4M3") {
          continue;
        }
        const std::string scaleName = scaleOf(raw.name);
        const RawTensor& wholeScale = fixture.tensor(scaleName);
        const HostTensor& weight = weights->tensor(raw.name);
        const HostTensor& scale = weights->tensor(scaleName);
        const Expected expected = expectedSlice(QString::fromStdString(raw.name));
        const std::int64_t rowBegin = expected == Expected::Rows ? raw.shape[0] / 2 * rank : 0;
        const std::int64_t columnBegin =
            expected == Expected::Columns ? raw.shape[1] / 2 * rank : 0;
        insideBlocks += weight.blockRow != 0 || weight.blockColumn != 0 ? 1 : 0;
        for (std::int64_t row = 0; row < weight.shape[0]; ++row) {
          for (std::int64_t column = 0; column < weight.shape[1]; ++column) {
            const std::int64_t scaleRow = (weight.blockRow + row) / 128;
            const std::int64_t scaleColumn = (weight.blockColumn + column) / 128;
            QVERIFY(scaleRow < scale.shape[0] && scaleColumn < scale.shape[1]);
            const auto got = scale.as<std::uint8_t>()[static_cast<std::size_t>(
                scaleRow * scale.shape[1] + scaleColumn)];
            const auto want = static_cast<std::uint8_t>(wholeScale.bytes[static_cast<qsizetype>(
                (rowBegin + row) / 128 * wholeScale.shape[1] + (columnBegin + column) / 128)]);
            if (got != want) {
              QFAIL(raw.name.c_str());
            }
          }
        }
      }
    }
    // Rank 1 begins inside a block in wq_b, wo_a, wo_b and the shared expert of each of 4 modules.
    QCOMPARE(insideBlocks, 4 * 6);
  }

  void expertTablesAreNarrowedFromEitherWidth() {
    Fixture fixture;
    RawTensor& table = fixture.tensor("layers.0.ffn.gate.tid2eid");
    writeShards(fixture.folder, fixture.tensors);
    const Result<WeightSet> wide = fixture.load();
    QVERIFY(wide.ok());
    const QByteArray fromWide = bytesOf(wide->tensor(table.name));

    QByteArray narrow;
    for (qsizetype i = 0; i < table.bytes.size(); i += 8) {
      narrow += table.bytes.mid(i, 4);
    }
    QCOMPARE(fromWide, narrow);
    QVERIFY(narrow.contains('\1'));
    table.dtype = "I32";
    table.bytes = narrow;
    writeShards(fixture.folder, fixture.tensors);
    const Result<WeightSet> loaded = fixture.load();
    QVERIFY(loaded.ok());
    QCOMPARE(bytesOf(loaded->tensor(table.name)), narrow);
    QCOMPARE(loaded->tensor(table.name).dtype, DType::I32);
  }

  void reuploadsMayCallOneByteFormatsU8() {
    Fixture fixture;
    for (RawTensor& tensor : fixture.tensors) {
      if (tensor.dtype == "I8" || tensor.dtype == "F8_E8M0") {
        tensor.dtype = "U8";
      }
    }
    writeShards(fixture.folder, fixture.tensors);
    const Result<WeightSet> weights = fixture.load();
    QVERIFY2(weights.ok(), weights.ok() ? "" : weights.error().message.c_str());
    QCOMPARE(weights->tensor("layers.0.ffn.experts.0.w1.weight").dtype, DType::I8);
    QCOMPARE(weights->tensor("layers.0.ffn.experts.0.w1.scale").dtype, DType::F8E8M0);
  }

  void fp4MayBeCountedInElementsOrInPackedBytes() {
    for (const bool inElements : {false, true}) {
      Fixture fixture;
      for (RawTensor& tensor : fixture.tensors) {
        if (tensor.dtype == "I8") {
          tensor.dtype = "F4";
          tensor.shape[1] *= inElements ? 2 : 1;
        }
      }
      writeShards(fixture.folder, fixture.tensors);
      const Result<WeightSet> weights = fixture.load(1, 2);
      QVERIFY2(weights.ok(), weights.ok() ? "" : weights.error().message.c_str());
      const HostTensor& down = weights->tensor("layers.0.ffn.experts.1.w2.weight");
      QCOMPARE(down.shape, (std::vector<std::int64_t>{96, 448 / 2 / 2}));
    }
  }

  void bf16WidensWhereTheOfficialFileHasF32() {
    Fixture fixture;
    RawTensor& sink = fixture.tensor("layers.2.attn.attn_sink");
    sink.dtype = "BF16";
    sink.bytes = QByteArray::fromHex("803f00c00000c07f");  // 1, -2, 0, NaN
    writeShards(fixture.folder, fixture.tensors);
    const Result<WeightSet> weights = fixture.load(0, 2);
    QVERIFY(weights.ok());
    const std::span<const float> values = weights->tensor(sink.name).as<float>();
    QCOMPARE(values.size(), std::size_t{2});
    QCOMPARE(values[0], 1.0F);
    QCOMPARE(values[1], -2.0F);
  }

  void mtpModulesAreCountedInTheFiles() {
    Fixture fixture;
    fixture.config.numNextnPredictLayers = 1;
    for (const int modules : {0, 2}) {
      fixture.tensors = patternTensors(fixture.config, modules);
      writeShards(fixture.folder, fixture.tensors);
      const Result<WeightSet> weights = fixture.load();
      QVERIFY2(weights.ok(), weights.ok() ? "" : weights.error().message.c_str());
      QCOMPARE(weights->mtpModules(), modules);
    }
  }

  void anotherKindOfDrafterIsLeftOutWithANotice() {
    Fixture fixture;
    fixture.tensors = patternTensors(fixture.config, 0);
    for (const char* name :
         {"mtp.0.main_proj.weight", "mtp.0.attn_norm.weight", "mtp.1.attn_norm.weight"}) {
      fixture.tensors.push_back({name, "BF16", {2}, QByteArray(4, '\0')});
    }
    writeShards(fixture.folder, fixture.tensors);
    const Result<WeightSet> weights = fixture.load();
    QVERIFY2(weights.ok(), weights.ok() ? "" : weights.error().message.c_str());
    QCOMPARE(weights->mtpModules(), 0);
    QCOMPARE(fixture.observer.notices.size(), 2);
    QVERIFY(fixture.observer.notices[0].startsWith(u"2 tensors of mtp.0 "));
    QVERIFY(fixture.observer.notices[1].startsWith(u"1 tensors of mtp.1 "));
  }

  void anIndexThatPlacesATensorWronglyIsANotice() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    const QString index = fixture.folder.filePath(QStringLiteral("model.safetensors.index.json"));
    QFile file(index);
    QVERIFY(file.open(QIODevice::ReadOnly));
    QByteArray text = file.readAll();
    file.close();
    text.replace("\"embed.weight\": \"model-00001", "\"embed.weight\": \"model-00002");
    writeFile(index, text);
    QVERIFY(fixture.load().ok());
    QCOMPARE(fixture.observer.notices.size(), 1);
    QVERIFY(fixture.observer.notices[0].contains(u"embed.weight"));
  }

  // --- what must be refused ---------------------------------------------------------------------

  void aMissingShardIsNamed() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    QVERIFY(QFile::remove(fixture.shard(2)));
    compareError(fixture.refusal(), ErrorCode::NotFound, {fixture.shard(2)});
  }

  void aTruncatedShardIsNamedWithItsTensor() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    QFile file(fixture.shard(1));
    QVERIFY(file.resize(file.size() - 1));
    compareError(fixture.refusal(),
                 ErrorCode::DataCorrupt,
                 {fixture.shard(1), QStringLiteral("truncated")});
  }

  void aShardThatShrinksAfterItsHeaderWasReadIsAnError() {
    const QTemporaryDir folder;
    Result<SafetensorsFile> file =
        openBytes(folder, safetensorsBytes({{"a", "F32", {4}, QByteArray(16, 'x')}}));
    QVERIFY(file.ok());
    QVERIFY(QFile::resize(folder.filePath(QStringLiteral("a.safetensors")), 70));
    std::array<std::byte, 16> out{};
    const Result<void> read = file->read(file->tensors().at("a"), 0, out);
    QVERIFY(!read.ok());
    compareError(read.error(), ErrorCode::DataCorrupt, {QStringLiteral("ends at byte 70")});
  }

  void anIndexThatNamesAMissingFileIsRefused() {
    Fixture fixture;
    writeFile(fixture.folder.filePath(QStringLiteral("model.safetensors.index.json")),
              R"({"weight_map": {"embed.weight": "elsewhere.safetensors"}})");
    compareError(fixture.refusal(), ErrorCode::NotFound, {QStringLiteral("elsewhere.safetensors")});
  }

  void aBrokenIndexIsRefused_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("no map") << QByteArray("{}");
    QTest::newRow("empty map") << QByteArray(R"({"weight_map": {}})");
    QTest::newRow("map of numbers") << QByteArray(R"({"weight_map": {"embed.weight": 1}})");
    QTest::newRow("nested") << QByteArray(R"({"weight_map": {"embed.weight": )") +
                                   QByteArray(1 << 20, '[') + QByteArray(1 << 20, ']') + "}}";
    QTest::newRow("outside the folder")
        << QByteArray(R"({"weight_map": {"embed.weight": "../x.safetensors"}})");
    QTest::newRow("a folder") << QByteArray(R"({"weight_map": {"embed.weight": ".."}})");
  }
  void aBrokenIndexIsRefused() {
    QFETCH(QByteArray, text);
    Fixture fixture;
    writeFile(fixture.folder.filePath(QStringLiteral("model.safetensors.index.json")), text);
    compareError(fixture.refusal(), ErrorCode::DataCorrupt, {fixture.folder.path()});
  }

  void aFolderWithoutWeightsSaysWhatIsMissing() {
    Fixture fixture;
    compareError(fixture.refusal(),
                 ErrorCode::NotFound,
                 {QStringLiteral("neither model.safetensors nor model.safetensors.index.json")});
    writeShards(fixture.folder, fixture.tensors);
    QVERIFY(fixture.folder.remove(QStringLiteral("model.safetensors.index.json")));
    compareError(
        fixture.refusal(),
        ErrorCode::NotFound,
        {QStringLiteral("model-00001-of-00002.safetensors but not model.safetensors.index.json")});
    QVERIFY(fixture.folder.removeRecursively());
    compareError(fixture.refusal(), ErrorCode::NotFound, {fixture.folder.path()});
  }

  void anUnreadableFolderIsDenied() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    QVERIFY(QFile::setPermissions(fixture.folder.path(), {}));
    // Root may read everything, so it lends itself a common user's rights for the attempt.
    const bool isRoot = ::geteuid() == 0;
    constexpr uid_t kNobody = 65534;
    if (isRoot && ::seteuid(kNobody) != 0) {
      QSKIP("this process can neither be refused a folder nor become someone who is");
    }
    const Error error = fixture.refusal();
    const Result<ModelConfig> config = readModelConfig(fixture.folder.path().toStdString());
    if (isRoot) {
      QCOMPARE(::seteuid(0), 0);
    }
    QVERIFY(QFile::setPermissions(
        fixture.folder.path(),
        QFileDevice::ReadOwner | QFileDevice::WriteOwner | QFileDevice::ExeOwner));
    compareError(error, ErrorCode::PermissionDenied, {fixture.folder.path()});
    compareError(config.error(), ErrorCode::PermissionDenied, {fixture.folder.path()});
  }

  void aWrongShapeIsReportedWithBothShapes() {
    Fixture fixture;
    RawTensor& tensor = fixture.tensor("layers.1.attn.wkv.weight");
    std::swap(tensor.shape[0], tensor.shape[1]);
    tensor.shape = {48, 192};
    writeShards(fixture.folder, fixture.tensors);
    compareError(fixture.refusal(),
                 ErrorCode::InvalidArgument,
                 {QStringLiteral("mismatches with config.json: 1\n"),
                  QStringLiteral("layers.1.attn.wkv.weight: file has F8_E4M3 [48, 192], the model "
                                 "needs F8_E4M3 [96, 96]")});
  }

  void aWrongDtypeIsReportedWithBothDtypes() {
    Fixture fixture;
    fixture.tensor("layers.1.ffn.gate.weight").dtype = "I32";
    fixture.tensor("layers.1.ffn.gate.weight").shape[1] /= 2;
    writeShards(fixture.folder, fixture.tensors);
    compareError(fixture.refusal(),
                 ErrorCode::InvalidArgument,
                 {QStringLiteral("layers.1.ffn.gate.weight: file has I32 [2, 48], the model needs "
                                 "BF16 [2, 96]")});
  }

  void missingAndUnknownTensorsAreBothReported() {
    Fixture fixture;
    fixture.remove("layers.2.ffn.gate.bias");
    fixture.tensors.push_back({"layers.2.extra", "F32", {1}, QByteArray(4, '\0')});
    writeShards(fixture.folder, fixture.tensors);
    compareError(fixture.refusal(),
                 ErrorCode::InvalidArgument,
                 {QStringLiteral("layers.2.ffn.gate.bias is missing, the model needs F32 [2]"),
                  QStringLiteral("layers.2.extra F32 [1] is not part of this model")});
  }

  void aDamagedMtpModuleIsNotTakenForNone() {
    Fixture fixture;
    fixture.remove("mtp.0.attn_norm.weight");
    writeShards(fixture.folder, fixture.tensors);
    compareError(fixture.refusal(),
                 ErrorCode::InvalidArgument,
                 {QStringLiteral("mtp.0.attn_norm.weight is missing")});
  }

  void onlyTheFirstTenMismatchesAreListed() {
    Fixture fixture;
    fixture.config.vocabSize = 66;
    fixture.config.hiddenSize = 128;
    writeShards(fixture.folder, fixture.tensors);
    const Error error = fixture.refusal();
    compareError(error, ErrorCode::InvalidArgument, {QStringLiteral("embed.weight: file has")});
    QCOMPARE(QString::fromStdString(error.message).count(u'\n'), 10);
  }

  void expertsInFp8AreRefusedAsWhatTheyAre() {
    Fixture fixture;
    for (RawTensor& tensor : fixture.tensors) {
      if (tensor.dtype == "I8") {
        tensor.dtype = "F8_E4M3";
      }
    }
    writeShards(fixture.folder, fixture.tensors);
    compareError(fixture.refusal(),
                 ErrorCode::InvalidArgument,
                 {QStringLiteral("the routed experts are FP8, as in a Base checkpoint")});
  }

  void ranksThatDoNotDivideTheModelAreRefusedBeforeReading() {
    Fixture fixture;
    fixture.config.oGroups = 1;
    const Result<WeightSet> weights = fixture.load(0, 2);
    QVERIFY(!weights.ok());
    compareError(weights.error(), ErrorCode::InvalidArgument, {QStringLiteral("o_groups is 1")});
  }

  void aTableThatNamesAnExpertThatDoesNotExistIsCorrupt() {
    Fixture fixture;
    fixture.tensor("layers.0.ffn.gate.tid2eid").bytes[8] = 2;
    writeShards(fixture.folder, fixture.tensors);
    compareError(fixture.refusal(),
                 ErrorCode::DataCorrupt,
                 {QStringLiteral("layers.0.ffn.gate.tid2eid entry 1 names expert 2")});
  }

  void aTensorInTwoFilesIsRefused() {
    Fixture fixture;
    writeShards(fixture.folder, fixture.tensors);
    std::vector<RawTensor> second;
    for (std::size_t i = 1; i < fixture.tensors.size(); i += 2) {
      second.push_back(fixture.tensors[i]);
    }
    second.push_back(fixture.tensors[0]);
    writeFile(fixture.shard(2), safetensorsBytes(second));
    compareError(fixture.refusal(), ErrorCode::DataCorrupt, {QStringLiteral("is in both")});
  }

  // --- headers ----------------------------------------------------------------------------------

  void aHeaderThatClaimsTooMuchIsRefused_data() {
    QTest::addColumn<quint64>("length");
    QTest::newRow("2^60") << (quint64{1} << 60U);
    QTest::newRow("2^64 - 1") << std::numeric_limits<quint64>::max();
    QTest::newRow("2^64 - 8") << std::numeric_limits<quint64>::max() - 7;
    QTest::newRow("one too many") << quint64{3};
  }
  void aHeaderThatClaimsTooMuchIsRefused() {
    QFETCH(quint64, length);
    const QTemporaryDir folder;
    QByteArray bytes(8, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    const Result<SafetensorsFile> file = openBytes(folder, bytes + "{}");
    QVERIFY(!file.ok());
    compareError(file.error(),
                 ErrorCode::DataCorrupt,
                 {QStringLiteral("the header claims %1 bytes").arg(length)});
  }

  void aBrokenHeaderIsRefused_data() {
    QTest::addColumn<QByteArray>("header");
    QTest::addColumn<QString>("word");
    const auto row = [](const char* name, const QByteArray& header, const char* word) {
      QTest::newRow(name) << header << QString::fromLatin1(word);
    };
    const auto tensor =
        [](const QByteArray& dtype, const QByteArray& shape, const QByteArray& offsets) {
          return "{\"a\": {\"dtype\": \"" + dtype + "\", \"shape\": " + shape +
                 ", \"data_offsets\": " + offsets + "}}";
        };
    row("no JSON", "{", "is not a JSON object");
    row("a list", "[]", "is not a JSON object");
    row("a key twice", R"({"a": 1, "a": 1})", "the key \"a\" twice");
    row("tensor is a number", R"({"a": 1})", "tensor a has no dtype, shape and data_offsets");
    row("no dtype", R"({"a": {"shape": [1], "data_offsets": [0, 4]}})", "has no dtype");
    row("one offset", tensor("F32", "[1]", "[0]"), "has no dtype, shape and data_offsets");
    row("negative offset", tensor("F32", "[1]", "[-4, 0]"), "data_offsets");
    row("offsets reversed", tensor("F32", "[1]", "[8, 4]"), "bytes 8 to 4");
    row("fewer bytes than the shape", tensor("F32", "[2]", "[0, 4]"), "[2] F32 need 8");
    row("past the end", tensor("F32", "[5]", "[0, 20]"), "it is truncated");
    row("far past the end",
        tensor("U8", "[9223372036854775807]", "[9223372036854775808, 18446744073709551615]"),
        "it is truncated");
    row("a shape that overflows",
        tensor("F32", "[4294967296, 4294967296]", "[0, 0]"),
        "the shape of tensor a is no list of sizes");
    row("bytes that overflow",
        tensor("I64", "[4611686018427387904]", "[0, 0]"),
        "the shape of tensor a is no list of sizes");
    row("negative extent", tensor("F32", "[-1]", "[0, 4]"), "the shape of tensor a");
    row("shape of text", tensor("F32", "[\"1\"]", "[0, 4]"), "the shape of tensor a");
    row("unknown dtype", tensor("F16", "[2]", "[0, 4]"), "dtype F16");
    row("deep shape",
        tensor("F32", QByteArray(1 << 20, '[') + QByteArray(1 << 20, ']'), "[0, 4]"),
        "nesting deeper than");
    row("overlap",
        R"({"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
            "b": {"dtype": "U8", "shape": [3], "data_offsets": [2, 5]}})",
        "tensors a and b overlap");
  }
  void aBrokenHeaderIsRefused() {
    QFETCH(QByteArray, header);
    QFETCH(QString, word);
    const QTemporaryDir folder;
    const Result<SafetensorsFile> file =
        openBytes(folder, safetensorsBytes(header, QByteArray(16, '\0')));
    QVERIFY(!file.ok());
    const QString message = QString::fromStdString(file.error().message);
    QVERIFY2(message.contains(word), qPrintable(message));
    QVERIFY(message.size() < 1000);
  }

  void metadataAndEmptyTensorsAreFine() {
    const QTemporaryDir folder;
    const Result<SafetensorsFile> file =
        openBytes(folder,
                  safetensorsBytes(R"({"__metadata__": {"format": "pt"},
                             "none": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]},
                             "one": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}   )",
                                   QByteArray(4, '\0')));
    QVERIFY2(file.ok(), file.ok() ? "" : file.error().message.c_str());
    QCOMPARE(file->tensors().size(), std::size_t{2});
    QCOMPARE(file->tensors().at("one").bytes, std::uint64_t{4});
  }

  void aHeaderWithAnyMutationIsReadOrRefused() {
    const QByteArray whole = safetensorsBytes({{"a.weight", "F8_E4M3", {4, 3}, QByteArray(12, 'w')},
                                               {"a.scale", "F8_E8M0", {1, 1}, QByteArray(1, 's')},
                                               {"t", "I64", {2}, QByteArray(16, '\0')}});
    const QByteArrayList pieces{"[",
                                "]",
                                "{",
                                "}",
                                "\"",
                                "-1",
                                "18446744073709551615",
                                "1e9",
                                "null",
                                "\\ud800",
                                ":",
                                ",",
                                "F4",
                                "\xff",
                                "\"data_offsets\":[0,12]",
                                "9007199254740993"};
    std::mt19937 random(20240229);
    const auto below = [&random](qsizetype limit) {
      return static_cast<qsizetype>(random() % static_cast<std::uint32_t>(limit));
    };
    const QTemporaryDir folder;
    int accepted = 0;
    int refused = 0;
    for (int round = 0; round < 3000; ++round) {
      QByteArray bytes = whole;
      for (qsizetype change = 1 + below(2); change > 0 && !bytes.isEmpty(); --change) {
        const qsizetype at = below(bytes.size());
        switch (below(5)) {
          case 0:
            bytes[at] = static_cast<char>(random());
            break;
          case 1:
            bytes.truncate(at);
            break;
          case 2:
            bytes.insert(at, pieces[below(pieces.size())]);
            break;
          case 3:
            bytes.remove(at, 1 + below(6));
            break;
          default:
            bytes.replace(at, 1, QByteArray::number(static_cast<qulonglong>(random())));
            break;
        }
      }
      const Result<SafetensorsFile> file = openBytes(folder, bytes);
      if (!file) {
        QVERIFY(!file.error().message.empty());
        ++refused;
        continue;
      }
      ++accepted;
      // Whatever was accepted can be read to its last byte.
      for (const auto& [name, tensor] : file->tensors()) {
        std::vector<std::byte> data(tensor.bytes);
        const Result<void> read = file->read(tensor, 0, data);
        QVERIFY2(read.ok(), read.ok() ? "" : read.error().message.c_str());
      }
    }
    // Both happen, or the mutations would prove nothing.
    qInfo("%d accepted, %d refused", accepted, refused);
    QVERIFY(accepted > 100);
    QVERIFY(refused > 100);
  }

  // --- writing ----------------------------------------------------------------------------------

  void whatIsWrittenReadsBack() {
    const QTemporaryDir folder;
    const std::string path = folder.filePath(QStringLiteral("out.safetensors")).toStdString();
    const Result<void> written =
        writeSafetensors(path, {{"p.logits", {2, 3}, {1, 2, 3, 4, 5, 6}}, {"none", {0, 3}, {}}});
    QVERIFY(written.ok());
    const Result<SafetensorsFile> file = SafetensorsFile::open(path);
    QVERIFY2(file.ok(), file.ok() ? "" : file.error().message.c_str());
    const StoredTensor& tensor = file->tensors().at("p.logits");
    QCOMPARE(tensor.shape, (std::vector<std::int64_t>{2, 3}));
    QCOMPARE(tensor.offset % sizeof(float), std::uint64_t{0});
    std::vector<float> values(6);
    QVERIFY(file->read(tensor, 0, std::as_writable_bytes(std::span(values))).ok());
    QCOMPARE(values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
    QCOMPARE(file->tensors().at("none").bytes, std::uint64_t{0});
  }

  void aFailedWriteIsReportedAndLeavesNothing() {
    const QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("no/such/folder/out.safetensors"));
    const Result<void> written = writeSafetensors(path.toStdString(), {{"a", {1}, {1}}});
    QVERIFY(!written.ok());
    compareError(written.error(), ErrorCode::Unavailable, {path});
    QVERIFY(QDir(folder.path()).isEmpty());
  }

 private:
  static std::string scaleOf(const std::string& weight) {
    return weight.substr(0, weight.rfind('.')) + ".scale";
  }
  static std::string weightOf(const std::string& scale) {
    return scale.substr(0, scale.rfind('.')) + ".weight";
  }
};

QTEST_GUILESS_MAIN(WeightLoaderTest)
#include "weight_loader_test.moc"
