// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/checkpoint.h"

#include <fmt/core.h>

#include <set>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/model/json_document.h"

namespace tandem::model {

namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";

/// Which files make the checkpoint, and what the index says of each tensor.
struct FileList {
  std::set<std::string> names;
  std::map<std::string, std::string> fileOfTensor;  // empty without an index
};

Result<FileList> readIndex(const fs::path& index) {
  const Result<Json> json = readJsonObject(index);
  if (!json) {
    return json.error();
  }
  const auto corrupt = [&index](const std::string& what) {
    return Error{ErrorCode::DataCorrupt,
                 fmt::format("{}: {}", index.string(), what),
                 "Download it again."};
  };
  const auto found = json->find("weight_map");
  if (found == json->end() || !found->is_object() || found->empty()) {
    return corrupt("there is no weight_map that names files");
  }
  FileList list;
  for (const auto& [tensor, file] : found->items()) {
    // A plain file name: an index must not reach outside its folder.
    if (!file.is_string() || file.get_ref<const std::string&>().empty() ||
        file.get_ref<const std::string&>().find('/') != std::string::npos) {
      return corrupt(fmt::format("the file of {} is {}", tensor, file.dump()));
    }
    list.names.insert(file.get<std::string>());
    list.fileOfTensor.emplace(tensor, file.get<std::string>());
  }
  return list;
}

Result<FileList> listFiles(const fs::path& folder) {
  std::set<std::string> present;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end;
       it.increment(failure)) {
    present.insert(it->path().filename().string());
  }
  if (failure) {
    const bool denied = failure == std::errc::permission_denied;
    return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::NotFound,
                 fmt::format("{} cannot be listed: {}", folder.string(), failure.message()),
                 denied ? "Make the model folder readable for the user that runs the engine."
                        : "Give the folder of a complete download."};
  }
  if (present.contains(kIndexName)) {
    return readIndex(folder / kIndexName);
  }
  for (const char* single : {"model.safetensors", "model-00001-of-00001.safetensors"}) {
    if (present.contains(single)) {
      return FileList{{single}, {}};
    }
  }
  for (const std::string& name : present) {
    if (name.rfind("model-", 0) == 0 && name.find(".safetensors") != std::string::npos) {
      return Error{ErrorCode::NotFound,
                   fmt::format("{} holds {} but not {}", folder.string(), name, kIndexName),
                   "The download is incomplete: fetch the index too."};
    }
  }
  return Error{
      ErrorCode::NotFound,
      fmt::format("{} holds neither model.safetensors nor {}", folder.string(), kIndexName),
      "Give the folder of a complete download."};
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const fs::path& folder) {
  const Result<FileList> list = listFiles(folder);
  if (!list) {
    return list.error();
  }
  Checkpoint checkpoint;
  checkpoint.files_.reserve(list->names.size());
  for (const std::string& name : list->names) {
    Result<SafetensorsFile> file = SafetensorsFile::open(folder / name);
    if (!file) {
      return file.error();
    }
    checkpoint.files_.push_back(std::move(*file));
  }
  for (std::size_t f = 0; f < checkpoint.files_.size(); ++f) {
    for (const auto& [name, tensor] : checkpoint.files_[f].tensors()) {
      const auto [place, isNew] = checkpoint.tensors_.insert({name, {f, &tensor}});
      if (!isNew) {
        return Error{ErrorCode::DataCorrupt,
                     fmt::format("tensor {} is in both {} and {}",
                                 name,
                                 checkpoint.files_[place->second.file].path().string(),
                                 checkpoint.files_[f].path().string()),
                     "Remove the files that do not belong to this checkpoint."};
      }
    }
  }
  // The headers decide where a tensor is; an index that says otherwise is out of date.
  for (const auto& [tensor, file] : list->fileOfTensor) {
    const auto found = checkpoint.tensors_.find(tensor);
    const std::string actual = found == checkpoint.tensors_.end()
                                   ? "no file"
                                   : checkpoint.files_[found->second.file].path().filename();
    if (actual != file) {
      checkpoint.notices_.push_back(
          fmt::format("{} places {} in {}, but {} holds it", kIndexName, tensor, file, actual));
    }
  }
  return checkpoint;
}

const StoredTensor* Checkpoint::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second.tensor;
}

std::int64_t Checkpoint::mtpModules() const {
  if (find("mtp.0.main_proj.weight") != nullptr) {
    return 0;
  }
  const auto holdsModule = [this](std::int64_t module) {
    const std::string prefix = fmt::format("mtp.{}.", module);
    const auto first = tensors_.lower_bound(prefix);
    return first != tensors_.end() && first->first.rfind(prefix, 0) == 0;
  };
  std::int64_t modules = 0;
  while (holdsModule(modules)) {
    ++modules;
  }
  return modules;
}

}  // namespace tandem::model
