// SPDX-License-Identifier: GPL-3.0-or-later
// Cases of what makes cache entries: rotation, the roundings of both caches, compression.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <numeric>

#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cases/case_values.h"
#include "engine/kernels/cases/known_answers.h"
#include "engine/kernels/entry_codec.h"
#include "engine/kernels/reference/reference_operators.h"

namespace tandem::kernels {

namespace {

void copyRows(Matrix<float> out, const std::vector<float>& values, std::int64_t first) {
  std::copy_n(values.data() + first * out.cols, out.rows * out.cols, out.data);
}

void allowNothing(Matrix<float> allowed, Matrix<const float> /*expected*/) {
  std::fill_n(allowed.data, allowed.rows * allowed.cols, 0.F);
}

struct Rotation {
  std::vector<float> x;
  std::vector<std::int64_t> positions;
  std::vector<double> frequencies;
};

OperatorCase makeRope(std::uint64_t seed,
                      const char* what,
                      std::int64_t heads,
                      std::int64_t headDim,
                      std::int64_t pairs,
                      std::vector<std::int64_t> positions,
                      RopeDirection direction) {
  constexpr double kBase = 10000.0;
  CaseValues values(seed);
  const auto inputs = std::make_shared<Rotation>();
  const auto rows = static_cast<std::int64_t>(positions.size());
  inputs->x = values.numbers(rows * heads * headDim);
  inputs->positions = std::move(positions);
  for (std::int64_t i = 0; i < pairs; ++i) {
    inputs->frequencies.push_back(
        std::pow(kBase, -static_cast<double>(i) / static_cast<double>(pairs)));
  }
  OperatorCase made;
  made.op = OperatorId::Rope;
  made.name = fmt::format("{}, {} rows of {} x {}", what, rows, heads, headDim);
  made.rows = rows;
  made.columns = heads * headDim;
  made.run =
      [inputs, headDim, direction](Operators& operators, std::int64_t first, Matrix<float> out) {
        copyRows(out, inputs->x, first);
        operators.rope(
            out,
            headDim,
            std::span(inputs->positions)
                .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(out.rows)),
            inputs->frequencies,
            direction);
      };
  made.allow = [inputs, headDim, pairs](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    // Two products and a sum, with a sine and a cosine that are off by up to two roundoffs.
    constexpr double kRelative = 5 * kFloatRoundoff;
    allowNothing(allowed, {});
    for (std::int64_t r = 0; r < allowed.rows; ++r) {
      for (std::int64_t head = headDim; head <= allowed.cols; head += headDim) {
        for (std::int64_t c = head - 2 * pairs; c < head; c += 2) {
          const float* x = inputs->x.data() + r * allowed.cols + c;
          const double size =
              std::fabs(static_cast<double>(x[0])) + std::fabs(static_cast<double>(x[1]));
          allowed.row(r)[c] = static_cast<float>(kRelative * size);
          allowed.row(r)[c + 1] = allowed.row(r)[c];
        }
      }
    }
  };
  return made;
}

/// Both roundings: the same bits from everybody. The inputs' sums are exact in any order.
OperatorCase makeRounding(std::uint64_t seed,
                          OperatorId op,
                          std::int64_t rows,
                          std::int64_t heads,
                          std::int64_t dim,
                          std::int64_t ropeDim) {
  CaseValues values(seed);
  const auto x = std::make_shared<std::vector<float>>(values.numbers(rows * heads * dim));
  // Groups of different size, so that their scales differ, and one of zeros.
  for (std::size_t i = 0; i < x->size(); ++i) {
    (*x)[i] = std::ldexp((*x)[i], static_cast<int>(i / 32 % 7) * 3 - 9);
  }
  std::fill_n(x->begin(), std::min<std::int64_t>(dim, 64), 0.F);
  OperatorCase made;
  made.op = op;
  made.name = fmt::format("{} rows of {} x {}", rows, heads, dim);
  made.rows = rows;
  made.columns = heads * dim;
  made.run = [x, op, dim, ropeDim](Operators& operators, std::int64_t first, Matrix<float> out) {
    copyRows(out, *x, first);
    if (op == OperatorId::RoundKvEntries) {
      operators.roundKvEntries(out, ropeDim);
    } else {
      operators.roundIndexerEntries(out, dim);
    }
  };
  made.allow = allowNothing;
  return made;
}

/// Packs rows to where the operator puts them and reads them back: what its rounding made comes
/// back to the bit, also where a ring has gone round and a page ends.
OperatorCase makeStore(std::uint64_t seed,
                       OperatorId op,
                       const EntryLayout& layout,
                       std::int64_t rows,
                       std::int64_t firstPosition) {
  CaseValues values(seed);
  const auto x = std::make_shared<std::vector<float>>(values.numbers(rows * layout.dim));
  const Matrix<float> all(x->data(), rows, layout.dim);
  if (layout.format == EntryFormat::KeyValue) {
    ReferenceOperators().roundKvEntries(all, layout.ropeDim);
  } else if (layout.format == EntryFormat::IndexerKey) {
    ReferenceOperators().roundIndexerEntries(all, layout.dim);
  }
  OperatorCase made;
  made.op = op;
  made.name = fmt::format("{} rows of {} from {} on", rows, layout.dim, firstPosition);
  made.rows = rows;
  made.columns = layout.dim;
  made.run = [x, op, layout, firstPosition](Operators& operators,
                                            std::int64_t first,
                                            Matrix<float> out) {
    constexpr std::int64_t kPerPage = 4;
    const std::int64_t begin = firstPosition + first;
    const Matrix<const float> given(x->data() + first * out.cols, out.rows, out.cols);
    std::vector<std::int32_t> pages(static_cast<std::size_t>((begin + out.rows) / kPerPage + 1));
    std::iota(pages.rbegin(), pages.rend(), 0);
    std::vector<std::byte> memory(pages.size() * kPerPage *
                                  static_cast<std::size_t>(layout.bytes()));
    if (op == OperatorId::StoreEntries) {
      const EntryPages<std::byte> entries{layout,
                                          memory.data(),
                                          kPerPage * layout.bytes(),
                                          kPerPage,
                                          pages};
      operators.storeEntries(entries, begin, given);
      for (std::int64_t r = 0; r < out.rows; ++r) {
        unpackEntry(layout, out.row(r), entries.entry(begin + r));
      }
    } else if (op == OperatorId::StoreRing) {
      const EntryRing<std::byte> ring{layout, memory.data(), out.rows};
      operators.storeRing(ring, begin, given);
      for (std::int64_t r = 0; r < out.rows; ++r) {
        unpackEntry(layout, out.row(r), ring.row(begin + r));
      }
    } else {
      std::vector<float> floats(static_cast<std::size_t>(out.rows * out.cols));
      const Matrix<float> ring(floats.data(), out.rows, out.cols);
      operators.storeRawRing(ring, begin, given);
      for (std::int64_t r = 0; r < out.rows; ++r) {
        std::copy_n(ring.row((begin + r) % ring.rows), out.cols, out.row(r));
      }
    }
  };
  made.answer = *x;
  made.allow = allowNothing;
  return made;
}

struct Pool {
  std::vector<float> kv;
  std::vector<float> score;
  std::int64_t capacity = 0;
  std::int64_t width = 0;

