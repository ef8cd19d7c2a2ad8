// SPDX-License-Identifier: GPL-3.0-or-later
// Writes checkpoints byte by byte, right ones and wrong ones, without the engine's own writer.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include <QByteArray>
#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QString>

#include "engine/model/weight_map.h"

namespace tandem::test {

/// A tensor as a file holds it. `dtype` is any text, so that a test can lie.
struct RawTensor {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  QByteArray bytes;
};

inline void writeFile(const QString& path, const QByteArray& bytes) {
  QFile file(path);
  if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size()) {
    qFatal("cannot write %s", qPrintable(path));
  }
}

/// The eight length bytes, the header, the data.
inline QByteArray safetensorsBytes(const QByteArray& header, const QByteArray& data) {
  const auto length = static_cast<std::uint64_t>(header.size());
  QByteArray file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

inline QByteArray safetensorsBytes(const std::vector<RawTensor>& tensors) {
  QJsonObject header;
  QByteArray data;
  for (const RawTensor& tensor : tensors) {
    QJsonArray shape;
    for (const std::int64_t extent : tensor.shape) {
      shape.append(static_cast<qint64>(extent));
    }
    const qint64 begin = data.size();
    data += tensor.bytes;
    header[QString::fromStdString(tensor.name)] =
        QJsonObject{{QStringLiteral("dtype"), QString::fromStdString(tensor.dtype)},
                    {QStringLiteral("shape"), shape},
                    {QStringLiteral("data_offsets"), QJsonArray{begin, qint64(data.size())}}};
  }
  return safetensorsBytes(QJsonDocument(header).toJson(QJsonDocument::Compact), data);
}

/// Bytes that differ from tensor to tensor and from place to place; tables name expert 0 or 1.
inline QByteArray patternBytes(const model::TensorPlan& plan) {
  const auto elements =
      std::accumulate(plan.shape.begin(), plan.shape.end(), std::int64_t{1}, std::multiplies<>());
  QByteArray bytes(static_cast<qsizetype>(elements * model::dtypeBytes(plan.dtype)), '\0');
  std::uint32_t state = static_cast<std::uint32_t>(std::hash<std::string>()(plan.name));
  for (qsizetype i = 0; i < bytes.size(); ++i) {
    state = state * 1664525U + 1013904223U;
    const bool isHighByte = plan.role == model::TensorRole::Table && i % 8 != 0;
    const std::uint32_t mask = plan.role == model::TensorRole::Table ? 1U : 0xffU;
    bytes[i] = static_cast<char>(isHighByte ? 0U : (state >> 24U) & mask);
  }
  return bytes;
}

/// Everything that `config` wants, with pattern bytes.
inline std::vector<RawTensor> patternTensors(const model::ModelConfig& config,
                                             std::int64_t mtpModules) {
  std::vector<RawTensor> tensors;
  for (const model::TensorPlan& plan : model::planWeights(config, mtpModules)) {
    tensors.push_back(
        {plan.name, std::string(model::dtypeName(plan.dtype)), plan.shape, patternBytes(plan)});
  }
  return tensors;
}

/// Two shards and their index, tensors dealt alternately.
inline void writeShards(const QDir& folder, const std::vector<RawTensor>& tensors) {
  const QString names[] = {QStringLiteral("model-00001-of-00002.safetensors"),
                           QStringLiteral("model-00002-of-00002.safetensors")};
  std::vector<RawTensor> parts[2];
  QJsonObject map;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    parts[i % 2].push_back(tensors[i]);
    map[QString::fromStdString(tensors[i].name)] = names[i % 2];
  }
  for (int shard = 0; shard < 2; ++shard) {
    writeFile(folder.filePath(names[shard]), safetensorsBytes(parts[shard]));
  }
  writeFile(folder.filePath(QStringLiteral("model.safetensors.index.json")),
            QJsonDocument(QJsonObject{{QStringLiteral("weight_map"), map}}).toJson());
}

}  // namespace tandem::test
