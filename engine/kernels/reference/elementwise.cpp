// SPDX-License-Identifier: GPL-3.0-or-later
// Reference of the operators on single rows: norm, rotation, roundings, compression.
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/entry_codec.h"
#include "engine/kernels/number_formats.h"
#include "engine/kernels/reference/reference_operators.h"

namespace tandem::kernels {

void ReferenceOperators::rmsNorm(Matrix<float> out,
                                 Matrix<const float> x,
                                 std::span<const float> weight,
                                 float eps) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    double squares = 0;
    for (const float value : x.rowSpan(r)) {
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double inverse =
        1.0 / std::sqrt(squares / static_cast<double>(x.cols) + static_cast<double>(eps));
    for (std::int64_t c = 0; c < x.cols; ++c) {
      const double scale =
          weight.empty() ? 1.0 : static_cast<double>(weight[static_cast<std::size_t>(c)]);
      out.row(r)[c] = static_cast<float>(static_cast<double>(x.row(r)[c]) * inverse * scale);
    }
  }
}

void ReferenceOperators::rope(Matrix<float> x,
                              std::int64_t headDim,
                              std::span<const std::int64_t> positions,
                              std::span<const double> frequencies,
                              RopeDirection direction) {
  const double sign = direction == RopeDirection::Forward ? 1.0 : -1.0;
  const std::size_t pairs = frequencies.size();
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const auto position = static_cast<double>(positions[static_cast<std::size_t>(r)]);
    for (std::size_t i = 0; i < pairs; ++i) {
      const auto cosine = static_cast<float>(std::cos(position * frequencies[i]));
      const auto sine = static_cast<float>(sign * std::sin(position * frequencies[i]));
      for (std::int64_t head = headDim; head <= x.cols; head += headDim) {
        float* pair = x.row(r) + head - 2 * static_cast<std::int64_t>(pairs - i);
        const float a = pair[0];
        const float b = pair[1];
        pair[0] = a * cosine - b * sine;
        pair[1] = a * sine + b * cosine;
      }
    }
  }
}

void ReferenceOperators::roundKvEntries(Matrix<float> x, std::int64_t ropeDim) {
  const auto plain = static_cast<std::size_t>(x.cols - ropeDim);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    roundGroupsToE4m3(x.rowSpan(r).first(plain), EntryLayout::kFp8Group);
    for (float& value : x.rowSpan(r).subspan(plain)) {
      value = roundToBf16(value);
    }
  }
}

void ReferenceOperators::roundIndexerEntries(Matrix<float> x, std::int64_t headDim) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t head = 0; head < x.cols; head += headDim) {
      const std::span<float> values(x.row(r) + head, static_cast<std::size_t>(headDim));
      hadamard(values);
      roundGroupsToE2m1(values, EntryLayout::kFp4Group);
    }
  }
}

void ReferenceOperators::storeEntries(const EntryPages<std::byte>& entries,
                                      std::int64_t first,
                                      Matrix<const float> x) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    packEntry(entries.layout, entries.entry(first + r), x.row(r));
  }
}

void ReferenceOperators::storeRing(const EntryRing<std::byte>& ring,
                                   std::int64_t first,
                                   Matrix<const float> x) {
  for (std::int64_t r = std::max<std::int64_t>(0, x.rows - ring.capacity); r < x.rows; ++r) {
    packEntry(ring.layout, ring.row(first + r), x.row(r));
  }
}

void ReferenceOperators::storeRawRing(Matrix<float> ring,
                                      std::int64_t first,
                                      Matrix<const float> x) {
  for (std::int64_t r = std::max<std::int64_t>(0, x.rows - ring.rows); r < x.rows; ++r) {
    std::copy_n(x.row(r), x.cols, ring.row((first + r) % ring.rows));
  }
}

void ReferenceOperators::compress(Matrix<float> out,
                                  const CompressorRows& rows,
                                  std::int64_t firstEntry,
                                  int ratio) {
  const bool overlaps = rows.kv.cols == 2 * out.cols;
  std::vector<const float*> kv;
  std::vector<const float*> score;
  for (std::int64_t i = 0; i < out.rows; ++i) {
    kv.clear();
    score.clear();
    const std::int64_t begin = (firstEntry + i) * ratio;
    const auto add = [&](std::int64_t position, std::int64_t offset) {
      kv.push_back(rows.kvRow(position) + offset);
      score.push_back(rows.scoreRow(position) + offset);
    };
    if (overlaps && begin > 0) {
      for (std::int64_t p = begin - ratio; p < begin; ++p) {
        add(p, 0);
      }
    }
    for (std::int64_t p = begin; p < begin + ratio; ++p) {
      add(p, overlaps ? out.cols : 0);
    }
    for (std::int64_t c = 0; c < out.cols; ++c) {
      float largest = score[0][c];
      for (const float* row : score) {
        largest = std::max(largest, row[c]);
      }
      double weights = 0;
      double sum = 0;
      for (std::size_t t = 0; t < kv.size(); ++t) {
        const double weight = std::exp(static_cast<double>(score[t][c] - largest));
        weights += weight;
        sum += weight * static_cast<double>(kv[t][c]);
      }
      out.row(i)[c] = static_cast<float>(sum / weights);
    }
  }
}

}  // namespace tandem::kernels
