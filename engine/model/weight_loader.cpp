// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/weight_loader.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/base/byte_size.h"
#include "engine/model/safetensors_file.h"

namespace tandem::model {

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t kMismatchesShown = 10;
constexpr std::uint64_t kReadBytes = 8 * kMiB;
constexpr std::int64_t kFp8Block = 128;

/// Where each tensor is, over all files of a checkpoint.
struct Catalogue {
  std::vector<SafetensorsFile> files;
  struct Place {
    std::size_t file = 0;
    const StoredTensor* tensor = nullptr;
  };
  std::map<std::string, Place> tensors;
};

Result<std::vector<std::string>> shardNames(const fs::path& folder) {
  const fs::path index = folder / "model.safetensors.index.json";
  std::error_code failure;
  if (!fs::exists(index, failure)) {
    for (const char* single : {"model.safetensors", "model-00001-of-00001.safetensors"}) {
      if (fs::exists(folder / single, failure)) {
        return std::vector<std::string>{single};
      }
    }
    return Error{ErrorCode::NotFound,
                 fmt::format("{} holds neither model.safetensors nor model.safetensors.index.json",
                             folder.string()),
                 "Give the folder of a complete download, readable by this user."};
  }
  std::ifstream stream(index, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object() || !json.contains("weight_map") ||
      !json["weight_map"].is_object()) {
    return Error{ErrorCode::DataCorrupt,
                 index.string() + " has no weight_map object",
                 "Download it again."};
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos) {
      return Error{ErrorCode::DataCorrupt,
                   fmt::format("{}: the file of {} is {}", index.string(), tensor, file.dump()),
                   "Download it again."};
    }
    names.insert(file.get<std::string>());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<Catalogue> openCheckpoint(const fs::path& folder) {
  const Result<std::vector<std::string>> names = shardNames(folder);
  if (!names) {
    return names.error();
  }
  Catalogue catalogue;
  catalogue.files.reserve(names->size());
  for (const std::string& name : *names) {
    Result<SafetensorsFile> file = SafetensorsFile::open(folder / name);
    if (!file) {
      return file.error();
    }
    catalogue.files.push_back(std::move(*file));
  }
  for (std::size_t f = 0; f < catalogue.files.size(); ++f) {
    for (const auto& [name, tensor] : catalogue.files[f].tensors()) {
      const auto [place, isNew] = catalogue.tensors.insert({name, {f, &tensor}});
      if (!isNew) {
        return Error{ErrorCode::DataCorrupt,
                     fmt::format("tensor {} is in both {} and {}",
                                 name,
                                 catalogue.files[place->second.file].path().string(),
                                 catalogue.files[f].path().string()),
                     "Remove the files that do not belong to this checkpoint."};
      }
    }
  }
  return catalogue;
}

/// Modules are counted by name, not by num_nextn_predict_layers: the 0731 release has three and
/// says one.
std::int64_t countMtpModules(const Catalogue& catalogue) {
  std::int64_t modules = 0;
  while (catalogue.tensors.contains(fmt::format("mtp.{}.attn_norm.weight", modules))) {
    ++modules;
  }
  return modules;
}

bool dtypeFits(const TensorPlan& plan, DType stored) {
  switch (plan.role) {
    case TensorRole::Plain:
      // Fine-tuned checkpoints are often saved in BF16 throughout; widening loses nothing.
      return stored == plan.dtype || (plan.dtype == DType::F32 && stored == DType::Bf16);
    case TensorRole::Table:
      return stored == DType::I64 || stored == DType::I32;
    case TensorRole::Fp8Weight:
    case TensorRole::Fp8Scale:
    case TensorRole::Fp4Weight:
    case TensorRole::Fp4Scale:
      // Some re-uploads call every one-byte format U8.
      return stored == plan.dtype || stored == DType::U8;
  }
  return false;
}

Result<void> checkAgainstPlan(const Catalogue& catalogue,
                              const std::vector<TensorPlan>& plan,
                              const fs::path& folder,
                              LoadObserver* observer) {
  std::vector<std::string> mismatches;
  std::set<std::string> known;
  for (const TensorPlan& tensor : plan) {
    known.insert(tensor.name);
    const auto found = catalogue.tensors.find(tensor.name);
    if (found == catalogue.tensors.end()) {
      mismatches.push_back(fmt::format("{} is missing, the model needs {} {}",
                                       tensor.name,
                                       dtypeName(tensor.dtype),
                                       formatShape(tensor.shape)));
      continue;
    }
    const StoredTensor& stored = *found->second.tensor;
    if (!dtypeFits(tensor, stored.dtype) || stored.shape != tensor.shape) {
      mismatches.push_back(fmt::format("{}: file has {} {}, the model needs {} {}",
                                       tensor.name,
                                       dtypeName(stored.dtype),
                                       formatShape(stored.shape),
                                       dtypeName(tensor.dtype),
                                       formatShape(tensor.shape)));
    }
  }
  for (const auto& [name, place] : catalogue.tensors) {
    if (known.contains(name)) {
      continue;
    }
    // Draft modules of a later release are another drafter, not a broken file.
    if (name.rfind("mtp.", 0) == 0) {
      if (observer != nullptr) {
        observer->onNotice(
            fmt::format("{} belongs to a draft module this engine does not know", name));
      }
      continue;
    }
    mismatches.push_back(fmt::format("{} {} {} is not part of this model",
                                     name,
                                     dtypeName(place.tensor->dtype),
                                     formatShape(place.tensor->shape)));
  }
  if (mismatches.empty()) {
    return {};
  }
  std::string text =
      fmt::format("{}: {} tensors do not fit config.json:", folder.string(), mismatches.size());
  for (std::size_t i = 0; i < std::min(mismatches.size(), kMismatchesShown); ++i) {
    text += "\n  " + mismatches[i];
  }
  return Error{ErrorCode::InvalidArgument,
               text,
               "The download is incomplete, or is for another layout than config.json says."};
}

/// The part of a stored 2-D tensor (1-D: one column) that a rank reads.
struct Cut {
  std::int64_t rowBegin = 0;
  std::int64_t rowEnd = 0;
  std::int64_t columnBegin = 0;
  std::int64_t columnEnd = 0;
  int blockRow = 0;
  int blockColumn = 0;
};

Cut cutFor(const TensorPlan& plan, comm::ShardSpec shard) {
  Cut cut;
  cut.rowEnd = plan.shape.front();
  cut.columnEnd = plan.shape.size() > 1 ? plan.shape[1] : 1;
  if (plan.slice == Slice::Replicated || shard.ranks == 1) {
    return cut;
  }
  const comm::ShardRange range = shard.slice(plan.sliceUnit);
  std::int64_t begin = range.begin;
  std::int64_t end = range.end;
  int within = 0;
  switch (plan.role) {
    case TensorRole::Fp8Scale:
      begin = range.begin / kFp8Block;
      end = (range.end + kFp8Block - 1) / kFp8Block;
      break;
    case TensorRole::Fp8Weight:
      within = static_cast<int>(range.begin % kFp8Block);
      break;
    case TensorRole::Fp4Weight:
      if (plan.slice == Slice::Columns) {
        begin /= 2;
        end /= 2;
      }
      break;
    case TensorRole::Fp4Scale:
      if (plan.slice == Slice::Columns) {
        begin /= 32;
        end /= 32;
      }
      break;
    case TensorRole::Plain:
    case TensorRole::Table:
      break;
  }
  if (plan.slice == Slice::Rows) {
    cut.rowBegin = begin;
    cut.rowEnd = end;
    cut.blockRow = within;
  } else {
    cut.columnBegin = begin;
    cut.columnEnd = end;
    cut.blockColumn = within;
  }
  return cut;
}

Result<HostTensor> allocate(const TensorPlan& plan, DType dtype, const Cut& cut) {
  HostTensor tensor;
  tensor.dtype = dtype;
  tensor.shape = plan.shape;
  tensor.shape.front() = cut.rowEnd - cut.rowBegin;
  if (tensor.shape.size() > 1) {
    tensor.shape[1] = cut.columnEnd - cut.columnBegin;
  }
  tensor.blockRow = cut.blockRow;
  tensor.blockColumn = cut.blockColumn;
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

/// Copies the cut. Whole rows are one range of the file; columns go through a bounded buffer of
/// rows.
Result<void> readCut(const SafetensorsFile& file,
                     const StoredTensor& stored,
                     const Cut& cut,
                     std::byte* out,
                     std::vector<std::byte>& buffer) {
  const auto element = static_cast<std::uint64_t>(dtypeBytes(stored.dtype));
  const auto columns = static_cast<std::uint64_t>(stored.shape.size() > 1 ? stored.shape[1] : 1);
  const std::uint64_t rowBytes = columns * element;
  const auto rows = static_cast<std::uint64_t>(cut.rowEnd - cut.rowBegin);
  const std::uint64_t first = static_cast<std::uint64_t>(cut.rowBegin) * rowBytes;
  const std::uint64_t keptBytes =
      static_cast<std::uint64_t>(cut.columnEnd - cut.columnBegin) * element;
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
          buffer.data() + r * rowBytes + static_cast<std::uint64_t>(cut.columnBegin) * element,
          keptBytes);
    }
  }
  return {};
}

