// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/safetensors_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/base/byte_size.h"
#include "engine/model/json_document.h"

namespace tandem::model {

namespace {

using Json = nlohmann::json;

// The format's own limit; the index of the whole official checkpoint is a twentieth of it.
constexpr std::uint64_t kLongestHeader = 100'000'000;

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");

Error corrupt(const std::filesystem::path& path, const std::string& what) {
  return Error{ErrorCode::DataCorrupt,
               fmt::format("{}: {}", path.string(), what),
               "Download this file again."};
}

Result<void> readFully(const FileDescriptor& file,
                       const std::filesystem::path& path,
                       std::uint64_t offset,
                       std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(file.get(),
                                out.data() + done,
                                out.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return Error{ErrorCode::Unavailable,
                   fmt::format("{}: reading {} at byte {} failed: {}",
                               path.string(),
                               formatBytes(out.size()),
                               offset,
                               std::strerror(errno)),
                   "Check the disk with dmesg."};
    }
    if (got == 0) {
      return corrupt(path, fmt::format("the file ends at byte {}", offset + done));
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

/// The number of elements, or nothing when the product does not fit 63 bits.
std::optional<std::uint64_t> elementCount(std::span<const std::int64_t> shape) {
  std::uint64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count) ||
        count > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return std::nullopt;
    }
  }
  return count;
}

std::optional<std::vector<std::int64_t>> parseShape(const Json& value) {
  if (!value.is_array() || value.size() > 8) {
    return std::nullopt;
  }
  std::vector<std::int64_t> shape;
  for (const Json& extent : value) {
    if (!extent.is_number_unsigned() ||
        extent.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return std::nullopt;
    }
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

/// "F4" counts elements of half a byte where the writer follows the format, and packed bytes where
/// it only renamed I8. The byte count tells which; memory always holds packed bytes.
void packFp4(std::vector<std::int64_t>& shape, std::uint64_t bytes) {
  const std::optional<std::uint64_t> count = elementCount(shape);
  if (count && !shape.empty() && shape.back() % 2 == 0 && *count == 2 * bytes && bytes > 0) {
    shape.back() /= 2;
  }
}

/// The entry's two offsets, or nothing; nothing also when the entry is no object.
std::optional<std::pair<std::uint64_t, std::uint64_t>> parseOffsets(const Json& entry) {
  const auto found = entry.find("data_offsets");
  if (found == entry.end() || !found->is_array() || found->size() != 2 ||
      !(*found)[0].is_number_unsigned() || !(*found)[1].is_number_unsigned()) {
    return std::nullopt;
  }
  return std::pair((*found)[0].get<std::uint64_t>(), (*found)[1].get<std::uint64_t>());
}

/// One tensor of a header. `dataBytes` is what the file holds after the header, which ends at
/// `dataBegin`.
Result<StoredTensor> parseTensor(const std::filesystem::path& path,
                                 const std::string& name,
                                 const Json& entry,
                                 std::uint64_t dataBegin,
                                 std::uint64_t dataBytes) {
  const auto offsets = parseOffsets(entry);
  if (!offsets || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape")) {
    return corrupt(path, fmt::format("tensor {} has no dtype, shape and data_offsets", name));
  }
  const auto& spelling = entry["dtype"].get_ref<const std::string&>();
  const std::optional<DType> dtype = dtypeFromName(spelling);
  if (!dtype) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{}: tensor {} has dtype {}, which this engine does not read",
                             path.string(),
                             name,
                             spelling),
                 "Use the official checkpoint: FP8, MXFP4, BF16, F32 and integer tables."};
  }
  std::optional<std::vector<std::int64_t>> shape = parseShape(entry["shape"]);
  const auto [begin, end] = *offsets;
  if (begin > end) {
    return corrupt(path, fmt::format("tensor {} has bytes {} to {}", name, begin, end));
  }
  if (shape && spelling == "F4") {
    packFp4(*shape, end - begin);
  }
  const std::optional<std::uint64_t> count = shape ? elementCount(*shape) : std::nullopt;
  std::uint64_t bytes = 0;
  if (!count ||
      __builtin_mul_overflow(*count, static_cast<std::uint64_t>(dtypeBytes(*dtype)), &bytes)) {
    return corrupt(path, fmt::format("the shape of tensor {} is no list of sizes", name));
  }
  if (end - begin != bytes) {
    return corrupt(path,
                   fmt::format("tensor {} has bytes {} to {}, but {} {} need {}",
                               name,
                               begin,
                               end,
                               formatShape(*shape),
                               spelling,
                               bytes));
  }
  if (end > dataBytes) {
    return corrupt(path,
                   fmt::format("tensor {} ends at byte {} of the data, the file holds {}: it is "
                               "truncated",
                               name,
                               end,
                               dataBytes));
  }
  return StoredTensor{*dtype, std::move(*shape), dataBegin + begin, bytes};
}