  [[nodiscard]] CompressorRows rows() const {
    return {.kv = {kv.data(), capacity, width}, .score = {score.data(), capacity, width}};
  }
};

OperatorCase makeCompress(std::uint64_t seed,
                          const char* what,
                          int ratio,
                          bool overlaps,
                          std::int64_t firstEntry,
                          std::int64_t entries,
                          std::int64_t dim) {
  CaseValues values(seed);
  const auto pool = std::make_shared<Pool>();
  pool->width = overlaps ? 2 * dim : dim;
  pool->capacity = (entries + (overlaps ? 1 : 0)) * ratio;
  pool->kv = values.numbers(pool->capacity * pool->width);
  pool->score = values.numbers(pool->capacity * pool->width);
  OperatorCase made;
  made.op = OperatorId::Compress;
  made.name = fmt::format("{}, ratio {}, entries {} to {}, {} wide",
                          what,
                          ratio,
                          firstEntry,
                          firstEntry + entries - 1,
                          dim);
  made.rows = entries;
  made.columns = dim;
  made.run =
      [pool, firstEntry, ratio](Operators& operators, std::int64_t first, Matrix<float> out) {
        operators.compress(out, pool->rows(), firstEntry + first, ratio);
      };
  made.allow = [pool, firstEntry, ratio, overlaps](Matrix<float> allowed,
                                                   Matrix<const float> /*expected*/) {
    // A weighted mean: every weight is off by an exponential (8 roundoffs with its argument), both
    // sums by their length. Relative to the mean of the magnitudes.
    Pool magnitudes = *pool;
    for (float& value : magnitudes.kv) {
      value = std::fabs(value);
    }
    ReferenceOperators().compress(allowed, magnitudes.rows(), firstEntry, ratio);
    const int tokens = overlaps ? 2 * ratio : ratio;
    const auto relative = static_cast<float>((2.0 * tokens + 18) * kFloatRoundoff);
    for (std::int64_t i = 0; i < allowed.rows * allowed.cols; ++i) {
      allowed.data[i] *= relative;
    }
  };
  return made;
}

}  // namespace

