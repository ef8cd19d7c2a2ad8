// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/result.h"

namespace tandem {

const char* errorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "InvalidArgument";
    case ErrorCode::NotFound:
      return "NotFound";
    case ErrorCode::OutOfRange:
      return "OutOfRange";
    case ErrorCode::AlreadyExists:
      return "AlreadyExists";
    case ErrorCode::PermissionDenied:
      return "PermissionDenied";
    case ErrorCode::Unavailable:
      return "Unavailable";
    case ErrorCode::OutOfMemory:
      return "OutOfMemory";
    case ErrorCode::DataCorrupt:
      return "DataCorrupt";
    case ErrorCode::Timeout:
      return "Timeout";
    case ErrorCode::Cancelled:
      return "Cancelled";
    case ErrorCode::Internal:
      return "Internal";
  }
  return "Internal";
}

std::string Error::text() const {
  if (remedy.empty()) {
    return message;
  }
  const bool ended = !message.empty() && (message.back() == '.' || message.back() == '!');
  return message + (ended ? " " : ". ") + remedy;
}

Error Error::within(const std::string& context) const {
  return Error{code, context + ": " + message, remedy};
}

}  // namespace tandem
