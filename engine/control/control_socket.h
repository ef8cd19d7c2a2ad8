// SPDX-License-Identifier: GPL-3.0-or-later
// The Unix socket that an engine listens on, and its file: made safely, and gone at the end.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "engine/base/file_descriptor.h"
#include "engine/base/result.h"

namespace tandem::control {

/// A listening, non-blocking socket with a file of mode 0660. The file is removed with it, unless
/// somebody else has put another one there.
class ControlSocket {
 public:
  /// A file that nobody listens on is what a killed engine leaves behind, and is replaced.
  ///
  /// Fails    AlreadyExists when somebody listens there (with the pid), or it is no socket;
  ///          OutOfRange when the path is longer than the system allows; NotFound without its
  ///          folder; PermissionDenied; Unavailable when the folder stays locked or descriptors are
  ///          used up
  static Result<std::unique_ptr<ControlSocket>> open(const std::filesystem::path& path);

  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  [[nodiscard]] int fd() const { return socket_.get(); }

  /// The group that owns the file: its members may connect.
  [[nodiscard]] gid_t group() const { return group_; }

 private:
  ControlSocket(std::filesystem::path path, FileDescriptor socket)
      : path_(std::move(path)),
        socket_(std::move(socket)) {}

  const std::filesystem::path path_;
  const FileDescriptor socket_;
  gid_t group_ = 0;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace tandem::control
