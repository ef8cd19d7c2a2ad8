// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/dtype.h"

#include <array>
#include <utility>

namespace tandem::model {

namespace {

constexpr std::array<std::pair<std::string_view, DType>, 11> kSpellings{{
    {"F32", DType::F32},
    {"BF16", DType::Bf16},
    {"F8_E4M3", DType::F8E4M3},
    {"F8_E8M0", DType::F8E8M0},
    {"I8", DType::I8},
    {"U8", DType::U8},
    {"I32", DType::I32},
    {"I64", DType::I64},
    // Re-uploads: the longer name of the same format, and packed FP4 under its own name.
    {"F8_E4M3FN", DType::F8E4M3},
    {"F8_E8M0FNU", DType::F8E8M0},
    {"F4", DType::I8},
}};

}  // namespace

std::int64_t dtypeBytes(DType dtype) {
  switch (dtype) {
    case DType::F32:
    case DType::I32:
      return 4;
    case DType::Bf16:
      return 2;
    case DType::I64:
      return 8;
    case DType::F8E4M3:
    case DType::F8E8M0:
    case DType::I8:
    case DType::U8:
      return 1;
  }
  return 1;
}

std::string_view dtypeName(DType dtype) {
  for (const auto& [name, value] : kSpellings) {
    if (value == dtype) {
      return name;
    }
  }
  return "?";
}

std::optional<DType> dtypeFromName(std::string_view name) {
  for (const auto& [spelling, value] : kSpellings) {
    if (spelling == name) {
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace tandem::model
