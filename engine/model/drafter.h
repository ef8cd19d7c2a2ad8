// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the MTP module beside the model: guesses tokens before a step, and follows what is
// committed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/token_id.h"
#include "engine/kernels/matrix.h"
#include "engine/model/language_model.h"
#include "engine/model/model_config.h"
#include "engine/model/mtp_module.h"
#include "engine/model/step.h"
#include "engine/model/vocabulary.h"

namespace tandem::model {

/// The module stands one token behind the model, because it needs the token *after* a row. The
/// streams of rows whose next token is not known yet are carried in their slot to the next step
/// (all rows of a verified draft: how many of them count is only known then).
///
/// Source: model.py MTPBlock; drafting further with the module's own streams as vLLM does.
class Drafter {
 public:
  /// What it refers to must outlive it.
  Drafter(const ModelConfig& config, MtpModule& module, Vocabulary& vocabulary);

  /// Before the step's pass: follows the rows that were committed since, then guesses. Greedy: the
  /// most likely token, of equals the lowest. Equal on every rank, as the logits are.
  ///
  /// step    its rows are not read
  /// drafts  [Σ chunk.drafts]
  /// Fails   InvalidArgument when a slot does not know the token before its chunk
  Result<void> draft(const Step& step,
                     std::span<const SequenceChunk> chunks,
                     std::span<TokenId> drafts);

  /// After the pass: follows the rows of chunks without drafts, and carries what the next step
  /// needs.
  ///
  /// step     with the rows of the pass, drafts included
  /// streams  [rows, M * D] that left the last layer
  /// logits   [Σ chunk.mtpLogitRows, V]
  Result<void> follow(const Step& step,
                      std::span<const SequenceChunk> chunks,
                      kernels::Matrix<const float> streams,
                      kernels::Matrix<float> logits);

 private:
  /// Adds a row to the pass of the module in hand: the streams of `position` and the token after
  /// it.
  void addRow(kvcache::SlotId slot, std::int64_t position, TokenId next, const float* streams);

  /// Adds what the slot carries and the chunk has committed. How many rows.
  std::int64_t addCarried(const Step& step, const SequenceChunk& chunk);

  /// Runs the module over the added rows and forgets them; leaves h_ and its streams z_.
  Result<void> run(const Step& step);
  void forgetRows();

  MtpModule& module_;
  Vocabulary& vocabulary_;
  std::int64_t width_;        // D
  std::int64_t streamWidth_;  // M * D

  std::vector<TokenId> tokens_;
  std::vector<std::int64_t> positions_;
  std::vector<RowRange> ranges_;
  std::vector<const float*> sources_;
  kernels::Matrix<float> h_;
  kernels::Matrix<float> z_;
  Scratch hRows_;
  Scratch zRows_;
  Scratch sourceRows_;
  Scratch embedded_;
  Scratch wanted_;
  Scratch logits_;
};

}  // namespace tandem::model
