// SPDX-License-Identifier: GPL-3.0-or-later
// Model folders that are broken, given to the real program: it ends with a sentence that has the
// values and what to do. Bad prompts and requests are in bad_request_test.
#include <QDir>
#include <QFile>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTest>
#include <QtEndian>

#include "tests/support/checkpoints.h"
#include "tests/support/engine_process.h"
#include "tests/support/file_modes.h"

using namespace tandem::test;

namespace {

const QString kFirstShard = QStringLiteral("model-00001-of-00002.safetensors");
const QString kSecondShard = QStringLiteral("model-00002-of-00002.safetensors");
const QString kConfig = QStringLiteral("config.json");
const QString kIndex = QStringLiteral("model.safetensors.index.json");

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

/// A copy of a checkpoint whose files are links until a test replaces them.
class DamagedModel {
 public:
  explicit DamagedModel(const QString& original) {
    for (const QString& name : QDir(original).entryList(QDir::Files)) {
      QFile::link(original + u'/' + name, file(name));
    }
  }

  [[nodiscard]] QString path() const { return folder_.path(); }
  [[nodiscard]] QString file(const QString& name) const { return folder_.filePath(name); }

  void remove(const QString& name) const { QFile::remove(file(name)); }

  void replace(const QString& name, const QByteArray& content) const {
    remove(name);
    writeFile(file(name), content);
  }

  void editJson(const QString& name, const std::function<void(QJsonObject&)>& edit) const {
    QJsonObject object = QJsonDocument::fromJson(readFile(file(name))).object();
    edit(object);
    replace(name, QJsonDocument(object).toJson());
  }

  /// Changes what a shard's header says of the tensor, not its bytes.
  void editTensor(const QString& tensor, const QString& key, const QJsonValue& value) const {
    const QJsonObject index = QJsonDocument::fromJson(readFile(file(kIndex))).object();
    const QString shard = index[u"weight_map"][tensor].toString();
    const QByteArray bytes = readFile(file(shard));
    const auto headerBytes = static_cast<qsizetype>(qFromLittleEndian<quint64>(bytes.constData()));
    QJsonObject header = QJsonDocument::fromJson(bytes.mid(8, headerBytes)).object();
    QJsonObject entry = header[tensor].toObject();
    entry[key] = value;
    header[tensor] = entry;
    const QByteArray edited = QJsonDocument(header).toJson(QJsonDocument::Compact);
    QByteArray size(8, '\0');
    qToLittleEndian(static_cast<quint64>(edited.size()), size.data());
    replace(shard, size + edited + bytes.mid(8 + headerBytes));
  }

  /// A folder that its mode closes to everybody, until it goes.
  void closeFolder() const { QFile::setPermissions(path(), QFile::Permissions()); }
  ~DamagedModel() {
    QFile::setPermissions(path(), QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner);
  }
  DamagedModel(const DamagedModel&) = delete;
  DamagedModel& operator=(const DamagedModel&) = delete;

  /// A file that its mode closes to everybody.
  void close(const QString& name) const {
    replace(name, readFile(file(name)));
    QFile::setPermissions(file(name), QFile::Permissions());
  }

 private:
  QTemporaryDir folder_;
};

/// What the program says last of all, "" if that is not from `command` itself.
QString lastWords(const QString& output, const QString& command) {
  const qsizetype at = output.indexOf(QStringLiteral("tandem-engine %1: ").arg(command));
  return at < 0 ? QString() : output.mid(at).trimmed();
}

using Damage = std::function<void(const DamagedModel&)>;

}  // namespace

Q_DECLARE_METATYPE(Damage)

class BadInputTest : public QObject {
  Q_OBJECT

  QString model_;

  /// Both commands that load a model must refuse the folder in one line with all of `words`.
  static void checkRefusal(const QString& folder,
                           const QStringList& words,
                           const std::function<void()>& inChild = {}) {
    const QTemporaryDir files;
    const QString tokens = files.filePath(QStringLiteral("tokens.json"));
    writeFile(tokens, R"({"a": [0, 5]})");
    Engine serve({QStringLiteral("serve"),
                  QStringLiteral("--model"),
                  folder,
                  QStringLiteral("--ranks"),
                  QStringLiteral("2"),
                  QStringLiteral("--port"),
                  QStringLiteral("0")},
                 inChild);
    QCOMPARE(serve.waitForExit(), kExitFatal);
    Engine score({QStringLiteral("score"),
                  QStringLiteral("--model"),
                  folder,
                  QStringLiteral("--ranks"),
                  QStringLiteral("2"),
                  QStringLiteral("--tokens"),
                  tokens,
                  QStringLiteral("--out"),
                  files.filePath(QStringLiteral("out"))},
                 inChild);
    QCOMPARE(score.waitForExit(), kExitFailed);
    for (const QString& said : {lastWords(serve.output(), QStringLiteral("serve")),
                                lastWords(score.output(), QStringLiteral("score"))}) {
      for (const QString& word : words) {
        QVERIFY2(said.contains(word), qPrintable(said + QStringLiteral(" lacks: ") + word));
      }
    }
  }

 private slots:
  void initTestCase() { model_ = findCheckpoint({QStringLiteral("resources/demo-model")}); }

  void init() {
    if (model_.isEmpty()) {
      QSKIP("resources/demo-model is not here");
    }
    QVERIFY2(QFile::exists(model_ + u'/' + kSecondShard), "these tests damage its second shard");
  }