/// Expert numbers as I32, each inside [0, experts).
Result<HostTensor> narrowTable(const TensorPlan& plan,
                               const HostTensor& wide,
                               std::int64_t experts) {
  const Cut whole{0, plan.shape[0], 0, plan.shape[1], 0, 0};
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
Result<HostTensor> widen(const TensorPlan& plan, const HostTensor& narrow, const Cut& cut) {
  Result<HostTensor> wide = allocate(plan, DType::F32, cut);
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
  const Result<Catalogue> catalogue = openCheckpoint(folder);
  if (!catalogue) {
    return catalogue.error();
  }
  WeightSet weights;
  weights.mtpModules_ = countMtpModules(*catalogue);
  const std::vector<TensorPlan> plan = planWeights(config, weights.mtpModules_);
  if (Result<void> fits = checkAgainstPlan(*catalogue, plan, folder, observer); !fits) {
    return fits.error();
  }

  // In file order, so that a disk reads forward.
  std::vector<const TensorPlan*> order;
  order.reserve(plan.size());
  std::uint64_t totalBytes = 0;
  const auto placeOf = [&](const TensorPlan* tensor) {
    return catalogue->tensors.at(tensor->name);
  };
  for (const TensorPlan& tensor : plan) {
    order.push_back(&tensor);
    const Cut cut = cutFor(tensor, shard);
    totalBytes +=
        static_cast<std::uint64_t>((cut.rowEnd - cut.rowBegin) * (cut.columnEnd - cut.columnBegin) *
                                   dtypeBytes(placeOf(&tensor).tensor->dtype));
  }
  std::sort(order.begin(), order.end(), [&](const TensorPlan* a, const TensorPlan* b) {
    const Catalogue::Place placeA = placeOf(a);
    const Catalogue::Place placeB = placeOf(b);
    return std::pair(placeA.file, placeA.tensor->offset) <
           std::pair(placeB.file, placeB.tensor->offset);
  });

  std::vector<std::byte> buffer;
  std::uint64_t doneBytes = 0;
  std::uint64_t reportedBytes = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const TensorPlan& tensor = *order[i];
    const Catalogue::Place place = placeOf(&tensor);
    const SafetensorsFile& file = catalogue->files[place.file];
    const Cut cut = cutFor(tensor, shard);
    Result<HostTensor> host = allocate(tensor, place.tensor->dtype, cut);
    if (!host) {
      return host.error();
    }
    if (Result<void> got = readCut(file, *place.tensor, cut, host->data.get(), buffer); !got) {
      return got.error();
    }
    doneBytes += host->bytes;
    if (tensor.role == TensorRole::Table) {
      host = narrowTable(tensor, *host, config.nRoutedExperts);
    } else if (tensor.dtype == DType::F32 && host->dtype == DType::Bf16) {
      host = widen(tensor, *host, cut);
    }
    if (!host) {
      return host.error();
    }
    weights.bytes_ += host->bytes;
    weights.tensors_.emplace(tensor.name, std::move(*host));
    const bool fileEnds = i + 1 == order.size() || placeOf(order[i + 1]).file != place.file;
    if (observer != nullptr && (fileEnds || doneBytes - reportedBytes >= kReadBytes)) {
      observer->onBytes(doneBytes, totalBytes, file.path().filename().string());
      reportedBytes = doneBytes;
    }
  }
  return weights;
}

}  // namespace tandem::model