/// Two tensors that share bytes are a broken header, whatever they are.
Result<void> checkOverlap(const std::filesystem::path& path,
                          const std::map<std::string, StoredTensor>& tensors) {
  std::vector<std::pair<const StoredTensor*, const std::string*>> order;
  order.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    if (tensor.bytes > 0) {
      order.emplace_back(&tensor, &name);
    }
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.first->offset < b.first->offset;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const StoredTensor& before = *order[i - 1].first;
    if (order[i].first->offset < before.offset + before.bytes) {
      return corrupt(
          path,
          fmt::format("tensors {} and {} overlap", *order[i - 1].second, *order[i].second));
    }
  }
  return {};
}

}  // namespace

std::string formatShape(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", shape[i]);
  }
  return text + "]";
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  FileDescriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.valid()) {
    const bool denied = errno == EACCES || errno == EPERM;
    return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::NotFound,
                 fmt::format("{} cannot be opened: {}", path.string(), std::strerror(errno)),
                 denied ? "Make it readable for the user that runs the engine."
                        : "The download is incomplete: fetch the missing file."};
  }
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return corrupt(path, "this is not a regular file");
  }
  SafetensorsFile file(path, std::move(descriptor));
  const auto fileBytes = static_cast<std::uint64_t>(status.st_size);
  std::uint64_t headerBytes = 0;
  if (fileBytes < sizeof headerBytes) {
    return corrupt(path, fmt::format("{} bytes cannot hold a safetensors header", fileBytes));
  }
  if (Result<void> got =
          readFully(file.file_, path, 0, std::as_writable_bytes(std::span(&headerBytes, 1)));
      !got) {
    return got.error();
  }
  if (headerBytes > kLongestHeader || headerBytes > fileBytes - sizeof headerBytes) {
    return corrupt(
        path,
        fmt::format("the header claims {} bytes, the file has {} and the format allows {}",
                    headerBytes,
                    fileBytes,
                    kLongestHeader));
  }
  std::string text(headerBytes, '\0');
  if (Result<void> got =
          readFully(file.file_, path, sizeof headerBytes, std::as_writable_bytes(std::span(text)));
      !got) {
    return got.error();
  }
  if (Result<void> parsed = file.parseHeader(text, sizeof headerBytes + headerBytes, fileBytes);
      !parsed) {
    return parsed.error();
  }
  return file;
}

Result<void> SafetensorsFile::parseHeader(const std::string& text,
                                          std::uint64_t dataBegin,
                                          std::uint64_t fileBytes) {
  const Result<Json> header = parseJsonObject(text, path_.string() + ": the header");
  if (!header) {
    return header.error();
  }
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") {
      continue;
    }
    Result<StoredTensor> tensor = parseTensor(path_, name, entry, dataBegin, fileBytes - dataBegin);
    if (!tensor) {
      return tensor.error();
    }
    tensors_.emplace(name, std::move(*tensor));
  }
  return checkOverlap(path_, tensors_);
}

Result<void> SafetensorsFile::read(const StoredTensor& tensor,
                                   std::uint64_t offset,
                                   std::span<std::byte> out) const {
  return readFully(file_, path_, tensor.offset + offset, out);
}

}  // namespace tandem::model
