// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/weight_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_set>

namespace tandem::model {

namespace {

constexpr std::size_t kMismatchesShown = 10;

bool dtypeFits(const TensorPlan& plan, DType stored) {
  switch (plan.role) {
    case TensorRole::Plain:
      // Fine-tuned checkpoints are often saved in BF16 throughout; widening loses nothing.
      return stored == plan.dtype || (plan.dtype == DType::F32 && stored == DType::Bf16);
    case TensorRole::Table:
      return stored == DType::I64 || stored == DType::I32;
    case TensorRole::Fp8Weight:
    case TensorRole::Fp8Scale:
    case TensorRole::Fp4Weight:
    case TensorRole::Fp4Scale:
      // Some re-uploads call every one-byte format U8.
      return stored == plan.dtype || stored == DType::U8;
  }
  return false;
}

std::string describe(DType dtype, const std::vector<std::int64_t>& shape) {
  return fmt::format("{} {}", dtypeName(dtype), formatShape(shape));
}

/// "mtp.2" of "mtp.2.attn.wq_a.weight"; "" for tensors of the model itself.
std::string_view draftModule(std::string_view name) {
  if (name.rfind("mtp.", 0) != 0) {
    return {};
  }
  return name.substr(0, name.find('.', 4));
}

/// Routed experts of the Base checkpoints are FP8 with F32 scales: another format, not damage.
bool hasFp8Experts(const Checkpoint& checkpoint, const std::vector<TensorPlan>& plan) {
  const auto expert = std::find_if(plan.begin(), plan.end(), [](const TensorPlan& tensor) {
    return tensor.role == TensorRole::Fp4Weight;
  });
  if (expert == plan.end()) {
    return false;
  }
  const StoredTensor* stored = checkpoint.find(expert->name);
  return stored != nullptr && stored->dtype == DType::F8E4M3;
}

}  // namespace

WeightCheck checkWeights(const Checkpoint& checkpoint, const std::vector<TensorPlan>& plan) {
  WeightCheck check;
  check.notices = checkpoint.notices();
  if (hasFp8Experts(checkpoint, plan)) {
    check.mismatches.emplace_back(
        "the routed experts are FP8, as in a Base checkpoint; this engine computes MXFP4 experts "
        "only");
    return check;
  }
  std::unordered_set<std::string_view> known;
  known.reserve(plan.size());
  for (const TensorPlan& tensor : plan) {
    known.insert(tensor.name);
    const StoredTensor* stored = checkpoint.find(tensor.name);
    if (stored == nullptr) {
      check.mismatches.push_back(fmt::format("{} is missing, the model needs {}",
                                             tensor.name,
                                             describe(tensor.dtype, tensor.shape)));
    } else if (!dtypeFits(tensor, stored->dtype) || stored->shape != tensor.shape) {
      check.mismatches.push_back(fmt::format("{}: file has {}, the model needs {}",
                                             tensor.name,
                                             describe(stored->dtype, stored->shape),
                                             describe(tensor.dtype, tensor.shape)));
    }
  }
  // Draft modules of a later release are another drafter, not a broken file.
  std::map<std::string_view, int> foreignDrafts;
  for (const auto& [name, place] : checkpoint.tensors()) {
    if (known.contains(name)) {
      continue;
    }
    if (const std::string_view module = draftModule(name); !module.empty()) {
      ++foreignDrafts[module];
      continue;
    }
    check.mismatches.push_back(fmt::format("{} {} is not part of this model",
                                           name,
                                           describe(place.tensor->dtype, place.tensor->shape)));
  }
  for (const auto& [module, count] : foreignDrafts) {
    check.notices.push_back(
        fmt::format("{} tensors of {} belong to a drafter that this engine does not know and are "
                    "not loaded",
                    count,
                    module));
  }
  return check;
}

Result<void> requireMatch(const WeightCheck& check, const std::string& folder) {
  if (check.mismatches.empty()) {
    return {};
  }
  std::string text =
      fmt::format("{}: mismatches with config.json: {}", folder, check.mismatches.size());
  for (std::size_t i = 0; i < std::min(check.mismatches.size(), kMismatchesShown); ++i) {
    text += "\n  " + check.mismatches[i];
  }
  return Error{ErrorCode::InvalidArgument,
               text,
               "The download is incomplete, or is for another layout than config.json says."};
}

}  // namespace tandem::model
