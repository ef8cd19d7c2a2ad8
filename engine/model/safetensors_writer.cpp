// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/safetensors_writer.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include <nlohmann/json.hpp>

namespace tandem::model {

Result<void> writeSafetensors(const std::filesystem::path& path,
                              const std::vector<FloatTensor>& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::uint64_t offset = 0;
  for (const FloatTensor& tensor : tensors) {
    const std::uint64_t bytes = tensor.values.size() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t headerBytes = text.size();

  std::filesystem::path partial = path;
  partial += ".part";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(&headerBytes), sizeof headerBytes);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (const FloatTensor& tensor : tensors) {
    out.write(reinterpret_cast<const char*>(tensor.values.data()),
              static_cast<std::streamsize>(tensor.values.size() * sizeof(float)));
  }
  out.close();
  std::error_code failure;
  if (out) {
    std::filesystem::rename(partial, path, failure);
  }
  if (!out || failure) {
    const std::string why = failure ? failure.message() : std::strerror(errno);
    std::filesystem::remove(partial, failure);
    return Error{ErrorCode::Unavailable,
                 fmt::format("{} could not be written: {}", path.string(), why),
                 "Check the folder, its permissions and the free space."};
  }
  return {};
}

}  // namespace tandem::model