  void aDamagedModelIsRefusedWithWhatIsWrongAndWhatToDo_data() {
    QTest::addColumn<Damage>("damage");
    QTest::addColumn<QStringList>("words");
    const auto row = [](const char* name, Damage damage, const QStringList& words) {
      QTest::newRow(name) << std::move(damage) << words;
    };
    row("missing shard",
        [](const DamagedModel& model) { model.remove(kSecondShard); },
        {kSecondShard, QStringLiteral("No such file"), QStringLiteral("fetch the missing file")});
    row("truncated shard",
        [](const DamagedModel& model) {
          model.replace(kFirstShard, readFile(model.file(kFirstShard)).chopped(1000));
        },
        {kFirstShard,
         QStringLiteral("of the data, the file holds"),
         QStringLiteral("it is truncated. Download this file again.")});
    row("header of 2^60 bytes",
        [](const DamagedModel& model) {
          QByteArray bytes = readFile(model.file(kSecondShard));
          qToLittleEndian(quint64{1} << 60U, bytes.data());
          model.replace(kSecondShard, bytes);
        },
        {kSecondShard,
         QStringLiteral("the header claims 1152921504606846976 bytes, the file has"),
         QStringLiteral("the format allows 100000000. Download this file again.")});
    row("index that names a missing file",
        [](const DamagedModel& model) {
          model.editJson(kIndex, [](QJsonObject& index) {
            QJsonObject map = index[u"weight_map"].toObject();
            map[QStringLiteral("norm.weight")] = QStringLiteral("model-00003-of-00003.safetensors");
            index[u"weight_map"] = map;
          });
        },
        {QStringLiteral("model-00003-of-00003.safetensors cannot be opened: No such file"),
         QStringLiteral("fetch the missing file")});
    row("wrong shape",
        [](const DamagedModel& model) {
          model.editTensor(QStringLiteral("norm.weight"),
                           QStringLiteral("shape"),
                           QJsonArray{2, 128});
        },
        {QStringLiteral("norm.weight: file has BF16 [2, 128], the model needs BF16 [256]."),
         QStringLiteral("is for another layout than config.json says.")});
    row("wrong dtype",
        [](const DamagedModel& model) {
          model.editTensor(QStringLiteral("layers.0.attn.attn_sink"),
                           QStringLiteral("dtype"),
                           QStringLiteral("I32"));
        },
        {QStringLiteral("layers.0.attn.attn_sink: file has I32 [8], the model needs F32 [8]."),
         QStringLiteral("is for another layout than config.json says.")});
    row("config without compress_ratios",
        [](const DamagedModel& model) {
          model.editJson(kConfig, [](QJsonObject& config) { config.remove(u"compress_ratios"); });
        },
        {kConfig,
         QStringLiteral("compress_ratios is missing, expected a list of at least"),
         QStringLiteral("numbers, each 0, 4 or 128."),
         QStringLiteral("checkpoint in the official layout.")});
    row("two ranks and one output group",
        [](const DamagedModel& model) {
          model.editJson(kConfig, [](QJsonObject& config) { config[u"o_groups"] = 1; });
        },
        {QStringLiteral("o_groups is 1, which 2 ranks cannot share equally."),
         QStringLiteral("Use one rank for this model.")});
    row("config that is no JSON",
        [](const DamagedModel& model) { model.replace(kConfig, "{\"hidden_size\": "); },
        {kConfig + QStringLiteral(" is not a JSON object. Download it again.")});
    row("config of a million levels",
        [](const DamagedModel& model) {
          model.replace(kConfig, QByteArray(1'000'000, '[') + QByteArray(1'000'000, ']'));
        },
        {kConfig, QStringLiteral("has nesting deeper than 16. Download it again.")});
    row("config that is a folder",
        [](const DamagedModel& model) {
          model.remove(kConfig);
          QDir(model.path()).mkdir(kConfig);
        },
        {kConfig, QStringLiteral("Is a directory"), QStringLiteral("Give the folder")});
    row("weights that are a folder",
        [](const DamagedModel& model) {
          model.remove(kSecondShard);
          QDir(model.path()).mkdir(kSecondShard);
        },
        {kSecondShard, QStringLiteral("not a regular file"), QStringLiteral("ownload")});
  }

  void aDamagedModelIsRefusedWithWhatIsWrongAndWhatToDo() {
    QFETCH(Damage, damage);
    QFETCH(QStringList, words);
    const DamagedModel model(model_);
    damage(model);
    checkRefusal(model.path(), words);
  }

  void aFileInPlaceOfAModelFolderIsRefused() {
    const QTemporaryDir folder;
    const QString file = folder.filePath(QStringLiteral("model"));
    writeFile(file, "not a folder");
    checkRefusal(file, {file, QStringLiteral("Not a directory"), QStringLiteral("folder that")});
  }

  void aModelThatMayNotBeReadIsRefused_data() {
    QTest::addColumn<QString>("file");
    QTest::newRow("config") << kConfig;
    QTest::newRow("index") << kIndex;
    QTest::newRow("shard") << kSecondShard;
    QTest::newRow("the whole folder") << QString();
  }
  void aModelThatMayNotBeReadIsRefused() {
    if (!childrenCanObeyFileModes()) {
      QSKIP("root may read everything here, and cannot give that right up");
    }
    QFETCH(QString, file);
    const DamagedModel model(model_);
    if (file.isEmpty()) {
      model.closeFolder();
    } else {
      model.close(file);
    }
    checkRefusal(model.path(),
                 {model.file(file.isEmpty() ? kConfig : file),
                  QStringLiteral("Permission denied. "),
                  QStringLiteral("read"),
                  QStringLiteral(" user ")},
                 obeyFileModes);
  }
};

QTEST_GUILESS_MAIN(BadInputTest)
#include "bad_input_test.moc"
