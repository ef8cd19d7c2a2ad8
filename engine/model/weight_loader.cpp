// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/weight_loader.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "engine/base/byte_size.h"
#include "engine/model/checkpoint.h"
#include "engine/model/weight_check.h"
#include "engine/model/weight_slice.h"

namespace tandem::model {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kReadBytes = 8 * kMiB;

Result<HostTensor> allocate(const TensorPlan& plan, DType dtype, const WeightSlice& slice) {
  HostTensor tensor;
  tensor.dtype = dtype;
  tensor.shape = plan.shape;
  tensor.shape.front() = slice.rows();
  if (tensor.shape.size() > 1) {
    tensor.shape[1] = slice.columns();
  }
  tensor.blockRow = slice.blockRow;
  tensor.blockColumn = slice.blockColumn;
  tensor.bytes = static_cast<std::uint64_t>(dtypeBytes(dtype));
  for (const std::int64_t extent : tensor.shape) {
    tensor.bytes *= static_cast<std::uint64_t>(extent);
  }
  constexpr std::size_t kAlignment = 64;
  const std::size_t rounded = (tensor.bytes + kAlignment - 1) / kAlignment * kAlignment;
  tensor.data.reset(
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, std::max(rounded, kAlignment))));
  if (tensor.data == nullptr) {
    return Error{ErrorCode::OutOfMemory,
                 fmt::format("no memory for {} ({})", plan.name, formatBytes(tensor.bytes)),
                 "Close other programs, or use two ranks."};
  }
  return tensor;
}

/// Copies the slice. Whole rows are one range of the file; columns go through a bounded buffer of
/// rows.
Result<void> readSlice(const SafetensorsFile& file,
                       const StoredTensor& stored,
                       const WeightSlice& slice,
                       std::byte* out,
                       std::vector<std::byte>& buffer) {
  const auto element = static_cast<std::uint64_t>(dtypeBytes(stored.dtype));
  const auto columns = static_cast<std::uint64_t>(stored.shape.size() > 1 ? stored.shape[1] : 1);
  const std::uint64_t rowBytes = columns * element;
  const auto rows = static_cast<std::uint64_t>(slice.rows());
  const std::uint64_t first = static_cast<std::uint64_t>(slice.rowBegin) * rowBytes;
  const std::uint64_t keptBytes = static_cast<std::uint64_t>(slice.columns()) * element;
  if (keptBytes == rowBytes) {
    return file.read(stored, first, {out, rows * rowBytes});
  }
  const std::uint64_t rowsAtOnce = std::max<std::uint64_t>(1, kReadBytes / rowBytes);
  for (std::uint64_t row = 0; row < rows; row += rowsAtOnce) {
    const std::uint64_t count = std::min(rowsAtOnce, rows - row);
    buffer.resize(count * rowBytes);
    if (Result<void> got = file.read(stored, first + row * rowBytes, buffer); !got) {
      return got;
    }
    for (std::uint64_t r = 0; r < count; ++r) {
      std::memcpy(
          out + (row + r) * keptBytes,
          buffer.data() + r * rowBytes + static_cast<std::uint64_t>(slice.columnBegin) * element,
          keptBytes);
    }
  }
  return {};
}

/// Expert numbers as I32, each inside [0, experts).
Result<HostTensor> narrowTable(const TensorPlan& plan,
                               const HostTensor& wide,
                               std::int64_t experts) {
  const WeightSlice whole{0, plan.shape[0], 0, plan.shape[1], 0, 0};
  Result<HostTensor> table = allocate(plan, DType::I32, whole);
  if (!table) {
    return table;
  }
  auto* out = reinterpret_cast<std::int32_t*>(table->data.get());
  const std::size_t count = table->bytes / sizeof(std::int32_t);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t value = wide.dtype == DType::I64
                                   ? wide.as<std::int64_t>()[i]
                                   : static_cast<std::int64_t>(wide.as<std::int32_t>()[i]);
    if (value < 0 || value >= experts) {
      return Error{ErrorCode::DataCorrupt,
                   fmt::format("{} entry {} names expert {}, the model has {}",
                               plan.name,
                               i,
                               value,
                               experts),
                   "Download the checkpoint again."};
    }
    out[i] = static_cast<std::int32_t>(value);
  }
  return table;
}

/// BF16 as F32, in the shape of the rank's slice.
Result<HostTensor> widen(const TensorPlan& plan,
                         const HostTensor& narrow,
                         const WeightSlice& slice) {
  Result<HostTensor> wide = allocate(plan, DType::F32, slice);
  if (!wide) {
    return wide;
  }
  const std::span<const std::uint16_t> in = narrow.as<std::uint16_t>();
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::uint32_t bits = std::uint32_t{in[i]} << 16U;
    std::memcpy(wide->data.get() + i * sizeof bits, &bits, sizeof bits);
  }
  return wide;
}

