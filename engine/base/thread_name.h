// SPDX-License-Identifier: GPL-3.0-or-later
// Names threads, so that top, gdb and crash reports say what each one does.
#pragma once

#include <pthread.h>

namespace tandem {

/// name   at most 15 characters, Linux cuts the rest
inline void nameThisThread(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
}

}  // namespace tandem
