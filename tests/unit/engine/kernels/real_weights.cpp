// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/real_weights.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "engine/kernels/number_formats.h"

namespace tandem::tests {

RealWeights::RealWeights(std::filesystem::path folder)
    : folder_(std::move(folder)) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    if (entry.path().extension() == ".bin") {
      unread_.insert(std::filesystem::relative(entry.path(), folder_).string());
    }
  }
}

template <typename T>
std::vector<T> RealWeights::read(const std::string& path) {
  std::ifstream file(folder_ / path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.empty() || bytes.size() % sizeof(T) != 0) {
    throw std::runtime_error(path + " cannot be read");
  }
  unread_.erase(path);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Table RealWeights::bf16(const std::string& path, std::int64_t cols) {
  Table made{{}, cols};
  for (const std::uint16_t bits : read<std::uint16_t>(path)) {
    made.values.push_back(kernels::bf16ToFloat(bits));
  }
  return made;
}

Table RealWeights::floats(const std::string& path, std::int64_t cols) {
  return {read<float>(path), cols};
}

std::vector<std::int32_t> RealWeights::integers(const std::string& path) {
  return read<std::int32_t>(path);
}

std::vector<std::int64_t> RealWeights::longs(const std::string& path) {
  return read<std::int64_t>(path);
}

StoredWeight RealWeights::bf16Weight(const std::string& path, std::int64_t cols) {
  StoredWeight made;
  made.format = kernels::WeightFormat::Bf16;
  made.codes = read<std::uint8_t>(path);
  made.cols = cols;
  made.rows = static_cast<std::int64_t>(made.codes.size()) / (2 * cols);
  return made;
}

StoredWeight RealWeights::fp8Weight(const std::string& codes,
                                    const std::string& scales,
                                    std::int64_t cols) {
  StoredWeight made;
  made.format = kernels::WeightFormat::Fp8Block;
  made.codes = read<std::uint8_t>(codes);
  made.scales = read<std::uint8_t>(scales);
  made.cols = cols;
  made.rows = static_cast<std::int64_t>(made.codes.size()) / cols;
  return made;
}

StoredWeight RealWeights::fp4Weight(const std::string& codes,
                                    const std::string& scales,
                                    std::int64_t cols) {
  StoredWeight made;
  made.format = kernels::WeightFormat::Mxfp4;
  made.codes = read<std::uint8_t>(codes);
  made.scales = read<std::uint8_t>(scales);
  made.cols = cols;
  made.rows = 2 * static_cast<std::int64_t>(made.codes.size()) / cols;
  return made;
}

OperatorCase bf16Case(OperatorId op, std::string name, Table answer, RunCase run) {
  return goldenCase(
      op,
      std::move(name),
      std::move(answer),
      [inner = std::move(run)](Operators& operators, std::int64_t first, Matrix<float> out) {
        inner(operators, first, out);
        roundRowsToBf16(out);
      },
      exactly());
}

}  // namespace tandem::tests
