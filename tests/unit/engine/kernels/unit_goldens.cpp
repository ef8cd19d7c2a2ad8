// SPDX-License-Identifier: GPL-3.0-or-later
// Reading the unit goldens.
#include <fmt/core.h>

#include <cmath>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "engine/kernels/number_formats.h"
#include "tests/unit/engine/kernels/unit_golden_cases.h"

namespace tandem::tests {

namespace {

/// The E8M0 code of a scale that a golden stores as float.
std::uint8_t powerOfTwoCode(float scale) {
  int exponent = 0;
  if (std::frexp(scale, &exponent) != 0.5F) {
    throw std::runtime_error("a scale is no power of two: " + std::to_string(scale));
  }
  return static_cast<std::uint8_t>(exponent - 1 + 127);
}

std::vector<std::uint8_t> powerOfTwoCodes(const std::vector<float>& scales) {
  std::vector<std::uint8_t> codes;
  codes.reserve(scales.size());
  for (const float scale : scales) {
    codes.push_back(powerOfTwoCode(scale));
  }
  return codes;
}

}  // namespace

UnitGoldens::UnitGoldens(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    Result<GoldenFile> file = GoldenFile::open(entry.path().string());
    if (!file) {
      throw std::runtime_error(file.error().text());
    }
    for (const std::string& tensor : file->names()) {
      unread_[name].insert(tensor);
    }
    files_.emplace(name, std::move(*file));
  }
}

std::vector<std::string> UnitGoldens::names() const {
  std::vector<std::string> names;
  names.reserve(files_.size());
  for (const auto& [name, file] : files_) {
    names.push_back(name);
  }
  return names;
}

const GoldenFile& UnitGoldens::use(const std::string& file, const std::string& tensor) {
  const GoldenFile& golden = files_.at(file);
  if (!golden.has(tensor)) {
    throw std::runtime_error(file + " has no tensor " + tensor);
  }
  unread_[file].erase(tensor);
  return golden;
}

std::vector<std::int64_t> UnitGoldens::shape(const std::string& file, const std::string& tensor) {
  return files_.at(file).shape(tensor);
}

Table UnitGoldens::table(const std::string& file, const std::string& tensor) {
  return {use(file, tensor).floats(tensor), shape(file, tensor).back()};
}

std::vector<std::int32_t> UnitGoldens::integers(const std::string& file,
                                                const std::string& tensor) {
  return use(file, tensor).integers(tensor);
}

StoredWeight UnitGoldens::fp8Weight(const std::string& file,
                                    const std::string& codes,
                                    const std::string& scales) {
  StoredWeight made;
  made.format = kernels::WeightFormat::Fp8Block;
  made.rows = shape(file, codes).front();
  made.cols = shape(file, codes).back();
  made.codes = use(file, codes).bytes(codes);
  made.scales = powerOfTwoCodes(use(file, scales).floats(scales));
  return made;
}

std::vector<StoredWeight> UnitGoldens::fp4Weights(const std::string& file,
                                                  const std::string& codes,
                                                  const std::string& scales) {
  const std::vector<std::int64_t> dims = shape(file, codes);
  const std::vector<std::uint8_t> allCodes = use(file, codes).bytes(codes);
  const std::vector<std::uint8_t> allScales = powerOfTwoCodes(use(file, scales).floats(scales));
  const std::int64_t count = dims.size() > 2 ? dims.front() : 1;
  const std::int64_t codeBytes = static_cast<std::int64_t>(allCodes.size()) / count;
  const std::int64_t scaleBytes = static_cast<std::int64_t>(allScales.size()) / count;
  std::vector<StoredWeight> made(static_cast<std::size_t>(count));
  for (std::int64_t e = 0; e < count; ++e) {
    StoredWeight& weight = made[static_cast<std::size_t>(e)];
    weight.format = kernels::WeightFormat::Mxfp4;
    weight.rows = dims[dims.size() - 2];
    weight.cols = 2 * dims.back();
    weight.codes.assign(allCodes.begin() + e * codeBytes, allCodes.begin() + (e + 1) * codeBytes);
    weight.scales.assign(allScales.begin() + e * scaleBytes,
                         allScales.begin() + (e + 1) * scaleBytes);
  }
  return made;
}

Table UnitGoldens::fp8Values(const std::string& file, const std::string& tensor) {
  Table made;
  made.cols = shape(file, tensor).back();
  for (const std::uint8_t code : use(file, tensor).bytes(tensor)) {
    made.values.push_back(kernels::e4m3Values()[code]);
  }
  return made;
}

std::vector<std::string> UnitGoldens::unread() const {
  std::vector<std::string> made;
  for (const auto& [file, tensors] : unread_) {
    for (const std::string& tensor : tensors) {
      made.push_back(fmt::format("{}: {}", file, tensor));
    }
  }
  return made;
}

}  // namespace tandem::tests
