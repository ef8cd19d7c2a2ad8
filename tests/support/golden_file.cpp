// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/golden_file.h"

#include <span>
#include <stdexcept>

namespace tandem::tests {

Result<GoldenFile> GoldenFile::open(const std::string& path) {
  Result<model::SafetensorsFile> file = model::SafetensorsFile::open(path);
  if (!file) {
    return file.error();
  }
  return GoldenFile(std::move(*file));
}

std::vector<std::string> GoldenFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file_.tensors()) {
    names.push_back(name);
  }
  return names;
}

std::vector<std::int64_t> GoldenFile::shape(const std::string& name) const {
  return file_.tensors().at(name).shape;
}

template <typename T>
std::vector<T> GoldenFile::read(const std::string& name) const {
  const model::StoredTensor& tensor = file_.tensors().at(name);
  if (model::dtypeBytes(tensor.dtype) != sizeof(T)) {
    throw std::runtime_error(name + " has another element size");
  }
  std::vector<T> values(tensor.bytes / sizeof(T));
  if (!file_.read(tensor, 0, std::as_writable_bytes(std::span(values))).ok()) {
    throw std::runtime_error(name + " cannot be read");
  }
  return values;
}

std::vector<float> GoldenFile::floats(const std::string& name) const {
  return read<float>(name);
}

std::vector<std::int32_t> GoldenFile::integers(const std::string& name) const {
  return read<std::int32_t>(name);
}

std::vector<std::uint8_t> GoldenFile::bytes(const std::string& name) const {
  return read<std::uint8_t>(name);
}

std::vector<std::string> GoldenFile::prompts() const {
  const std::string suffix = ".ids";
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file_.tensors()) {
    if (name.ends_with(suffix)) {
      names.push_back(name.substr(0, name.size() - suffix.size()));
    }
  }
  return names;
}

}  // namespace tandem::tests
