// SPDX-License-Identifier: GPL-3.0-or-later
// Streams packed weights once through the tensor cores against up to eight rows of floats: the
// common part of every product of a decode step, which is bound by the bytes of its weights.
//
// A block has eight warps. Each takes every eighth step of the columns and keeps its own ring of
// steps in shared memory, filled by asynchronous copies, so that bytes are always on their way and
// no warp waits for another before the tile ends. The weights are the A operand of
// mma.m16n8k16 (16 weight rows), the rows of x its B operand. A float is exactly the sum of three
// bfloat16, and so are the weights exactly bfloat16: every product is exact, only sums round.
//
// An output's order of sums is decided by the number of columns alone: over the columns of a step,
// over the steps of a warp, over the warps. So neither rows beside it nor the grid change its bits.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/weight_view.h"

namespace tandem::kernels::cuda {

inline constexpr int kWarpThreads = 32;
inline constexpr int kStreamWarps = 8;
inline constexpr int kStreamThreads = kStreamWarps * kWarpThreads;
inline constexpr int kStreamRows = 8;  // rows of x that a block takes: N of the MMA
inline constexpr int kTileRows = 16;   // weight rows of a tile: M of the MMA
inline constexpr int kPieceBytes = 16;
inline constexpr int kQuad = 4;  // lanes that share a row of an MMA operand

/// Floats from one row of x to the next among a warp's partial sums: no two lanes of a store meet
/// in a bank.
inline constexpr int kPartialStride = 20;

// clang-format off
__device__ inline void copyAsync16(std::uint32_t to, const std::uint8_t* from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0) : "memory");
}
__device__ inline void copyAsync4(std::uint32_t to, const std::uint8_t* from, bool inside) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(inside ? 4 : 0) : "memory");
}
__device__ inline void closeCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until at most `Open` of the groups closed last are on their way.
template <int Open>
__device__ inline void awaitCopies() { asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory"); }

/// sum += A · B
__device__ inline void multiplyAdd(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
/// Two bfloat16 products; subnormal inputs count.
__device__ inline std::uint32_t multiplyPair(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product;
  asm("mul.bf16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
  return product;
}
/// Nearest bfloat16 of both, `low` in the lower half.
__device__ inline std::uint32_t roundPair(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
// clang-format on

/// Two floats as three pairs of bfloat16 whose sum they are.
__device__ inline void splitPair(std::uint32_t (&parts)[3], float low, float high) {
  constexpr std::uint32_t kUpperHalf = 0xFFFF0000U;
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    parts[i] = roundPair(low, high);
    low -= __uint_as_float(parts[i] << 16);
    high -= __uint_as_float(parts[i] & kUpperHalf);
  }
}

__device__ inline std::uint32_t wordOf(const uint4& piece, int i) {
  return i == 0 ? piece.x : i == 1 ? piece.y : i == 2 ? piece.z : piece.w;
}

/// 2^(code - 127).
__device__ inline float e8m0Value(std::uint32_t code) {
  constexpr std::uint32_t kSubnormal = 0x00400000U;  // 2^-127
  constexpr std::uint32_t kNan = 0x7FC00000U;
  return __uint_as_float(code == 0 ? kSubnormal : code == 255 ? kNan : code << 23);
}

// A format says how the 16 bytes of a lane's piece become operands. A piece is kValues columns;
// `unpack` gives the four of one MMA as two pairs, and `column` says which they were, so that x can
// follow: the MMA does not care in which order both count columns.

struct Bf16Stream {
  static constexpr WeightFormat kFormat = WeightFormat::Bf16;
  static constexpr int kPieces = 2;  // of 64 bytes of each row in a step
  static constexpr int kValues = 8;  // columns of one lane in a piece
  static constexpr int kScaleBytes = 0;
  static constexpr bool kBlockScales = false;

  __device__ static int column(int group, int slot) { return 4 * group + slot; }
  __device__ static void unpack(std::uint32_t& first,
                                std::uint32_t& second,
                                const uint4& piece,
                                int group,
                                std::uint32_t /*scale*/) {
    first = wordOf(piece, 2 * group);
    second = wordOf(piece, 2 * group + 1);
  }
};

struct Fp8Stream {
  static constexpr WeightFormat kFormat = WeightFormat::Fp8Block;
  static constexpr int kPieces = 2;
  static constexpr int kValues = 16;
  static constexpr int kScaleBytes = 0;
  static constexpr bool kBlockScales = true;  // one a row of blocks and step, applied to the sum

  /// E4M3 and bfloat16 differ in the width of their fields: shifted into place, the value is off by
  /// 2^(127 - 7). Codes in bytes 1 and 3.
  __device__ static std::uint32_t expand(std::uint32_t codes) {
    constexpr std::uint32_t kRebias = 0x7B807B80U;  // 2^120 twice
    return multiplyPair((codes & 0x80008000U) | ((codes >> 4) & 0x07F007F0U), kRebias);
  }
  __device__ static int column(int group, int slot) {
    return 4 * group + (slot == 1 ? 2 : slot == 2 ? 1 : slot);
  }
  __device__ static void unpack(std::uint32_t& first,
                                std::uint32_t& second,
                                const uint4& piece,
                                int group,
                                std::uint32_t /*scale*/) {
    const std::uint32_t codes = wordOf(piece, group);
    first = expand(codes << 8);
    second = expand(codes);
  }
};

struct Mxfp4Stream {
  static constexpr WeightFormat kFormat = WeightFormat::Mxfp4;
  static constexpr int kPieces = 1;
  static constexpr int kValues = 32;
  static constexpr int kScaleBytes = 4;  // of each row in a step: one a lane of a quad
  static constexpr bool kBlockScales = false;

  /// Codes i and i + 4 of a word, as bfloat16 that are off by 2^(127 - 1); `scale` repairs that.
  __device__ static std::uint32_t expand(std::uint32_t codes, int i, std::uint32_t scale) {
    const std::uint32_t magnitude = 4 * i <= 6 ? codes << (6 - 4 * i) : codes >> (4 * i - 6);
    return multiplyPair(((codes << (12 - 4 * i)) & 0x80008000U) | (magnitude & 0x01C001C0U), scale);
  }
  __device__ static int column(int group, int slot) {
    return 8 * (group / 2) + 2 * (group % 2) + (slot & 1) * 4 + (slot >> 1);
  }
  /// scale * 2^126 twice; codes above 128, scales above 2, do not fit and give no numbers.
  __device__ static std::uint32_t scalePair(std::uint32_t code) {
    const std::uint32_t half = min(code + 126U, 255U) << 7;
    return half | half << 16;
  }
  __device__ static void unpack(std::uint32_t& first,
                                std::uint32_t& second,
                                const uint4& piece,
                                int group,
                                std::uint32_t scale) {
    const std::uint32_t codes = wordOf(piece, group / 2);
    first = expand(codes, 2 * (group % 2), scale);
    second = expand(codes, 2 * (group % 2) + 1, scale);
  }
};

/// Sixteen rows of one matrix, those behind `endRow` read as zeros.
struct WeightTile {
  const std::uint8_t* codes = nullptr;  // of the matrix
  const std::uint8_t* scales = nullptr;
  int firstRow = 0;
  int endRow = 0;
};

/// How a kernel of one format and tile count lies in shared memory.
template <typename Format, int Tiles>
struct StreamLayout {
  static constexpr int kRowBytes = 4 * kPieceBytes * Format::kPieces;  // of one row in a step
  static constexpr int kStepColumns = kQuad * Format::kValues * Format::kPieces;
  static constexpr int kCodeBytes = Tiles * kTileRows * kRowBytes;
  static constexpr int kStepBytes = kCodeBytes + Tiles * kTileRows * Format::kScaleBytes;
  // 64 KiB a block at most, so that two warps' worth of sums fit beside it in 99 KiB.
  static constexpr int kFit = 65536 / (kStreamWarps * kStepBytes);
  static constexpr int kSteps = kFit > 4 ? 4 : kFit;  // of a warp's ring
  static constexpr int kRingBytes = kStreamWarps * kSteps * kStepBytes;
  static constexpr int kPartialFloats = Tiles * kStreamRows * kPartialStride;  // of a warp
  // Twice: the sums of a tile are read while the next tile's are written.
  static constexpr int kSharedBytes =
      kRingBytes + 2 * kStreamWarps * kPartialFloats * static_cast<int>(sizeof(float));
  static_assert(kSteps >= 2 && kSharedBytes <= 99 * 1024);
  static_assert(kStepBytes % kPieceBytes == 0);
};

/// Odd rows keep their pieces in the other order of halves, so that the eight lanes that read
/// together find eight different banks.
template <typename Format>
__device__ inline int placeOf(int row, int piece) {
  return Format::kPieces == 2 ? piece ^ ((row & 1) << 2) : piece;
}

/// Begins to copy step `step` of the tiles into `memory` (16-byte aligned, kStepBytes).
template <typename Format, int Tiles>
__device__ void fetchStep(std::uint8_t* memory,
                          const WeightShape& shape,
                          const WeightTile (&tiles)[Tiles],
                          int step) {
  using Layout = StreamLayout<Format, Tiles>;
  constexpr int kPerRow = 4 * Format::kPieces;
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(memory));
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
    for (int i = 0; i < kTileRows * kPerRow / kWarpThreads; ++i) {
      const int item = lane + i * kWarpThreads;
      const int row = item / kPerRow;
      const int piece = item % kPerRow;
      const int byte = step * Layout::kRowBytes - shape.leadBytes + piece * kPieceBytes;
      const bool exists = tiles[tile].firstRow + row < tiles[tile].endRow;
      const std::int64_t start = (tiles[tile].firstRow + row) * shape.rowBytes;
      const int to =
          (tile * kTileRows + row) * Layout::kRowBytes + placeOf<Format>(row, piece) * kPieceBytes;
      if (shape.wholePieces) {
        const bool inside = exists && byte >= 0 && byte < shape.rowBytes;
        copyAsync16(shared + to, tiles[tile].codes + (inside ? start + byte : 0), inside);
      } else {
        std::uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
        for (int b = 0; b < kPieceBytes; ++b) {
          if (exists && byte + b >= 0 && byte + b < shape.rowBytes) {
            words[b / 4] |= std::uint32_t{tiles[tile].codes[start + byte + b]} << (8 * (b % 4));
          }
        }
        *reinterpret_cast<uint4*>(memory + to) = make_uint4(words[0], words[1], words[2], words[3]);
      }
    }
    if constexpr (Format::kScaleBytes > 0) {
      if (lane < kTileRows) {
        const bool exists = tiles[tile].firstRow + lane < tiles[tile].endRow;
        const std::int64_t start = (tiles[tile].firstRow + lane) * shape.scaleStride;
        const int to = Layout::kCodeBytes + (tile * kTileRows + lane) * Format::kScaleBytes;
        const int first = step * Format::kScaleBytes;
        if (shape.wholePieces) {
          const bool inside = exists && first < shape.scaleStride;
          copyAsync4(shared + to, tiles[tile].scales + (inside ? start + first : 0), inside);
        } else {
          std::uint32_t word = 0;
          for (int b = 0; b < Format::kScaleBytes; ++b) {
            if (exists && first + b < shape.scaleStride) {
              word |= std::uint32_t{tiles[tile].scales[start + first + b]} << (8 * b);
            }
          }
          *reinterpret_cast<std::uint32_t*>(memory + to) = word;
        }
      }
    }
  }
}

/// values[i] = row[column + i], 0 outside [0, columns) and where there is no row.
template <int Values>
__device__ inline void loadInput(float (&values)[Values],
                                 const float* row,
                                 int column,
                                 int columns,
                                 bool wholeVectors) {
  if (row != nullptr && wholeVectors) {
#pragma unroll
    for (int i = 0; i < Values; i += 4) {
      float4 four = make_float4(0.F, 0.F, 0.F, 0.F);
      if (column + i >= 0 && column + i < columns) {
        four = __ldg(reinterpret_cast<const float4*>(row + column + i));
      }
      values[i] = four.x;
      values[i + 1] = four.y;
      values[i + 2] = four.z;
      values[i + 3] = four.w;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < Values; ++i) {
    const bool inside = row != nullptr && column + i >= 0 && column + i < columns;
    values[i] = inside ? __ldg(row + column + i) : 0.F;
  }
}

/// What one lane multiplies with: its row of x, row `lane / 4` of the eight.
struct StreamInput {
  const float* row = nullptr;  // null: a row of zeros
  int columns = 0;
  bool wholeVectors = false;  // row, columns and every step's first column allow 16-byte loads
};

/// sums += tiles · x over the columns of one step, which `memory` holds.
template <typename Format, int Tiles>
__device__ void multiplyStep(float (&sums)[Tiles][4],
                             const std::uint8_t* memory,
                             const WeightShape& shape,
                             const WeightTile (&tiles)[Tiles],
                             const StreamInput& input,
                             int step) {
  using Layout = StreamLayout<Format, Tiles>;
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  const int row = lane / kQuad;
  const int member = lane % kQuad;

  float scales[Tiles][2];
  if constexpr (Format::kBlockScales) {
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = tiles[tile].firstRow + row + 8 * half;
        const std::int64_t block = (shape.blockRow + at) / WeightMatrix::kFp8Block;
        scales[tile][half] =
            at < tiles[tile].endRow
                ? e8m0Value(__ldg(tiles[tile].scales + block * shape.scaleStride + step))
                : 0.F;
      }
    }
  }

  float parts[Tiles][3][4] = {};
#pragma unroll
  for (int piece = 0; piece < Format::kPieces; ++piece) {
    float values[Format::kValues];
    loadInput(values,
              input.row,
              step * Layout::kStepColumns - shape.blockColumn +
                  (piece * kQuad + member) * Format::kValues,
              input.columns,
              input.wholeVectors);
    uint4 codes[Tiles][2];
    std::uint32_t codeScales[Tiles][2] = {};
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = tile * kTileRows + row + 8 * half;
        codes[tile][half] = *reinterpret_cast<const uint4*>(
            memory + at * Layout::kRowBytes +
            placeOf<Format>(at, piece * kQuad + member) * kPieceBytes);
        if constexpr (Format::kScaleBytes > 0) {
          codeScales[tile][half] = Mxfp4Stream::scalePair(
              memory[Layout::kCodeBytes + at * Format::kScaleBytes + member]);
        }
      }
    }
