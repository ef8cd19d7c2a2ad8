// SPDX-License-Identifier: GPL-3.0-or-later
// Errors as values: what happened, with the values, and what to do about it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace tandem {

/// The kinds of failure a caller may want to tell apart. The text says the rest.
enum class ErrorCode {
  InvalidArgument,   // the caller's input is wrong: HTTP 400
  NotFound,          // a file, a tensor, a model, a route
  OutOfRange,        // a number or a length outside what is supported
  AlreadyExists,     // a port or a socket in use, a second instance
  PermissionDenied,  // a key, a file mode, a peer that may not
  Unavailable,       // not now: loading, draining, queue full, peer gone
  OutOfMemory,       // host, device or KV cache
  DataCorrupt,       // bytes that break their own format
  Timeout,           // a deadline passed
  Cancelled,         // someone asked to stop
  Internal,          // a broken promise of our own
};

/// The code's name as it is written in JSON and logs, e.g. "InvalidArgument".
[[nodiscard]] const char* errorCodeName(ErrorCode code);

/// One failure. `message` holds what happened with the values; `remedy` what a person can do, or
/// "".
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  std::string remedy;

  /// "message. remedy" for logs and terminals.
  [[nodiscard]] std::string text() const;

  /// The same failure seen from further out: "context: message".
  [[nodiscard]] Error within(const std::string& context) const;
};

/// A value or the Error that stopped it from being made. Move-only if T is.
///
/// Reading `value()` of a failure, or `error()` of a success, is a bug and throws
/// std::bad_variant_access.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)  // NOLINT(google-explicit-constructor): `return value;` is the point
      : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
  [[nodiscard]] T* operator->() { return &value(); }
  [[nodiscard]] const T* operator->() const { return &value(); }
  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T&& operator*() && { return std::move(*this).value(); }

  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value, or the Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error)  // NOLINT(google-explicit-constructor)
      : error_(std::move(error)) {}

  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const { return error_.value(); }

 private:
  std::optional<Error> error_;
};

}  // namespace tandem