/// One tensor's journey from a file to memory.
struct PlannedRead {
  const TensorPlan* plan = nullptr;
  std::size_t file = 0;
  const StoredTensor* stored = nullptr;
  WeightSlice slice;
};

/// So that a disk reads forward.
std::vector<PlannedRead> readsInFileOrder(const Checkpoint& checkpoint,
                                          const std::vector<TensorPlan>& plan,
                                          comm::ShardSpec shard) {
  std::vector<PlannedRead> reads;
  reads.reserve(plan.size());
  for (const TensorPlan& tensor : plan) {
    const Checkpoint::Place& place = checkpoint.tensors().at(tensor.name);
    reads.push_back({&tensor, place.file, place.tensor, sliceFor(tensor, shard)});
  }
  std::sort(reads.begin(), reads.end(), [](const PlannedRead& a, const PlannedRead& b) {
    return std::pair(a.file, a.stored->offset) < std::pair(b.file, b.stored->offset);
  });
  return reads;
}

Result<HostTensor> loadTensor(const SafetensorsFile& file,
                              const PlannedRead& read,
                              const ModelConfig& config,
                              std::vector<std::byte>& buffer) {
  Result<HostTensor> host = allocate(*read.plan, read.stored->dtype, read.slice);
  if (!host) {
    return host;
  }
  if (Result<void> got = readSlice(file, *read.stored, read.slice, host->data.get(), buffer);
      !got) {
    return got.error();
  }
  if (read.plan->role == TensorRole::Table) {
    return narrowTable(*read.plan, *host, config.nRoutedExperts);
  }
  if (read.plan->dtype == DType::F32 && host->dtype == DType::Bf16) {
    return widen(*read.plan, *host, read.slice);
  }
  // What a re-upload calls U8 is what the plan says it is.
  host->dtype = read.plan->dtype;
  return host;
}

}  // namespace

const HostTensor& WeightSet::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  assert(found != tensors_.end());
  return found->second;
}

Result<WeightSet> loadWeights(const fs::path& folder,
                              const ModelConfig& config,
                              comm::ShardSpec shard,
                              LoadObserver* observer) {
  if (Result<void> divides = checkTensorParallel(config, shard.ranks); !divides) {
    return divides.error();
  }
  const Result<Checkpoint> checkpoint = Checkpoint::open(folder);
  if (!checkpoint) {
    return checkpoint.error();
  }
  WeightSet weights;
  weights.mtpModules_ = checkpoint->mtpModules();
  const std::vector<TensorPlan> plan = planWeights(config, weights.mtpModules_);
  const WeightCheck check = checkWeights(*checkpoint, plan);
  if (Result<void> matches = requireMatch(check, folder.string()); !matches) {
    return matches.error();
  }
  if (observer != nullptr) {
    for (const std::string& notice : check.notices) {
      observer->onNotice(notice);
    }
  }
  const std::vector<PlannedRead> reads = readsInFileOrder(*checkpoint, plan, shard);
  std::uint64_t totalBytes = 0;
  for (const PlannedRead& read : reads) {
    totalBytes += read.slice.bytes(read.stored->dtype);
  }
  std::vector<std::byte> buffer;
  std::uint64_t doneBytes = 0;
  std::uint64_t reportedBytes = 0;
  for (std::size_t i = 0; i < reads.size(); ++i) {
    const PlannedRead& read = reads[i];
    const SafetensorsFile& file = checkpoint->files()[read.file];
    Result<HostTensor> host = loadTensor(file, read, config, buffer);
    if (!host) {
      return host.error();
    }
    weights.bytes_ += host->bytes;
    weights.tensors_.emplace(read.plan->name, std::move(*host));
    doneBytes += read.slice.bytes(read.stored->dtype);
    const bool fileEnds = i + 1 == reads.size() || reads[i + 1].file != read.file;
    if (observer != nullptr && (fileEnds || doneBytes - reportedBytes >= kReadBytes)) {
      observer->onBytes(doneBytes, totalBytes, file.path().filename().string());
      reportedBytes = doneBytes;
    }
    if (observer != nullptr && observer->wantsEnd()) {
      return Error{ErrorCode::Cancelled,
                   fmt::format("loading was stopped after {} of {}",
                               formatBytes(doneBytes),
                               formatBytes(totalBytes)),
                   ""};
    }
  }
  return weights;
}

}  // namespace tandem::model
