// SPDX-License-Identifier: GPL-3.0-or-later
// A driver library's functions, looked up by name.
#pragma once

#include <string>

#include "engine/base/dynamic_library.h"
#include "engine/base/result.h"

namespace tandem::probe {

/// Fills `function` with the address of `name`, which must have that signature.
/// Fails    NotFound in the loader's words: the driver is older than the function
template <typename Signature>
Result<void> findFunction(const DynamicLibrary& library, const char* name, Signature*& function) {
  const Result<void*> address = library.symbol(name);
  if (!address) {
    return address.error();
  }
  function = reinterpret_cast<Signature*>(*address);
  return {};
}

/// As above for one after the other, until one fails: findFunctions(library, "a", a, "b", b).
inline Result<void> findFunctions(const DynamicLibrary& /*library*/) {
  return {};
}
template <typename Signature, typename... More>
Result<void> findFunctions(const DynamicLibrary& library,
                           const char* name,
                           Signature*& function,
                           More&&... more) {
  Result<void> found = findFunction(library, name, function);
  return found ? findFunctions(library, more...) : found;
}

}  // namespace tandem::probe
