// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/whole_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "engine/base/file_descriptor.h"

namespace tandem {

Result<std::string> readWholeFile(const std::filesystem::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.valid()) {
    const bool denied = errno == EACCES || errno == EPERM;
    return Error{denied ? ErrorCode::PermissionDenied : ErrorCode::NotFound,
                 fmt::format("{} cannot be opened: {}", file.string(), std::strerror(errno)),
                 ""};
  }
  std::string text;
  std::array<char, 1U << 16U> buffer{};
  while (true) {
    const ssize_t count = ::read(descriptor.get(), buffer.data(), buffer.size());
    if (count == 0) {
      return text;
    }
    if (count > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return Error{ErrorCode::Unavailable,
                   fmt::format("{} cannot be read: {}", file.string(), std::strerror(errno)),
                   ""};
    }
  }
}

}  // namespace tandem