std::vector<OperatorCase> entryCases() {
  std::vector<OperatorCase> cases;
  constexpr auto kForward = RopeDirection::Forward;
  constexpr auto kInverse = RopeDirection::Inverse;
  cases.push_back(makeRope(400, "known answer", 2, 10, 3, {0, 7, 4099}, kForward));
  cases.back().answer = knownAnswer(OperatorId::Rope);
  cases.push_back(makeRope(401, "one head", 1, 64, 32, {1, 2, 3, 127, 128}, kForward));
  cases.push_back(makeRope(402, "back", 4, 96, 32, {5, 65535, 131071}, kInverse));
  cases.push_back(makeRope(403, "far", 2, 512, 32, {999999, 1048575}, kForward));

  cases.push_back(makeRounding(410, OperatorId::RoundKvEntries, 2, 1, 80, 16));
  cases.back().name = "known answer, " + cases.back().name;
  cases.back().answer = knownAnswer(OperatorId::RoundKvEntries);
  cases.push_back(makeRounding(411, OperatorId::RoundKvEntries, 7, 1, 512, 64));
  cases.push_back(makeRounding(412, OperatorId::RoundIndexerEntries, 2, 1, 64, 0));
  cases.back().name = "known answer, " + cases.back().name;
  cases.back().answer = knownAnswer(OperatorId::RoundIndexerEntries);
  cases.push_back(makeRounding(413, OperatorId::RoundIndexerEntries, 3, 5, 128, 0));
  cases.push_back(makeRounding(414, OperatorId::RoundIndexerEntries, 3, 3, 32, 0));

  constexpr EntryLayout kFloats{EntryFormat::Float32, 48, 0};
  constexpr EntryLayout kKeyValue{EntryFormat::KeyValue, 512, 64};
  constexpr EntryLayout kSmallKeyValue{EntryFormat::KeyValue, 80, 16};
  constexpr EntryLayout kIndexerKey{EntryFormat::IndexerKey, 128, 0};
  cases.push_back(makeStore(430, OperatorId::StoreEntries, kFloats, 3, 0));
  cases.push_back(makeStore(431, OperatorId::StoreEntries, kKeyValue, 9, 2));
  cases.push_back(makeStore(432, OperatorId::StoreEntries, kSmallKeyValue, 5, 0));
  cases.push_back(makeStore(433, OperatorId::StoreEntries, kIndexerKey, 9, 3));
  cases.push_back(makeStore(434, OperatorId::StoreRing, kKeyValue, 7, 1000));
  cases.push_back(makeStore(435, OperatorId::StoreRawRing, kFloats, 7, 1000));

  cases.push_back(makeCompress(420, "known answer", 4, true, 0, 3, 6));
  cases.back().answer = knownAnswer(OperatorId::Compress);
  cases.push_back(makeCompress(421, "overlapping", 4, true, 5, 4, 130));
  cases.push_back(makeCompress(422, "window 0 has none before it", 4, true, 0, 1, 64));
  cases.push_back(makeCompress(423, "plain", 128, false, 0, 2, 48));
  cases.push_back(makeCompress(424, "the ring has gone round", 128, false, 9, 1, 512));
  return cases;
}

}  // namespace tandem::kernels