#pragma unroll
    for (int group = 0; group < Format::kValues / 4; ++group) {
      std::uint32_t first[3];
      std::uint32_t second[3];
      splitPair(first, values[Format::column(group, 0)], values[Format::column(group, 1)]);
      splitPair(second, values[Format::column(group, 2)], values[Format::column(group, 3)]);
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile) {
        std::uint32_t a[4];
        Format::unpack(a[0], a[2], codes[tile][0], group, codeScales[tile][0]);
        Format::unpack(a[1], a[3], codes[tile][1], group, codeScales[tile][1]);
#pragma unroll
        for (int part = 0; part < 3; ++part) {
          multiplyAdd(parts[tile][part], a, first[part], second[part]);
        }
      }
    }
  }
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float sum = parts[tile][0][i] + (parts[tile][1][i] + parts[tile][2][i]);
      sums[tile][i] = Format::kBlockScales ? fmaf(sum, scales[tile][i / 2], sums[tile][i])
                                           : sums[tile][i] + sum;
    }
  }
}

/// Runs a block's work from its first step to its last. `Work` says what that is:
///
///   int steps()                                    of each warp, over all of the block's tiles
///   int tiles(WeightTile (&tiles)[Tiles], int at)  fills the tiles of step `at`; the step's number
///                                                  within the matrix, or -1 when this warp has
///                                                  none
///   StreamInput input(int at)                      what step `at` multiplies with
///   bool completes(int at)                         whether the tiles' sums are whole after it
///   void store(int at, int row, int m, const float (&sums)[Tiles])
///                                                  for each of the 8 rows of x and 16 of the tile
template <typename Format, int Tiles, typename Work>
__device__ void streamWeights(std::uint8_t* shared, const WeightShape& shape, const Work& work) {
  using Layout = StreamLayout<Format, Tiles>;
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / kWarpThreads;
  const int lane = thread % kWarpThreads;
  std::uint8_t* ring = shared + warp * Layout::kSteps * Layout::kStepBytes;
  auto* partials = reinterpret_cast<float*>(shared + Layout::kRingBytes);
  const int steps = work.steps();

  const auto fetch = [&](int at) {
    if (at < steps) {
      WeightTile tiles[Tiles];
      const int step = work.tiles(tiles, at);
      if (step >= 0) {
        fetchStep<Format, Tiles>(ring + at % Layout::kSteps * Layout::kStepBytes,
                                 shape,
                                 tiles,
                                 step);
      }
    }
    closeCopies();
  };
#pragma unroll
  for (int at = 0; at < Layout::kSteps - 1; ++at) {
    fetch(at);
  }
  float sums[Tiles][4] = {};
  int side = 0;
  for (int at = 0; at < steps; ++at) {
    awaitCopies<Layout::kSteps - 2>();
    __syncwarp();
    fetch(at + Layout::kSteps - 1);
    WeightTile tiles[Tiles];
    const int step = work.tiles(tiles, at);
    if (step >= 0) {
      multiplyStep<Format, Tiles>(sums,
                                  ring + at % Layout::kSteps * Layout::kStepBytes,
                                  shape,
                                  tiles,
                                  work.input(at),
                                  step);
    }
    // Nobody may still read the step that the next turn overwrites.
    __syncwarp();
    if (!work.completes(at)) {
      continue;
    }
    float* mine = partials + (side * kStreamWarps + warp) * Layout::kPartialFloats;
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = 2 * (lane % kQuad) + i % 2;
        mine[(tile * kStreamRows + row) * kPartialStride + lane / kQuad + i / 2 * 8] =
            sums[tile][i];
        sums[tile][i] = 0.F;
      }
    }
    __syncthreads();
    if (thread < kStreamRows * kTileRows) {
      const int row = thread / kTileRows;
      const int m = thread % kTileRows;
      float whole[Tiles] = {};
      const float* from = partials + side * kStreamWarps * Layout::kPartialFloats;
      for (int w = 0; w < kStreamWarps; ++w) {
#pragma unroll
        for (int tile = 0; tile < Tiles; ++tile) {
          whole[tile] +=
              from[w * Layout::kPartialFloats + (tile * kStreamRows + row) * kPartialStride + m];
        }
      }
      work.store(at, row, m, whole);
    }
    side ^= 1;
  }
  awaitCopies<0>();
}

}  // namespace tandem::kernels::cuda
