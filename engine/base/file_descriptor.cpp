// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/file_descriptor.h"

#include <unistd.h>

namespace tandem {

void FileDescriptor::reset() {
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

}  // namespace tandem
